//! A TLS ClientHello is read alike however it is cut, within its limit, and its protocols are those of its list.
//!
//! The first byte is the size of the pieces; the rest is what a connection begins with.

#![no_main]

use evenly_core::client_hello::{Hello, MAX_BYTES, NotTls, Progress, Reader};
use libfuzzer_sys::fuzz_target;

fn fed(raw: &[u8], size: usize) -> Result<Option<Hello>, NotTls> {
    let mut reader = Reader::default();
    for piece in raw.chunks(size.max(1)) {
        if let Progress::Hello(hello) = reader.feed(piece)? {
            return Ok(Some(hello));
        }
    }
    Ok(None)
}

fuzz_target!(|input: &[u8]| {
    let Some((size, raw)) = input.split_first() else { return };
    let whole = fed(raw, raw.len());
    assert_eq!(fed(raw, usize::from(*size)), whole);
    match whole {
        Ok(Some(hello)) => {
            let name = hello.server_name.as_deref().unwrap_or("a");
            assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase() || byte <= b' '));
            assert!(hello.protocols().all(|name| (1..=255).contains(&name.len())));
        }
        Ok(None) => assert!(raw.len() < MAX_BYTES),
        Err(NotTls(why)) => assert!(!why.is_empty()),
    }
});
