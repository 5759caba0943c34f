//! Dialogues: frames in, events and frames out.

use super::*;
use crate::error::Reason;
use crate::frame::{Frame, HEADER_BYTES};
use crate::hpack::{write_field, write_index};

mod abuse;
mod client;
mod server;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(0, kind, flags, stream).to_vec();
    bytes[..3].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
    bytes.extend_from_slice(payload);
    bytes
}

/// GET / of a.
pub fn get(stream: u32) -> Vec<u8> {
    request(stream, flag::END_STREAM, &[])
}

/// As [`get`], with more fields.
pub fn request(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    [2, 6, 4].into_iter().for_each(|index| write_index(&mut block, index));
    write_field(&mut block, b":authority", b"a");
    fields.iter().for_each(|(name, value)| write_field(&mut block, name.as_bytes(), value.as_bytes()));
    frame(kind::HEADERS, flags | flag::END_HEADERS, stream, &block)
}

pub fn data(stream: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
    frame(kind::DATA, flags, stream, bytes)
}

pub fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = entries
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(kind::SETTINGS, flag::NONE, 0, &payload)
}

pub fn reset(stream: u32, code: ErrorCode) -> Vec<u8> {
    frame(kind::RST_STREAM, flag::NONE, stream, &code.0.to_be_bytes())
}

pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, flag::NONE, stream, &increment.to_be_bytes())
}

/// A server that has greeted and was greeted; its output is read.
pub fn server() -> Connection {
    let mut connection = Connection::server(Limits::TYPICAL, 0);
    let greeting = [&PREFACE[..], &settings(&[]), &frame(kind::SETTINGS, flag::ACK, 0, &[])].concat();
    assert_eq!(feed(&mut connection, &greeting), Ok(vec![]));
    sent(&mut connection);
    connection
}

/// All events that the input brings, as text.
pub fn feed(connection: &mut Connection, input: &[u8]) -> Result<Vec<String>, ConnectionError> {
    feed_at(connection, input, 0)
}

pub fn feed_at(
    connection: &mut Connection,
    mut input: &[u8],
    now: u64,
) -> Result<Vec<String>, ConnectionError> {
    let mut events = Vec::new();
    loop {
        match connection.step(input, now) {
            Step::More { consumed } => {
                assert_eq!(consumed, input.len());
                return Ok(events);
            }
            Step::Event { consumed, event } => {
                events.push(describe(&event));
                input = &input[consumed..];
            }
            Step::Failed { error, .. } => return Err(error),
        }
    }
}

/// An event in short.
fn describe(event: &Event<'_>) -> String {
    let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let end = |is_end: bool| if is_end { " end" } else { "" };
    match event {
        Event::Head { stream, text: head, is_end } => format!("{stream} {}{}", text(head), end(*is_end)),
        Event::Interim { stream, text: head } => format!("{stream} interim {}", text(head)),
        Event::TooLarge { stream, is_end } => format!("{stream} too large{}", end(*is_end)),
        Event::Data { stream, bytes, is_end } => format!("{stream} data {}{}", text(bytes), end(*is_end)),
        Event::Trailers { stream, fields } => format!("{stream} trailers {}", text(fields)),
        Event::Reset { stream, code } => format!("{stream} reset {}", code.word()),
        Event::Broken { stream, error } => format!("{stream} broken {}: {}", error.code.word(), error.what),
        Event::Writable { stream } => format!("{stream} writable"),
        other => format!("{other:?}"),
    }
}

/// The frames of the output, which is read with this: kind, flags, stream, payload.
pub fn sent(connection: &mut Connection) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let bytes = connection.output().pending().to_vec();
    connection.output().advance(bytes.len());
    let (mut rest, mut frames) = (&bytes[..], Vec::new());
    while let Some((head, behind)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let frame = Frame::parse(head);
        frames.push((frame.kind, frame.flags, frame.stream, behind[..frame.length].to_vec()));
        rest = &behind[frame.length..];
    }
    frames
}

/// The codes of the resets in the output.
pub fn resets(connection: &mut Connection) -> Vec<(u32, ErrorCode)> {
    let frames = sent(connection).into_iter().filter(|frame| frame.0 == kind::RST_STREAM);
    frames.map(|frame| (frame.2, ErrorCode(u32::from_be_bytes(frame.3.try_into().unwrap())))).collect()
}

pub const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
