//! Each attack ends the connection, with the word for it; what good clients do does not.

use super::*;

/// Feeds rounds of input, each answered by `behave`, until the connection fails; returns the round and the reason.
fn attack(
    rounds: u32,
    input: impl Fn(u32) -> Vec<u8>,
    behave: impl Fn(&mut Connection, u32),
) -> Option<(u32, Reason)> {
    let mut connection = server();
    for round in 0..rounds {
        if let Err(error) = feed(&mut connection, &input(round)) {
            assert_eq!(error.code, ErrorCode::ENHANCE_YOUR_CALM);
            return Some((round, error.reason));
        }
        behave(&mut connection, round);
        sent(&mut connection);
    }
    None
}

fn finish(connection: &mut Connection, round: u32) {
    connection.finished(StreamId(2 * round + 1));
}

#[test]
fn rapid_reset() {
    let input = |round| [get(2 * round + 1), reset(2 * round + 1, ErrorCode::CANCEL)].concat();
    assert_eq!(attack(1000, input, finish), Some((100, Reason::RapidReset)));
    // Streams that the application has not finished count as long as that takes.
    let mut connection = server();
    for stream in (1..=99).step_by(2) {
        feed(&mut connection, &[get(stream), reset(stream, ErrorCode::CANCEL)].concat()).unwrap();
    }
    assert_eq!(connection.streams(), 50);
}

#[test]
fn one_reset_for_each_stream_that_ends_well_is_no_attack() {
    let input = |round: u32| {
        let stream = 4 * round + 1;
        [get(stream), get(stream + 2), reset(stream, ErrorCode::CANCEL)].concat()
    };
    let behave = |connection: &mut Connection, round: u32| {
        let (one, two) = (StreamId(4 * round + 1), StreamId(4 * round + 3));
        connection.finished(one);
        connection.send_head(two, b"HTTP/1.1 204 No Content\r\n\r\n", true).unwrap();
        connection.finished(two);
    };
    assert_eq!(attack(5000, input, behave), None);
}

#[test]
fn made_you_reset() {
    let input = |round| [get(2 * round + 1), window_update(2 * round + 1, 0)].concat();
    assert_eq!(attack(1000, input, finish), Some((100, Reason::MadeYouReset)));
}

#[test]
fn stream_flood() {
    let input = |round| get(2 * round + 1);
    assert_eq!(attack(2000, input, |_, _| {}), Some((1100, Reason::StreamFlood)), "none is ever finished");
}

#[test]
fn continuation_flood() {
    let begin = frame(kind::HEADERS, 1, 1, b"\x82");
    for fragment in [&b""[..], b"\x86", &[0x86; 16_384]] {
        let mut connection = server();
        feed(&mut connection, &begin).unwrap();
        let more = frame(kind::CONTINUATION, 0, 1, fragment);
        let failed = (0..100).find_map(|_| feed(&mut connection, &more).err()).unwrap();
        assert_eq!(failed.reason, Reason::ContinuationFlood);
    }
}

#[test]
fn header_bomb_behind_bodies() {
    let mut first = request(1, 1, &[])[HEADER_BYTES..].to_vec();
    first.extend_from_slice(b"\x40\x01a\x7f\xa1\x1e");
    first.extend_from_slice(&[b'v'; 4000]);
    let mut connection = server();
    feed(&mut connection, &frame(kind::HEADERS, 5, 1, &first)).unwrap();
    for id in (3..60).step_by(2) {
        feed(&mut connection, &request(id, 0, &[])).unwrap();
        let events = feed(&mut connection, &frame(kind::HEADERS, 5, id, &[0xbe; 8])).unwrap();
        // 32 KB each, of which ten times eight bytes are fair: eight fit.
        let expected = if id < 19 { "trailers" } else { "broken refused_stream" };
        assert!(events[0].starts_with(&format!("{id} {expected}")), "{events:?}");
    }
}

#[test]
fn header_bomb() {
    // One entry of 4,000 bytes, and then one byte for each time it is said again.
    let mut first = request(1, 1, &[])[HEADER_BYTES..].to_vec();
    first.extend_from_slice(b"\x40\x01a\x7f\xa1\x1e");
    first.extend_from_slice(&[b'v'; 4000]);
    let again = |count| [&[0x82, 0x86, 0x84][..], &vec![0xbe; count]].concat();
    let mut connection = server();
    feed(&mut connection, &frame(kind::HEADERS, 5, 1, &first)).unwrap();
    let events = feed(&mut connection, &frame(kind::HEADERS, 5, 3, &again(20))).unwrap();
    assert_eq!(events, ["3 too large end"]);
    let error = feed(&mut connection, &frame(kind::HEADERS, 5, 5, &again(100))).unwrap_err();
    assert_eq!(error.reason, Reason::HeaderBomb);

    // Below the limit each time, but held by many streams.
    let mut connection = server();
    feed(&mut connection, &frame(kind::HEADERS, 5, 1, &first)).unwrap();
    let mut refused = 0;
    for stream in (3..200).step_by(2) {
        let events = feed(&mut connection, &frame(kind::HEADERS, 5, stream, &again(15))).unwrap();
        refused += usize::from(events[0].contains("refused_stream"));
    }
    assert_eq!(connection.streams() - 1, 4, "four times 60 KiB are within 256 KiB");
    assert_eq!(refused, 99 - 4);
}

#[test]
fn floods_of_control_frames() {
    let nothing = |_: &mut Connection, _: u32| {};
    let ping = |_| frame(kind::PING, 0, 0, b"12345678");
    assert_eq!(attack(1000, ping, nothing), Some((100, Reason::PingFlood)));
    assert_eq!(attack(1000, |_| settings(&[(4, 70_000)]), nothing), Some((31, Reason::SettingsFlood)));
    let priority = |_| frame(kind::PRIORITY, 0, 1, b"\0\0\0\x03\x10");
    assert_eq!(attack(1000, priority, nothing), Some((200, Reason::PriorityFlood)));
    assert_eq!(attack(2000, |_| window_update(0, 1), nothing), Some((1000, Reason::WindowUpdateFlood)));
    assert_eq!(attack(1000, |_| frame(0x42, 0, 0, b""), nothing), Some((200, Reason::UnknownFrames)));
}

#[test]
fn data_in_crumbs() {
    let open = |round: u32, more: Vec<u8>| {
        if round == 0 { [request(1, 0, &[]), more].concat() } else { more }
    };
    let empty = |round| open(round, data(1, 0, b""));
    assert_eq!(attack(1000, empty, |_, _| {}), Some((100, Reason::EmptyFrames)));
    let padded = |round| open(round, frame(kind::DATA, flag::PADDED, 1, b"\x03\0\0\0"));
    assert_eq!(attack(1000, padded, |_, _| {}), Some((100, Reason::EmptyFrames)));
    let tiny = |round| open(round, data(1, 0, b"x"));
    let consume = |connection: &mut Connection, _| connection.consumed(StreamId(1), 1);
    assert_eq!(attack(60_000, tiny, consume), Some((50_000, Reason::TinyData)));
}

#[test]
fn answers_that_nobody_reads() {
    let mut connection = server();
    let ping = frame(kind::PING, 0, 0, b"12345678");
    let failed =
        (0..u64::MAX).find_map(|second| feed_at(&mut connection, &ping, second * 1000).err()).unwrap();
    assert_eq!(failed.reason, Reason::UnreadAnswers);
    assert!(connection.output().len() < 20_000);
}

#[test]
fn windows_may_be_opened_for_each_small_message_but_not_for_each_crumb() {
    for (message, expected) in
        [(&b"ten bytes."[..], None), (&[b'x'; 64 << 10][..], Some(Reason::WindowUpdateFlood))]
    {
        let mut connection = server();
        feed(&mut connection, &get(1)).unwrap();
        connection.send_head(StreamId(1), b"HTTP/1.1 200 OK\r\n\r\n", false).unwrap();
        let size = if expected.is_some() { 1 } else { 10 };
        let ended = (0..3000).find_map(|_| {
            connection.send_data(StreamId(1), message, false).unwrap();
            sent(&mut connection);
            let input = [window_update(1, size), window_update(0, size)].concat();
            feed(&mut connection, &input).err().map(|error| error.reason)
        });
        assert_eq!(ended, expected);
    }
}
