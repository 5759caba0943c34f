use super::*;
use crate::error::SendError;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";

#[test]
fn a_request_and_its_answer() {
    let mut connection = server();
    assert_eq!(feed(&mut connection, &get(1)), Ok(vec![format!("1 {GET} end")]));
    let stream = StreamId(1);
    assert_eq!(connection.send_data(stream, b"x", true), Err(SendError::Closed), "no head was sent");
    connection.send_head(stream, b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", false).unwrap();
    connection.send_head(stream, OK, false).unwrap();
    assert_eq!(connection.send_data(stream, b"ok", true), Ok(2));
    assert_eq!(connection.send_data(stream, b"", true), Err(SendError::Closed));
    assert_eq!(connection.streams(), 1);
    connection.finished(stream);
    assert_eq!(connection.streams(), 0);
    let kinds: Vec<_> = sent(&mut connection).into_iter().map(|frame| (frame.0, frame.1, frame.2)).collect();
    assert_eq!(
        kinds,
        [(kind::HEADERS, 4, 1), (kind::HEADERS, 4, 1), (kind::DATA, 1, 1)],
        "interim, final, data; nothing is reset"
    );
}

#[test]
fn a_body_and_its_trailers() {
    let mut connection = server();
    let input = [
        request(1, 0, &[]),
        data(1, 0, b"one"),
        frame(kind::DATA, flag::PADDED, 1, b"\x02two\0\0"),
        frame(kind::HEADERS, 5, 1, b"\x00\x01t\x01v"),
    ]
    .concat();
    let head = "1 GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let events = [head, "1 data one", "1 data two", "1 trailers t: v\r\n"].map(str::to_owned);
    assert_eq!(feed(&mut connection, &input), Ok(events.to_vec()));
}

#[test]
fn data_must_be_what_content_length_says() {
    for (pieces, flags, is_good) in [
        (&[&b"abc"[..]][..], 1, true),
        (&[b"ab", b"c"], 1, true),
        (&[b"ab"], 1, false),
        (&[b"abcd"], 0, false),
        (&[b"ab", b"cd"], 1, false),
    ] {
        let mut connection = server();
        feed(&mut connection, &request(1, 0, &[("content-length", "3")])).unwrap();
        let last = pieces.len() - 1;
        let mut events = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            let flags = if number == last { flags } else { 0 };
            events.extend(feed(&mut connection, &data(1, flags, piece)).unwrap());
        }
        assert_eq!(events.last().unwrap().ends_with(" end"), is_good, "{events:?}");
        let resets = resets(&mut connection);
        assert_eq!(resets, if is_good { vec![] } else { vec![(1, ErrorCode::PROTOCOL_ERROR)] });
    }
}

#[test]
fn windows_are_given_back_as_the_application_consumes() {
    let mut connection = server();
    feed(&mut connection, &request(1, 0, &[])).unwrap();
    for _ in 0..4 {
        feed(&mut connection, &data(1, 0, &[b'x'; 16_384])).unwrap();
    }
    assert_eq!(sent(&mut connection), [], "nothing was consumed");
    connection.consumed(StreamId(1), 32_767);
    assert_eq!(sent(&mut connection), []);
    connection.consumed(StreamId(1), 1);
    let update = (kind::WINDOW_UPDATE, 0, 1, 32_768u32.to_be_bytes().to_vec());
    assert_eq!(sent(&mut connection), [update]);
    feed(&mut connection, &data(1, 0, &[b'x'; 16_384])).unwrap();
    feed(&mut connection, &data(1, 0, &[b'x'; 16_384])).unwrap();
    let events = feed(&mut connection, &data(1, 0, b"x")).unwrap();
    assert_eq!(events, ["1 broken flow_control_error: data beyond the stream's window"]);
    assert_eq!(resets(&mut connection), [(1, ErrorCode::FLOW_CONTROL_ERROR)]);
}

#[test]
fn what_a_finished_stream_left_unread_is_given_back_to_the_connection() {
    let mut connection = server();
    for stream in (1..=17).step_by(2) {
        feed(&mut connection, &request(stream, 0, &[])).unwrap();
        for _ in 0..4 {
            feed(&mut connection, &data(stream, 0, &[b'x'; 16_384])).unwrap();
        }
        connection.finished(StreamId(stream));
    }
    let updates: Vec<_> = sent(&mut connection).into_iter().filter(|frame| frame.0 == 8).collect();
    assert_eq!(updates, [(8, 0, 0, (512u32 << 10).to_be_bytes().to_vec())]);
}

#[test]
fn sending_stops_at_windows_and_goes_on_behind_them() {
    let mut connection = server();
    feed(&mut connection, &settings(&[(4, 10)])).unwrap();
    feed(&mut connection, &[get(1), get(3)].concat()).unwrap();
    let stream = StreamId(1);
    connection.send_head(stream, b"HTTP/1.1 200 OK\r\n\r\n", false).unwrap();
    assert_eq!(connection.window(stream), 10);
    assert_eq!(connection.send_data(stream, &[0; 15], true), Ok(10));
    assert_eq!(feed(&mut connection, &window_update(1, 2)).unwrap(), ["1 writable"]);
    assert_eq!(feed(&mut connection, &window_update(1, 2)).unwrap(), [""; 0], "said once");
    assert_eq!(connection.send_data(stream, &[0; 5], true), Ok(4));
    // Below zero, and up again.
    feed(&mut connection, &settings(&[(4, 0)])).unwrap();
    assert_eq!(connection.window(stream), 0);
    assert_eq!(feed(&mut connection, &settings(&[(4, 30)])).unwrap(), ["AllWritable"]);
    assert_eq!(connection.window(stream), 20);
    assert_eq!(connection.send_data(stream, &[0; 1], true), Ok(1));
    // The other stream fills the connection's window.
    feed(&mut connection, &window_update(3, 100_000)).unwrap();
    connection.send_head(StreamId(3), b"HTTP/1.1 200 OK\r\n\r\n", false).unwrap();
    let mut taken = 0;
    for _ in 0..10 {
        taken += connection.send_data(StreamId(3), &[0; 16_384], false).unwrap();
        sent(&mut connection);
    }
    assert_eq!(taken, 65_535 - 15);
    assert_eq!(feed(&mut connection, &window_update(0, 1)).unwrap(), ["AllWritable"]);
}

#[test]
fn output_is_bounded() {
    let mut connection = server();
    feed(&mut connection, &[window_update(0, 1 << 20), settings(&[(4, 1 << 20)]), get(1)].concat()).unwrap();
    connection.send_head(StreamId(1), b"HTTP/1.1 200 OK\r\n\r\n", false).unwrap();
    let mut taken = 0;
    while let Ok(more @ 1..) = connection.send_data(StreamId(1), &[0; 1 << 20], false) {
        taken += more;
    }
    assert!(connection.is_backlogged() && (65_000..=82_000).contains(&taken), "{taken}");
}

#[test]
fn shutdown_is_graceful() {
    let mut connection = server();
    feed(&mut connection, &get(1)).unwrap();
    connection.shutdown();
    let frames = sent(&mut connection);
    assert_eq!(frames[0], (kind::GOAWAY, 0, 0, [&MAX_31.to_be_bytes()[..], &[0; 4]].concat()));
    assert!(connection.is_draining());
    // A request that crossed it is served.
    assert_eq!(feed(&mut connection, &get(3)).unwrap().len(), 1);
    feed(&mut connection, &frame(kind::PING, flag::ACK, 0, &frames[1].3)).unwrap();
    assert_eq!(sent(&mut connection), [(kind::GOAWAY, 0, 0, vec![0, 0, 0, 3, 0, 0, 0, 0])]);
    let events = feed(&mut connection, &get(5)).unwrap();
    assert_eq!(events, ["5 broken refused_stream: more streams than granted, or a new one while draining"]);
    assert_eq!(connection.streams(), 2);
}

#[test]
fn frames_that_cross_our_reset_are_ignored() {
    let mut connection = server();
    feed(&mut connection, &request(1, 0, &[])).unwrap();
    connection.reset(StreamId(1), ErrorCode::CANCEL);
    let late =
        [data(1, 0, b"late"), frame(kind::HEADERS, 5, 1, b"\x40\x01t\x01v"), window_update(1, 1)].concat();
    assert_eq!(feed(&mut connection, &late), Ok(vec![]));
    connection.finished(StreamId(1));
    assert_eq!(feed(&mut connection, &late), Ok(vec![]));
    // The block was decoded all the same: the table has its entry.
    let block = [0x82, 0x86, 0x84, 0xbe];
    let events = feed(&mut connection, &frame(kind::HEADERS, 5, 3, &block)).unwrap();
    assert_eq!(events, ["3 GET / HTTP/1.1\r\nt: v\r\n\r\n end"]);
    connection.send_head(StreamId(3), OK, true).unwrap();
    connection.finished(StreamId(3));
    let error = feed(&mut connection, &data(3, 0, b"x")).unwrap_err();
    assert_eq!((error.code, error.reason), (ErrorCode::STREAM_CLOSED, Reason::StreamState));
}

#[test]
fn an_early_answer_ends_the_request_without_an_error() {
    let mut connection = server();
    feed(&mut connection, &request(1, 0, &[])).unwrap();
    connection.send_head(StreamId(1), b"HTTP/1.1 413 Too Large\r\n\r\n", true).unwrap();
    connection.finished(StreamId(1));
    assert_eq!(resets(&mut connection), [(1, ErrorCode::NO_ERROR)]);
}

#[test]
fn a_head_that_is_too_large_can_be_answered() {
    let mut connection = server();
    let long = "v".repeat(1000);
    let many: Vec<_> = (0..101).map(|_| ("a", "b")).collect();
    let big: Vec<_> = (0..70).map(|_| ("a", &long[..])).collect();
    assert_eq!(feed(&mut connection, &request(1, 1, &many)).unwrap(), ["1 too large end"]);
    let block = request(3, 1, &big)[HEADER_BYTES..].to_vec();
    let (one, two) = block.split_at(16_384);
    let mut input = frame(kind::HEADERS, 1, 3, one);
    for (number, fragment) in two.chunks(16_384).enumerate() {
        let flags = if number == two.len().div_ceil(16_384) - 1 { flag::END_HEADERS } else { 0 };
        input.extend_from_slice(&frame(kind::CONTINUATION, flags, 3, fragment));
    }
    assert_eq!(feed(&mut connection, &input).unwrap(), ["3 too large end"]);
    connection.send_head(StreamId(3), b"HTTP/1.1 431 Too Large\r\n\r\n", true).unwrap();
    let worse: Vec<_> = (0..401).map(|_| ("a", "b")).collect();
    assert_eq!(feed(&mut connection, &request(5, 1, &worse)).unwrap_err().reason, Reason::HeaderBomb);
}

#[test]
fn breaches_close_the_connection() {
    let too_long = frame(kind::DATA, 0, 1, &[0; 16_385]);
    for (input, code) in [
        (data(1, 0, b"x"), ErrorCode::PROTOCOL_ERROR),
        (data(0, 0, b"x"), ErrorCode::PROTOCOL_ERROR),
        (too_long, ErrorCode::FRAME_SIZE_ERROR),
        (get(2), ErrorCode::PROTOCOL_ERROR),
        ([get(5), get(3)].concat(), ErrorCode::PROTOCOL_ERROR),
        (frame(kind::HEADERS, 5, 1, b"\x80"), ErrorCode::COMPRESSION_ERROR),
        (frame(kind::HEADERS, 5 | flag::PADDED, 1, b"\x05\x82"), ErrorCode::PROTOCOL_ERROR),
        (frame(kind::CONTINUATION, 4, 1, b""), ErrorCode::PROTOCOL_ERROR),
        ([frame(kind::HEADERS, 1, 1, b"\x82"), get(3)].concat(), ErrorCode::PROTOCOL_ERROR),
        (frame(kind::PUSH_PROMISE, 4, 1, b"\0\0\0\x02\x82"), ErrorCode::PROTOCOL_ERROR),
        (frame(kind::SETTINGS, 1, 0, b"123456"), ErrorCode::FRAME_SIZE_ERROR),
        (frame(kind::SETTINGS, 0, 0, b"12345"), ErrorCode::FRAME_SIZE_ERROR),
        (settings(&[(2, 2)]), ErrorCode::PROTOCOL_ERROR),
        (settings(&[(4, 1 << 31)]), ErrorCode::FLOW_CONTROL_ERROR),
        (settings(&[(5, 16_383)]), ErrorCode::PROTOCOL_ERROR),
        (settings(&[(8, 2)]), ErrorCode::PROTOCOL_ERROR),
        (frame(kind::PING, 0, 0, b"1234567"), ErrorCode::FRAME_SIZE_ERROR),
        (frame(kind::PING, 0, 1, b"12345678"), ErrorCode::PROTOCOL_ERROR),
        (frame(kind::GOAWAY, 0, 0, b"1234567"), ErrorCode::FRAME_SIZE_ERROR),
        (window_update(0, 0), ErrorCode::PROTOCOL_ERROR),
        (window_update(0, MAX_31), ErrorCode::FLOW_CONTROL_ERROR),
        (window_update(1, 1), ErrorCode::PROTOCOL_ERROR),
        (
            [get(1), window_update(1, MAX_31), settings(&[(4, MAX_31)])].concat(),
            ErrorCode::FLOW_CONTROL_ERROR,
        ),
        (reset(1, ErrorCode::CANCEL), ErrorCode::PROTOCOL_ERROR),
        (frame(kind::RST_STREAM, 0, 1, b"123"), ErrorCode::FRAME_SIZE_ERROR),
        (frame(kind::PRIORITY, 0, 0, b"12345"), ErrorCode::PROTOCOL_ERROR),
    ] {
        let mut connection = server();
        let error =
            feed(&mut connection, &input).map(drop).and_then(|()| feed(&mut connection, &[]).map(drop));
        if let Err(error) = error {
            assert_eq!(error.code, code, "{input:02x?}: {error}");
        } else {
            // The one that is a stream's fault first.
            assert_eq!(resets(&mut connection).first().map(|reset| reset.1), Some(code), "{input:02x?}");
            continue;
        }
        assert!(connection.is_closed());
        let goaway = sent(&mut connection).pop().unwrap();
        assert_eq!((goaway.0, &goaway.3[4..]), (kind::GOAWAY, &code.0.to_be_bytes()[..]));
        assert_eq!(feed(&mut connection, &get(7)), Ok(vec![]), "closed is closed");
    }
    let mut connection = Connection::server(Limits::TYPICAL, 0);
    assert_eq!(feed(&mut connection, b"GET / HTTP/1.1\r\n").unwrap_err().reason, Reason::Preface);
    let mut connection = Connection::server(Limits::TYPICAL, 0);
    assert!(feed(&mut connection, &[&PREFACE[..], &get(1)].concat()).is_err(), "SETTINGS come first");
}

#[test]
fn faults_of_a_stream_reset_it() {
    let twisted = [&b"\0\0\0\x01\x10"[..], b"\x82\x86\x84"].concat();
    for (input, code) in [
        (vec![get(1), data(1, 0, b"x")], ErrorCode::STREAM_CLOSED),
        (vec![get(1), get(1)], ErrorCode::STREAM_CLOSED),
        (vec![get(1), reset(1, ErrorCode::CANCEL), get(1)], ErrorCode::STREAM_CLOSED),
        (vec![request(1, 0, &[]), reset(1, ErrorCode::CANCEL), data(1, 0, b"x")], ErrorCode::STREAM_CLOSED),
        (vec![request(1, 0, &[]), frame(kind::HEADERS, 4, 1, b"\x00\x01t\x01v")], ErrorCode::PROTOCOL_ERROR),
        (vec![request(1, 0, &[]), frame(kind::HEADERS, 5, 1, b"\x82")], ErrorCode::PROTOCOL_ERROR),
        (vec![request(1, 1, &[("connection", "close")])], ErrorCode::PROTOCOL_ERROR),
        (vec![frame(kind::HEADERS, 5 | flag::PRIORITY, 1, &twisted)], ErrorCode::PROTOCOL_ERROR),
        (vec![get(1), frame(kind::PRIORITY, 0, 1, b"\0\0\0\x01\x10")], ErrorCode::PROTOCOL_ERROR),
        (vec![get(1), frame(kind::PRIORITY, 0, 1, b"1234")], ErrorCode::FRAME_SIZE_ERROR),
        (vec![get(1), window_update(1, 0)], ErrorCode::PROTOCOL_ERROR),
        (vec![get(1), window_update(1, MAX_31)], ErrorCode::FLOW_CONTROL_ERROR),
    ] {
        let mut connection = server();
        feed(&mut connection, &input.concat()).unwrap();
        assert_eq!(resets(&mut connection), [(1, code)], "{input:02x?}");
        // The connection goes on.
        assert_eq!(feed(&mut connection, &get(3)), Ok(vec![format!("3 {GET} end")]));
    }
}

#[test]
fn unknown_frames_settings_and_codes_are_ignored() {
    let mut connection = server();
    let input =
        [frame(0x42, 0xff, 7, b"x"), settings(&[(0x1234, 7)]), frame(kind::GOAWAY, 0, 0, &[9; 12])].concat();
    let events = feed(&mut connection, &input).unwrap();
    assert_eq!(events.len(), 1);
    assert!(events[0].starts_with("GoAway"));
    assert_eq!(feed(&mut connection, &get(1)).unwrap().len(), 1);
}
