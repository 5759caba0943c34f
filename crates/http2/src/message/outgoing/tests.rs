use super::*;
use crate::hpack::{Block, Decoder};

/// A block as lines of text.
fn lines(block: &[u8]) -> String {
    let (mut decoder, mut block, mut text) = (Decoder::new(), Block::new(block), Vec::new());
    while let Some(field) = decoder.next(&mut block).unwrap() {
        text.extend_from_slice(field.text);
    }
    String::from_utf8(text).unwrap()
}

fn request(head: &str) -> Result<(Sent, String), &'static str> {
    let mut out = Vec::new();
    let sent = write_request(&mut out, head.as_bytes(), true, true)?;
    Ok((sent, lines(&out)))
}

fn response(head: &str, exchange: &Exchange) -> Result<(u16, String), &'static str> {
    let mut out = Vec::new();
    let status = write_response(&mut out, head.as_bytes(), exchange)?;
    Ok((status, lines(&out)))
}

#[test]
fn a_request_loses_what_is_for_one_connection() {
    let head = "POST /x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x\r\nTransfer-Encoding: chunked\r\n\
        Keep-Alive: 5\r\nProxy-Connection: y\r\nTE: gzip, Trailers\r\nX-Long-Name-Of-More-Than-Thirty-Two-Bytes: v\r\n\
        Cookie: a=b\r\n\r\n";
    let wanted = ":method: POST\r\n:scheme: https\r\n:path: /x\r\n:authority: a\r\n\
        x-long-name-of-more-than-thirty-two-bytes: v\r\ncookie: a=b\r\nte: trailers\r\n";
    assert_eq!(request(head), Ok((Sent::Request(Exchange::Message), wanted.to_owned())));
    let grpc = request("POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc+proto\r\n\r\n").unwrap();
    assert!(grpc.1.ends_with("te: trailers\r\n"));
}

#[test]
fn targets_have_four_forms() {
    let start = |head: &str| request(head).map(|(_, text)| text);
    let asterisk = ":method: OPTIONS\r\n:scheme: https\r\n:path: *\r\n:authority: a\r\n";
    assert_eq!(start("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(asterisk.to_owned()));
    assert_eq!(start("OPTIONS http://a HTTP/1.1\r\nHost: b\r\n\r\n"), Ok(asterisk.to_owned()));
    let absolute = ":method: GET\r\n:scheme: https\r\n:path: /p?q\r\n:authority: a:1\r\n";
    assert_eq!(start("GET http://a:1/p?q HTTP/1.1\r\nHost: b\r\n\r\n"), Ok(absolute.to_owned()));
    let connect = ":method: CONNECT\r\n:authority: a:443\r\n";
    assert_eq!(start("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), Ok(connect.to_owned()));
}

#[test]
fn an_upgrade_becomes_extended_connect() {
    let head = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let (sent, text) = request(head).unwrap();
    assert_eq!(sent, Sent::Request(Exchange::WebSocket(Box::new(*b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))));
    assert_eq!(
        text,
        ":method: CONNECT\r\n:scheme: https\r\n:path: /chat\r\n:authority: a\r\n:protocol: websocket\r\n\
         sec-websocket-version: 13\r\n"
    );
    let refused = write_request(&mut Vec::new(), head.as_bytes(), true, false);
    assert_eq!(refused, Ok(Sent::NeedsExtendedConnect));
    // Without `Connection` it asks for nothing.
    let (sent, text) = request("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").unwrap();
    assert_eq!(sent, Sent::Request(Exchange::Message));
    assert!(!text.contains("upgrade"));
}

#[test]
fn a_response_loses_what_is_for_one_connection() {
    let head =
        "HTTP/1.1 200 OK\r\nServer: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nX: \t y \r\n\r\n";
    let wanted = (200, ":status: 200\r\nserver: x\r\nx: y\r\n".to_owned());
    assert_eq!(response(head, &Exchange::Message), Ok(wanted));
    let empty = response("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", &Exchange::Message);
    assert_eq!(empty, Ok((204, ":status: 204\r\n".to_owned())));
    assert_eq!(
        response("HTTP/1.1 599\r\n\r\n", &Exchange::Message),
        Ok((599, ":status: 599\r\n".to_owned()))
    );
}

#[test]
fn only_101_accepts_an_upgrade() {
    let accept = *b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    let websocket = Exchange::WebSocket(Box::new(accept));
    let head = |accept: &str| {
        format!(
            "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        )
    };
    let good = head("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(response(&good, &websocket), Ok((101, ":status: 200\r\n".to_owned())));
    let wrong = Err("101 without the right sec-websocket-accept");
    assert_eq!(response(&head("s3pPLMBiTxaQ9kYGzzhZRbK+xOO="), &websocket), wrong);
    assert_eq!(response("HTTP/1.1 101 S\r\n\r\n", &websocket), wrong);
    assert_eq!(response(&good, &Exchange::Message), Err("101 to a request without upgrade"));
    let other = Exchange::Upgrade(b"connect-udp"[..].into());
    assert_eq!(response("HTTP/1.1 101 S\r\n\r\n", &other), Ok((101, ":status: 200\r\n".to_owned())));
    assert!(response("HTTP/1.1 200 OK\r\n\r\n", &websocket).is_err());
    assert_eq!(response("HTTP/1.1 403 F\r\n\r\n", &websocket), Ok((403, ":status: 403\r\n".to_owned())));
}

#[test]
fn trailers_lose_what_belongs_into_heads() {
    let mut out = Vec::new();
    write_trailers(&mut out, b"Grpc-Status: 0\r\nContent-Length: 5\r\nHost: a\r\nConnection: x\r\n").unwrap();
    assert_eq!(lines(&out), "grpc-status: 0\r\n");
}

#[test]
fn texts_that_are_none_are_refused() {
    for head in [
        "",
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\nb: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nb: c\rd\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nb c: d\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: d\r\n\r\n",
    ] {
        assert!(request(head).is_err(), "{head:?}");
    }
    for head in ["", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "HTTP/1.1 200 OK\r\na: b\0\r\n\r\n"]
    {
        assert!(response(head, &Exchange::Message).is_err(), "{head:?}");
    }
}
