//! A PROXY protocol header is read alike however it is cut, never further than it goes, and what it says can be written
//! and read again.
//!
//! The first byte chooses where the input is cut; the rest is what a connection begins with.

#![no_main]

use evenly_core::proxy_protocol::{MAX_BYTES, Outgoing, Parsed, Transport, Version, parse, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((cut, raw)) = input.split_first() else { return };
    let cut = usize::from(*cut) % (raw.len() + 1);
    let whole = parse(raw);
    match parse(&raw[..cut]) {
        Ok(Parsed::More) => assert!(!matches!(whole, Ok(Parsed::Header(_, length)) if length <= cut)),
        seen => assert_eq!(seen, whole),
    }
    let Ok(Parsed::Header(header, length)) = whole else { return };
    assert!(length <= raw.len() && length <= MAX_BYTES && header.tlvs.len() < length);
    let (version, transport, addresses) = (Version::V2, Transport::Stream, header.addresses);
    let mut written = Vec::new();
    write(&mut written, &Outgoing { version, transport, addresses, tlvs: header.tlvs });
    let Ok(Parsed::Header(again, length)) = parse(&written) else { panic!("{written:?}") };
    assert_eq!((again.addresses.is_some(), length), (addresses.is_some(), written.len()));
});
