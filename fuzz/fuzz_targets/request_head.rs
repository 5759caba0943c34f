//! A request head is read alike however it is cut, never further than it goes, and as httparse reads it.
//!
//! The first two bytes choose where the input is cut; the rest is what a client sends.

#![no_main]

use evenly_http1::{HeadLimits, Slots, parse_request};
use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, fields: 60, target_bytes: 1024 };

fuzz_target!(|input: &[u8]| {
    let Some((cut, raw)) = input.split_first_chunk::<2>() else { return };
    let cut = usize::from(u16::from_le_bytes(*cut)) % (raw.len() + 1);
    let (mut slots, mut other_slots) = (Slots::new(), Slots::new());
    let whole = parse_request(raw, &LIMITS, &mut slots);
    match parse_request(&raw[..cut], &LIMITS, &mut other_slots) {
        Ok(None) => assert!(!matches!(&whole, Ok(Some(head)) if head.length <= cut)),
        seen => assert_eq!(seen, whole),
    }
    let head = match whole {
        Ok(Some(head)) => head,
        Ok(None) => return assert!(raw.len() < LIMITS.head_bytes),
        Err(error) => return assert!((400..=505).contains(&error.status()) && !error.reason().is_empty()),
    };
    assert!(head.length <= raw.len() && head.length <= LIMITS.head_bytes);
    assert!(head.fields.len() <= LIMITS.fields && head.target.raw.len() <= LIMITS.target_bytes);

    let mut copied = Vec::new();
    head.copy_fields(&mut copied, |_| true);
    copied.extend_from_slice(b"\r\n");
    assert!(raw[..head.length].ends_with(&copied));

    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut other = httparse::Request::new(&mut headers);
    assert_eq!(other.parse(raw), Ok(httparse::Status::Complete(head.length)));
    assert_eq!((other.method, other.path), (Some(head.method), Some(head.target.raw)));
    let others = other.headers.iter().map(|header| (header.name, header.value));
    assert!(head.fields.iter().map(|field| (field.name.as_str(), field.value)).eq(others));
});
