//! An HTTP/2 connection says the same to an input however it is cut, and keeps within its bounds; what it makes of a
//! request is text that the parser of HTTP/1.1 reads to its end, or refuses.
//!
//! The first byte is the size of the pieces and, by its highest bit, the role; the rest is what the peer sends behind
//! its greeting.

#![no_main]

use evenly_http1::{HeadLimits, Slots, Version, parse_request, parse_response};
use evenly_http2::{Connection, Event, Limits, Scheme, Step, StreamId};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits =
    Limits { head_bytes: 2048, fields: 20, held_head_bytes: 8192, output_bytes: 4096, ..Limits::TYPICAL };
const HEADS: HeadLimits = HeadLimits { head_bytes: 16_384, fields: 40, target_bytes: 16_384 };
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

/// What a connection said, in events and in bytes.
struct Fate {
    events: Vec<String>,
    output: Vec<u8>,
}

fn fate(is_server: bool, input: &[u8], size: usize) -> Fate {
    let mut connection = if is_server {
        Connection::server(LIMITS, 0)
    } else {
        let mut client = Connection::client(LIMITS, Scheme::Http, 0);
        client.open(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", true).expect("a first request can be sent");
        client.open(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", true).expect("a second one, too");
        client
    };
    let (mut events, mut output) = (Vec::new(), Vec::new());
    for piece in input.chunks(size.max(1)) {
        let mut rest = piece;
        loop {
            let (consumed, react) = match connection.step(rest, 0) {
                Step::More { consumed } => break assert_eq!(consumed, rest.len()),
                Step::Failed { error, .. } => break events.push(error.to_string()),
                Step::Event { consumed, event } => (consumed, record(&event, is_server, &mut events)),
            };
            rest = &rest[consumed..];
            match react {
                Some((stream, true)) => {
                    if connection.send_head(stream, b"HTTP/1.1 200 OK\r\n\r\n", false).is_ok() {
                        let _ = connection.send_data(stream, b"hello", true);
                    }
                }
                Some((stream, false)) => connection.finished(stream),
                None => {}
            }
        }
        assert!(connection.streams() <= 100 && connection.output().len() < 64 << 10);
        output.extend_from_slice(connection.output().pending());
    }
    output.clear();
    output.extend_from_slice(connection.output().pending());
    Fate { events, output }
}

/// Notes an event; says on which stream to answer (true) or which is finished (false).
fn record(event: &Event<'_>, is_server: bool, events: &mut Vec<String>) -> Option<(StreamId, bool)> {
    match *event {
        // Cut as the input is.
        Event::Data { .. } => return None,
        Event::Head { text, .. } | Event::Interim { text, .. } => check(text, is_server),
        _ => {}
    }
    events.push(format!("{event:?}"));
    match *event {
        Event::Head { stream, is_end: true, .. } | Event::Trailers { stream, .. } => {
            Some((stream, is_server))
        }
        Event::Reset { stream, .. } | Event::Broken { stream, .. } => Some((stream, false)),
        _ => None,
    }
}

/// Whatever the fields were: one head, and all of the text.
fn check(text: &[u8], is_server: bool) {
    let mut slots = Slots::new();
    if is_server {
        match parse_request(text, &HEADS, &mut slots) {
            Ok(Some(head)) => assert_eq!((head.length, head.version), (text.len(), Version::Http11)),
            Ok(None) => panic!("half a head: {text:?}"),
            Err(error) => assert!(!error.reason().is_empty()),
        }
    } else {
        let head = parse_response(text, &HEADS, "GET", &mut slots).expect("a response that can be read");
        assert_eq!(head.map(|head| head.length), Some(text.len()));
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, frames)) = input.split_first() else { return };
    let is_server = choice & 0x80 != 0;
    let input = [if is_server { PREFACE } else { b"" }, SETTINGS, frames].concat();
    let whole = fate(is_server, &input, input.len());
    let cut = fate(is_server, &input, usize::from(choice & 0x7f));
    assert_eq!((cut.events, cut.output), (whole.events, whole.output));
});
