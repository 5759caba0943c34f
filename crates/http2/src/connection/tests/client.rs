use super::*;
use crate::error::OpenError;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A client that knows the server's settings.
fn client(entries: &[(u16, u32)]) -> Connection {
    let mut connection = Connection::client(Limits::TYPICAL, Scheme::Https, 0);
    assert!(connection.output().pending().starts_with(PREFACE));
    let length = connection.output().len();
    connection.output().advance(length);
    assert_eq!(feed(&mut connection, &settings(entries)), Ok(vec!["Settings".to_owned()]));
    sent(&mut connection);
    connection
}

fn response(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    fields.iter().for_each(|(name, value)| write_field(&mut block, name.as_bytes(), value.as_bytes()));
    frame(kind::HEADERS, flags | flag::END_HEADERS, stream, &block)
}

#[test]
fn a_request_and_its_answer() {
    let mut connection = client(&[]);
    let stream = connection.open(REQUEST, true).unwrap();
    assert_eq!(stream.number(), 1);
    let frames = sent(&mut connection);
    assert_eq!(frames, [(kind::HEADERS, 5, 1, b"\x20\x82\x87\x84\x01\x01a".to_vec())]);
    let input = [
        response(1, 0, &[(":status", "103"), ("link", "x")]),
        response(1, 0, &[(":status", "200")]),
        data(1, 0, b"body"),
        response(1, 1, &[("grpc-status", "0")]),
    ]
    .concat();
    let events = [
        "1 interim HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
        "1 HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "1 data body",
        "1 trailers grpc-status: 0\r\n",
    ];
    assert_eq!(feed(&mut connection, &input), Ok(events.map(str::to_owned).to_vec()));
    connection.finished(stream);
    assert_eq!((sent(&mut connection), connection.streams()), (vec![], 0));
}

#[test]
fn the_servers_limit_is_obeyed() {
    let mut connection = client(&[(3, 2)]);
    assert_eq!(connection.room(), 2);
    let one = connection.open(REQUEST, true).unwrap();
    connection.open(REQUEST, true).unwrap();
    assert_eq!(connection.open(REQUEST, true), Err(OpenError::Full));
    connection.finished(one);
    assert_eq!(resets(&mut connection), [(1, ErrorCode::CANCEL)]);
    assert_eq!(connection.open(REQUEST, true).unwrap().number(), 5);
    assert_eq!(connection.open(b"GET / HTTP/1.1\r\n\r\n", true), Err(OpenError::Full));
}

/// Whatever is late for a stream that was given up, however many came behind it.
#[test]
fn late_frames_of_streams_long_gone_harm_nobody() {
    let mut connection = client(&[]);
    for _ in 0..1_000 {
        let stream = connection.open(REQUEST, true).unwrap();
        connection.finished(stream);
        sent(&mut connection);
    }
    let held = connection.open(REQUEST, true).unwrap();
    let late = [response(1, 0, &[(":status", "200"), ("x-late", "a")]), data(3, 1, b"late")].concat();
    assert_eq!(feed(&mut connection, &late), Ok(vec![]));
    // What they said of the table counts all the same.
    let answer = response(held.number(), 1, &[(":status", "204"), ("x-late", "a")]);
    assert_eq!(feed(&mut connection, &answer).unwrap().len(), 1);
    assert!(
        feed(&mut connection, &data(held.number() + 2, 1, b"x")).is_err(),
        "a stream that was never opened"
    );
}

#[test]
fn goaway_tells_what_can_be_tried_elsewhere() {
    let mut connection = client(&[]);
    let (one, three) = (connection.open(REQUEST, false).unwrap(), connection.open(REQUEST, false).unwrap());
    let goaway = frame(kind::GOAWAY, 0, 0, b"\0\0\0\x01\0\0\0\0");
    let events = feed(&mut connection, &goaway).unwrap();
    assert_eq!(events, ["GoAway { last: StreamId(1), code: ErrorCode(0) }"]);
    assert_eq!(connection.open(REQUEST, true), Err(OpenError::Draining));
    assert_eq!(connection.send_data(one, b"x", true), Ok(1));
    assert!(connection.send_data(three, b"x", true).is_err());
    sent(&mut connection);
    connection.finished(three);
    assert_eq!(sent(&mut connection), [], "nobody is there to be told");
    assert_eq!(feed(&mut connection, &response(1, 1, &[(":status", "204")])).unwrap().len(), 1);
}

#[test]
fn websocket_is_extended_connect() {
    let upgrade = b"GET /c HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(client(&[]).open(upgrade, false), Err(OpenError::NoExtendedConnect));
    let mut connection = client(&[(8, 1)]);
    assert!(connection.takes_upgrades());
    let stream = connection.open(upgrade, false).unwrap();
    let events = feed(&mut connection, &response(1, 0, &[(":status", "200")])).unwrap();
    assert!(events[0].starts_with("1 HTTP/1.1 101 Switching Protocols\r\n"));
    assert!(events[0].ends_with("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
    assert_eq!(connection.send_data(stream, b"frame", false), Ok(5));
}

#[test]
fn malformed_responses_reset_their_stream() {
    for answer in [
        response(1, 0, &[("a", "b")]),
        response(1, 1, &[(":status", "200"), ("content-length", "1")]),
        response(1, 1, &[(":status", "100")]),
        data(1, 0, b"x"),
        [response(1, 0, &[(":status", "204")]), data(1, 1, b"x")].concat(),
    ] {
        let mut connection = client(&[]);
        connection.open(REQUEST, true).unwrap();
        feed(&mut connection, &answer).unwrap();
        assert_eq!(resets(&mut connection), [(1, ErrorCode::PROTOCOL_ERROR)], "{answer:02x?}");
    }
}

#[test]
fn what_servers_must_not_do() {
    for input in [
        frame(kind::PUSH_PROMISE, 4, 1, b"\0\0\0\x02\x82"),
        settings(&[(2, 1)]),
        response(2, 1, &[(":status", "200")]),
        response(3, 1, &[(":status", "200")]),
        window_update(3, 1),
    ] {
        let mut connection = client(&[(8, 1)]);
        connection.open(REQUEST, true).unwrap();
        assert!(feed(&mut connection, &input).is_err(), "{input:02x?}");
    }
    assert!(feed(&mut client(&[(8, 1)]), &settings(&[(8, 0)])).is_err(), "what was granted stays so");
}

#[test]
fn a_ping_is_answered() {
    let mut connection = client(&[]);
    connection.ping();
    connection.ping();
    let frames = sent(&mut connection);
    assert_eq!(frames.len(), 1, "one at a time");
    let pong = frame(kind::PING, flag::ACK, 0, &frames[0].3);
    assert_eq!(feed(&mut connection, &pong).unwrap(), ["Pong"]);
    assert_eq!(feed(&mut connection, &pong).unwrap(), [""; 0]);
}

#[test]
fn long_heads_go_in_several_frames() {
    let mut connection = client(&[]);
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "v".repeat(40_000));
    connection.open(head.as_bytes(), true).unwrap();
    let kinds: Vec<_> = sent(&mut connection).iter().map(|frame| (frame.0, frame.1, frame.3.len())).collect();
    assert_eq!(kinds[..2], [(kind::HEADERS, 1, 16_384), (kind::CONTINUATION, 0, 16_384)]);
    assert_eq!((kinds.len(), kinds[2].1), (3, flag::END_HEADERS));
}
