use super::*;
use crate::frame::write_header;
use crate::qpack::Section as Block;
use evenly_http2::fields::{Coding, Name};

const LIMITS: Limits =
    Limits { streams: 100, head_bytes: 1024, fields: 10, held_head_bytes: 2000, extended_connect: true };

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_header(&mut out, kind, payload.len());
    out.extend_from_slice(payload);
    out
}

fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    let mut section = Block::begin(&mut block);
    fields.iter().for_each(|(name, value)| section.field(Name::of(name.as_bytes()), value.as_bytes()));
    frame(kind::HEADERS, &block)
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")];

fn request(more: &[(&str, &str)]) -> Vec<u8> {
    headers(&[&GET[..], more].concat())
}

/// What becomes of a stream, whose bytes come in pieces of `size`.
fn fate(input: &[u8], size: usize) -> Result<String, Error> {
    let mut connection = Connection::new(LIMITS, 0);
    let mut reader = Reader::new(&connection);
    let mut said = String::new();
    for (at, piece) in input.chunks(size.max(1)).enumerate() {
        let mut rest = piece;
        while let Some(piece) = reader.step(&mut connection, &mut rest, 0)? {
            match piece {
                Piece::Head => {
                    let is_end = rest.is_empty() && (at + 1) * size.max(1) >= input.len();
                    match reader.head(&mut connection, is_end, 0)? {
                        Head::Text(text, _) => said.push_str(std::str::from_utf8(text).unwrap()),
                        Head::TooLarge => said.push_str("too large"),
                    }
                }
                Piece::TooLarge => said.push_str("far too large"),
                Piece::Data(bytes) => said.push_str(std::str::from_utf8(bytes).unwrap()),
                Piece::Trailers => {
                    said.push_str(std::str::from_utf8(reader.trailers(&connection)).unwrap());
                }
            }
        }
    }
    reader.end().map(|()| said)
}

/// The same, however it is cut.
fn any(input: &[u8]) -> Result<String, Error> {
    let whole = fate(input, input.len());
    for size in [1, 2, 3, 7, 50] {
        assert_eq!(fate(input, size), whole, "{size}");
    }
    whole
}

fn refused(input: &[u8], scope: Scope, code: Code) {
    let error = any(input).expect_err("a broken rule");
    assert_eq!((error.scope, error.code), (scope, code), "{error}");
}

use crate::error::Scope;

#[test]
fn a_request_becomes_the_text_of_http_1() {
    let grease = frame(0x21, b"grease");
    let input =
        [grease.clone(), request(&[("cookie", "a=b"), ("x", "y"), ("cookie", "c=d")]), grease].concat();
    let text = "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\ncookie: a=b; c=d\r\n";
    // A frame behind the head keeps it from being the end.
    assert_eq!(any(&input), Ok(format!("{text}transfer-encoding: chunked\r\n\r\n")));
    assert_eq!(any(&request(&[])), Ok("GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned()));
}

#[test]
fn a_body_is_data_and_trailers() {
    let input = [
        request(&[("content-length", "5")]),
        frame(kind::DATA, b"he"),
        frame(kind::DATA, b"llo"),
        headers(&[("x-sum", "1")]),
        frame(0x21, b""),
    ]
    .concat();
    let wanted = "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhellox-sum: 1\r\n";
    assert_eq!(any(&input), Ok(wanted.to_owned()));
}

#[test]
fn a_length_that_is_not_the_bodys_is_malformed() {
    let head = request(&[("content-length", "5")]);
    for data in ["hell", "hello!"] {
        let input = [head.clone(), frame(kind::DATA, data.as_bytes())].concat();
        refused(&input, Scope::Stream, Code::MESSAGE_ERROR);
    }
    refused(&head, Scope::Stream, Code::MESSAGE_ERROR);
    refused(&[head, headers(&[("x", "y")])].concat(), Scope::Stream, Code::MESSAGE_ERROR);
}

#[test]
fn what_could_be_smuggled_is_malformed() {
    for field in [
        ("x", "a\r\nb: c"),
        ("x", "a\0"),
        ("x", " a"),
        ("x y", "z"),
        ("x:", "z"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip"),
        ("host", "b"),
        (":path", "/again"),
        (":status", "200"),
        ("content-length", "+1"),
    ] {
        refused(&request(&[field]), Scope::Stream, Code::MESSAGE_ERROR);
    }
    // Raw, since the encoder here writes names in lower case.
    let block = b"\x00\x00\xd1\xd7\x50\x01a\xc1\x23X-A\x01b";
    refused(&frame(kind::HEADERS, block), Scope::Stream, Code::MESSAGE_ERROR);
    refused(&headers(&GET[..3]), Scope::Stream, Code::MESSAGE_ERROR);
}

#[test]
fn frames_out_of_place_end_the_connection() {
    let head = request(&[]);
    for kind in [
        kind::SETTINGS,
        kind::GOAWAY,
        kind::MAX_PUSH_ID,
        kind::CANCEL_PUSH,
        kind::PUSH_PROMISE,
        0x02,
        0x06,
        0x08,
        0x09,
    ] {
        refused(&frame(kind, b"\0"), Scope::Connection, Code::FRAME_UNEXPECTED);
        refused(&[head.clone(), frame(kind, b"\0")].concat(), Scope::Connection, Code::FRAME_UNEXPECTED);
    }
    refused(&frame(kind::DATA, b"x"), Scope::Connection, Code::FRAME_UNEXPECTED);
    for behind in [frame(kind::DATA, b"x"), headers(&[("y", "z")])] {
        let input = [head.clone(), headers(&[("x", "y")]), behind].concat();
        refused(&input, Scope::Connection, Code::FRAME_UNEXPECTED);
    }
    let connect = headers(&[(":method", "CONNECT"), (":authority", "a:1")]);
    refused(&[connect, headers(&[("x", "y")])].concat(), Scope::Connection, Code::FRAME_UNEXPECTED);
}

#[test]
fn a_stream_that_ends_early_is_no_request() {
    refused(b"", Scope::Stream, Code::REQUEST_INCOMPLETE);
    refused(&frame(0x21, b"x"), Scope::Stream, Code::REQUEST_INCOMPLETE);
    let head = request(&[]);
    refused(&head[..head.len() - 1], Scope::Connection, Code::FRAME_ERROR);
    refused(&[&head[..], b"\0"].concat(), Scope::Connection, Code::FRAME_ERROR);
    refused(&[&head[..], b"\0\x05abc"].concat(), Scope::Connection, Code::FRAME_ERROR);
}

#[test]
fn sections_are_bounded_in_bytes_and_in_fields() {
    let long = "x".repeat(1000);
    assert_eq!(any(&request(&[("x", &long)])), Ok("too large".to_owned()));
    assert_eq!(any(&request(&[("x", ""); 7])), Ok("too large".to_owned()));
    assert!(any(&request(&[("x", ""); 6])).unwrap().ends_with("\r\n\r\n"));
    let longer = "x".repeat(3000);
    assert_eq!(any(&request(&[("x", &longer)])), Ok("far too large".to_owned()));
    let trailers = [request(&[]), headers(&[("x", &long)])].concat();
    refused(&trailers, Scope::Stream, Code::EXCESSIVE_LOAD);
    refused(&frame(kind::HEADERS, b""), Scope::Connection, Code::QPACK_DECOMPRESSION_FAILED);
    refused(&frame(kind::HEADERS, b"\x02\0\x80"), Scope::Connection, Code::QPACK_DECOMPRESSION_FAILED);
}

#[test]
fn heads_that_do_not_come_to_an_end_are_bounded_together() {
    let mut connection = Connection::new(LIMITS, 0);
    let head = request(&[("x", &"x".repeat(900))]);
    let mut readers: Vec<_> = (0..3).map(|_| Reader::new(&connection)).collect();
    let begun: Vec<_> = readers
        .iter_mut()
        .map(|reader| reader.step(&mut connection, &mut &head[..head.len() - 1], 0).is_ok())
        .collect();
    assert_eq!(begun, [true, true, false]);
    drop(readers);
    assert_eq!(connection.held.get(), 0);
}

#[test]
fn fields_that_take_far_more_memory_than_bytes_are_bounded_together() {
    let mut connection = Connection::new(LIMITS, 0);
    let bomb = [&b"\x00\x00\xd1\xd7\x50\x01a\xc1"[..], &[0xc0 | 58; 6]].concat();
    let head = frame(kind::HEADERS, &bomb);
    let mut readers = Vec::new();
    while readers.len() < 100 {
        let mut reader = Reader::new(&connection);
        assert_eq!(reader.step(&mut connection, &mut &head[..], 0), Ok(Some(Piece::Head)));
        let Ok(Head::Text(..)) = reader.head(&mut connection, true, 0) else { break };
        readers.push(reader);
    }
    assert!((1..10).contains(&readers.len()), "{}", readers.len());
}

#[test]
fn frames_without_use_are_counted() {
    let mut connection = Connection::new(LIMITS, 0);
    let mut reader = Reader::new(&connection);
    let flood = frame(0x21, b"").repeat(201);
    let error = reader.step(&mut connection, &mut &flood[..], 0).unwrap_err();
    assert_eq!((error.scope, error.is_abuse()), (Scope::Connection, true));
    assert!((0..100).all(|_| connection.given_up(0).is_ok()));
    assert!(connection.given_up(0).is_err());
    connection.answered();
    assert!(connection.given_up(0).is_ok());
}
