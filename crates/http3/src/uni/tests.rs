use super::*;
use crate::connection::{Limits, write_goaway, write_greeting};

const LIMITS: Limits =
    Limits { streams: 100, head_bytes: 1024, fields: 10, held_head_bytes: 2000, extended_connect: true };

/// What becomes of a stream whose bytes come in pieces of `size`, and of its end.
fn take(input: &[u8], size: usize) -> Result<Fate, Error> {
    let mut connection = Connection::new(LIMITS, 0);
    let mut uni = Uni::new();
    let mut fate = Fate::Goes;
    for piece in input.chunks(size) {
        fate = uni.take(&mut connection, piece, 0)?;
    }
    Ok(fate)
}

fn refused(input: &[u8], code: Code) {
    for size in [1, 3, input.len()] {
        assert_eq!(take(input, size).map_err(|error| error.code), Err(code), "{input:?} by {size}");
    }
}

#[test]
fn the_servers_own_greeting_is_a_clients_too() {
    let mut greeting = Vec::new();
    write_greeting(&mut greeting, &LIMITS);
    assert_eq!(greeting, b"\x00\x04\x05\x06\x44\x00\x08\x01");
    write_goaway(&mut greeting, 8);
    write_goaway(&mut greeting, 4);
    for size in [1, 4, 100] {
        assert_eq!(take(&greeting, size), Ok(Fate::Goes));
    }
    write_goaway(&mut greeting, 8);
    refused(&greeting, Code::ID_ERROR);
}

#[test]
fn a_control_stream_has_rules() {
    refused(b"\x00\x07\x01\x00", Code::MISSING_SETTINGS);
    refused(b"\x00\x21\x00", Code::MISSING_SETTINGS);
    refused(b"\x00\x04\x00\x04\x00", Code::FRAME_UNEXPECTED);
    for kind in [0x00, 0x01, 0x02, 0x05, 0x06, 0x08, 0x09] {
        refused(&[0, 4, 0, kind, 0], Code::FRAME_UNEXPECTED);
    }
    refused(b"\x00\x04\x00\x03\x01\x00", Code::ID_ERROR);
    refused(b"\x00\x04\x00\x0d\x01\x05\x0d\x01\x04", Code::ID_ERROR);
    refused(b"\x00\x04\x00\x0d\x02\x05\x05", Code::FRAME_ERROR);
    refused(b"\x00\x04\x00\x0d\x00", Code::FRAME_ERROR);
    refused(b"\x00\x04\x01\x06", Code::FRAME_ERROR);
    for bad in [&b"\x02\x01"[..], b"\x03\x01", b"\x04\x01", b"\x05\x01", b"\x06\x01\x06\x02", b"\x08\x02"] {
        let length = u8::try_from(bad.len()).unwrap();
        refused(&[&[0, 4, length], bad].concat(), Code::SETTINGS_ERROR);
    }
    refused(b"\x00\x04\x44\x01", Code::EXCESSIVE_LOAD);
    // PRIORITY_UPDATE and what nobody knows are dropped.
    assert_eq!(take(b"\x00\x04\x00\x80\x0f\x07\x00\x02\x00u\x21\x03abc\x0d\x01\x00", 100), Ok(Fate::Goes));
    let flood = [&b"\x00\x04\x00"[..], &b"\x21\x00".repeat(201)].concat();
    assert_eq!(take(&flood, 10).map_err(|error| error.code), Err(Code::EXCESSIVE_LOAD));
}

#[test]
fn streams_for_qpack_say_nothing_about_a_table() {
    assert_eq!(take(b"\x02\x20\x20", 1), Ok(Fate::Goes));
    for bad in [b"\x02\x21", b"\x02\x3f", b"\x02\x80", b"\x02\x40", b"\x02\x00"] {
        refused(bad, Code::QPACK_ENCODER_STREAM_ERROR);
    }
    assert_eq!(take(b"\x03\x41\x7f\x80\x01\x42", 1), Ok(Fate::Goes));
    refused(b"\x03\x80", Code::QPACK_DECODER_STREAM_ERROR);
    refused(b"\x03\x01", Code::QPACK_DECODER_STREAM_ERROR);
    refused(&[&b"\x03\x7f"[..], &[0x80; 10]].concat(), Code::QPACK_DECODER_STREAM_ERROR);
}

#[test]
fn critical_streams_are_there_once_and_stay() {
    let mut connection = Connection::new(LIMITS, 0);
    for kind in [0x00, 0x02, 0x03] {
        let mut first = Uni::new();
        assert_eq!(first.take(&mut connection, &[kind], 0), Ok(Fate::Goes));
        assert_eq!(first.end().map_err(|error| error.code), Err(Code::CLOSED_CRITICAL_STREAM));
        let second = Uni::new().take(&mut connection, &[kind], 0);
        assert_eq!(second.map_err(|error| error.code), Err(Code::STREAM_CREATION_ERROR));
    }
    refused(b"\x01", Code::STREAM_CREATION_ERROR);
    let mut unknown = Uni::new();
    assert_eq!(unknown.end(), Ok(()));
    let fate = unknown.take(&mut connection, b"\x40\x54xyz", 0);
    assert_eq!(fate, Ok(Fate::Stop(Code::STREAM_CREATION_ERROR)));
    assert_eq!(unknown.end(), Ok(()));
}
