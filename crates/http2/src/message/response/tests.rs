use super::*;
use crate::hpack::{Decoder, write_field};
use crate::limits::Limits;
use crate::message::{Refusal, read_section};

fn read(fields: &[&str], is_end: bool, exchange: &Exchange) -> Result<(Answer, String), &'static str> {
    let mut block = Vec::new();
    for field in fields {
        let at = field[1..].find('=').unwrap() + 1;
        write_field(&mut block, &field.as_bytes()[..at], &field.as_bytes()[at + 1..]);
    }
    let mut rooms = Rooms::default();
    let mut response = Response::new(&mut rooms, exchange);
    let section = read_section(&mut Decoder::new(), &block, &Limits::TYPICAL, &mut response).unwrap();
    match section.refusal {
        None => {
            let answer = response.finish(is_end)?;
            Ok((answer, String::from_utf8(rooms.text).unwrap()))
        }
        Some(Refusal::Malformed(what)) => Err(what),
        Some(Refusal::TooLarge) => Err("too large"),
    }
}

fn text(fields: &[&str], is_end: bool, exchange: &Exchange) -> String {
    read(fields, is_end, exchange).unwrap().1
}

#[test]
fn a_response_becomes_its_text() {
    let message = Exchange::Message;
    assert_eq!(
        text(&[":status=200", "content-length=2", "a=b"], false, &message),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\na: b\r\n\r\n"
    );
    assert_eq!(
        text(&[":status=200"], false, &message),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    assert_eq!(text(&[":status=404"], true, &message), "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(text(&[":status=304"], true, &message), "HTTP/1.1 304 Not Modified\r\n\r\n");
    let head = read(&[":status=200", "content-length=9"], false, &Exchange::HeadOnly).unwrap();
    assert_eq!(head.0, Answer::Final { content_length: Some(0) });
    assert_eq!(head.1, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
    let hints = read(&[":status=103", "link=x"], false, &message).unwrap();
    assert_eq!(hints, (Answer::Interim, "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".to_owned()));
}

#[test]
fn tunnels_have_no_framing() {
    assert_eq!(text(&[":status=200"], false, &Exchange::Connect), "HTTP/1.1 200 OK\r\n\r\n");
    let websocket = Exchange::WebSocket(Box::new([b'x'; 28]));
    assert_eq!(
        text(&[":status=200", "sec-websocket-accept=forged"], false, &websocket),
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {}\r\n\r\n",
            "x".repeat(28)
        )
    );
    assert_eq!(
        text(&[":status=403"], true, &websocket),
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"
    );
    assert_eq!(
        read(&[":status=200", "content-length=1"], false, &websocket),
        Err("tunnel with content-length")
    );
}

#[test]
fn what_says_nothing_or_two_things_is_malformed() {
    for (fields, is_end, what) in [
        (&["a=b"][..], false, "response without :status"),
        (&["a=b", ":status=200"], false, "response without :status"),
        (&[], false, "response without :status"),
        (&[":status=200", ":status=200"], false, "repeated pseudo-header"),
        (&[":status=200", "a=b", ":status=200"], false, "pseudo-header behind a field"),
        (&[":status=20"], false, "invalid :status"),
        (&[":status=2000"], false, "invalid :status"),
        (&[":status=099"], false, "invalid :status"),
        (&[":status=101"], false, "101 in HTTP/2"),
        (&[":status=100"], true, "informational response that ends the stream"),
        (&[":status=200", ":path=/"], false, "a request's pseudo-header in a response"),
        (&[":status=200", "connection=close"], false, "field for one connection"),
        (&[":status=200", "content-length=1", "content-length=1"], false, "repeated content-length"),
        (&[":status=200", "content-length=1"], true, "content-length of a response without content"),
        (&[":status=200", "a=b\nc"], false, "invalid byte in a value"),
    ] {
        assert_eq!(read(fields, is_end, &Exchange::Message), Err(what), "{fields:?}");
    }
}
