//! A response head is read alike however it is cut, never further than it goes, and as httparse reads it.
//!
//! The first byte chooses the request's method, the next two where the input is cut; the rest is what an endpoint
//! sends.

#![no_main]

use evenly_http1::{BodyLength, HeadLimits, Slots, parse_response};
use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, fields: 60, target_bytes: 0 };

fuzz_target!(|input: &[u8]| {
    let Some((&[method, low, high], raw)) = input.split_first_chunk() else { return };
    let method = ["GET", "HEAD", "CONNECT", "POST"][usize::from(method % 4)];
    let cut = usize::from(u16::from_le_bytes([low, high])) % (raw.len() + 1);
    let (mut slots, mut other_slots) = (Slots::new(), Slots::new());
    let whole = parse_response(raw, &LIMITS, method, &mut slots);
    match parse_response(&raw[..cut], &LIMITS, method, &mut other_slots) {
        Ok(None) => assert!(!matches!(&whole, Ok(Some(head)) if head.length <= cut)),
        seen => assert_eq!(seen, whole),
    }
    let head = match whole {
        Ok(Some(head)) => head,
        Ok(None) => return assert!(raw.len() < LIMITS.head_bytes),
        Err(error) => return assert!(!error.reason().is_empty()),
    };
    assert!(head.length <= raw.len() && head.length <= LIMITS.head_bytes);
    assert!(head.fields.len() <= LIMITS.fields && (100..=999).contains(&head.status));
    assert!(method != "HEAD" || head.body == BodyLength::None);
    assert!(!(head.keep_alive && head.body == BodyLength::UntilClose));

    let mut copied = Vec::new();
    head.copy_fields(&mut copied, |_| true);
    copied.extend_from_slice(b"\r\n");
    assert!(raw[..head.length].ends_with(&copied));

    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut other = httparse::Response::new(&mut headers);
    assert_eq!(other.parse(raw), Ok(httparse::Status::Complete(head.length)));
    assert_eq!(other.code, Some(head.status));
    let others = other.headers.iter().map(|header| (header.name, header.value));
    assert!(head.fields.iter().map(|field| (field.name.as_str(), field.value)).eq(others));
});
