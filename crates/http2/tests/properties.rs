//! Two connections talk to each other through bytes that are cut anywhere, and what one was told, the other tells;
//! and whatever bytes come, a connection neither panics nor grows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use evenly_http2::{Connection, ErrorCode, Event, Limits, Scheme, Step, StreamId};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One request, and the response that it is answered with.
#[derive(Debug, Clone)]
struct Exchange {
    path: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    says_length: bool,
    trailers: Option<String>,
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let fields = prop::collection::vec(("x-[a-z]{1,40}", "[!-~]([ -~]{0,60}[!-~])?"), 0..8);
    let body = prop_oneof![Just(vec![]), prop::collection::vec(any::<u8>(), 1..200), Just(vec![7; 150_000])];
    let trailers = prop::option::of("[a-z]{1,8}");
    ("/[a-z0-9]{0,30}", fields, body, any::<bool>(), trailers).prop_map(
        |(path, fields, body, says_length, trailers)| Exchange { path, fields, body, says_length, trailers },
    )
}

impl Exchange {
    fn head(&self, start: &str) -> String {
        let length = format!("content-length: {}\r\n", self.body.len());
        let framing = if self.says_length { &length } else { "Transfer-Encoding: chunked\r\n" };
        let fields: String = self.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{start}{fields}{framing}\r\n")
    }

    /// What arrives: names in lower case, framing as it must be, `content-length` where it stood.
    fn arrived(&self, start: &str) -> String {
        self.head(start).replace("Transfer-Encoding", "transfer-encoding")
    }
}

/// One side, with what it still has to send and what it got.
struct Side {
    connection: Connection,
    sending: BTreeMap<StreamId, (Vec<u8>, Option<String>)>,
    heard: Heard,
}

/// What a side was told.
#[derive(Default)]
struct Heard {
    heads: BTreeMap<StreamId, String>,
    bodies: BTreeMap<StreamId, Vec<u8>>,
    trailers: BTreeMap<StreamId, String>,
    ended: Vec<StreamId>,
}

impl Side {
    fn new(connection: Connection) -> Self {
        Self { connection, sending: BTreeMap::new(), heard: Heard::default() }
    }

    fn send(&mut self) {
        let connection = &mut self.connection;
        self.sending.retain(|&stream, (body, trailers)| {
            let is_last = trailers.is_none();
            let taken = connection.send_data(stream, body, is_last).unwrap();
            body.drain(..taken);
            if let (true, Some(trailers)) = (body.is_empty(), &trailers) {
                connection.send_trailers(stream, format!("t: {trailers}\r\n").as_bytes()).unwrap();
            }
            !body.is_empty()
        });
    }

    /// Takes a piece of what the other side has written.
    fn take(&mut self, mut input: &[u8]) {
        loop {
            let (consumed, consume) = match self.connection.step(input, 0) {
                Step::More { consumed } => {
                    assert_eq!(consumed, input.len());
                    return;
                }
                Step::Failed { error, .. } => panic!("{error}"),
                Step::Event { consumed, event } => (consumed, self.heard.record(&event)),
            };
            input = &input[consumed..];
            if let Some((stream, bytes)) = consume {
                self.connection.consumed(stream, bytes);
            }
        }
    }
}

impl Heard {
    /// Keeps what happened, and says what of it was consumed.
    fn record(&mut self, event: &Event<'_>) -> Option<(StreamId, usize)> {
        let text = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap();
        match *event {
            Event::Head { stream, text: head, is_end } => {
                assert!(!is_end && self.heads.insert(stream, text(head)).is_none());
            }
            Event::Data { stream, bytes, is_end } => {
                self.bodies.entry(stream).or_default().extend_from_slice(bytes);
                if is_end {
                    self.ended.push(stream);
                }
                return Some((stream, bytes.len()));
            }
            Event::Trailers { stream, fields } => {
                self.trailers.insert(stream, text(fields));
                self.ended.push(stream);
            }
            Event::Writable { .. } | Event::AllWritable | Event::Settings => {}
            ref other => panic!("{other:?}"),
        }
        None
    }
}

/// Carries what one side has written to the other, in pieces.
fn carry(from: &mut Side, to: &mut Side, sizes: &mut impl Iterator<Item = usize>) -> usize {
    from.send();
    let bytes = from.connection.output().pending().to_vec();
    from.connection.output().advance(bytes.len());
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(sizes.next().unwrap_or(1).min(rest.len()));
        to.take(piece);
        rest = behind;
    }
    bytes.len()
}

const REQUEST: &str = "HTTP/1.1\r\nhost: a.example\r\n";

fn talk(exchanges: &[Exchange], sizes: &[usize]) {
    let mut client = Side::new(Connection::client(Limits::TYPICAL, Scheme::Http, 0));
    let mut server = Side::new(Connection::server(Limits::TYPICAL, 0));
    let mut sizes = sizes.iter().copied().cycle();
    let mut streams = BTreeMap::new();
    for exchange in exchanges {
        let head = exchange.head(&format!("POST {} {REQUEST}", exchange.path));
        let stream = client.connection.open(head.as_bytes(), false).unwrap();
        client.sending.insert(stream, (exchange.body.clone(), exchange.trailers.clone()));
        streams.insert(stream, exchange);
    }
    loop {
        let moved = carry(&mut client, &mut server, &mut sizes);
        for stream in std::mem::take(&mut server.heard.ended) {
            let exchange = streams[&stream];
            let head = exchange.head("HTTP/1.1 200 OK\r\n");
            server.connection.send_head(stream, head.as_bytes(), false).unwrap();
            server.sending.insert(stream, (exchange.body.clone(), exchange.trailers.clone()));
        }
        if moved + carry(&mut server, &mut client, &mut sizes) == 0 {
            break;
        }
    }
    assert_eq!(client.heard.ended.len(), exchanges.len());
    for (stream, exchange) in streams {
        let trailers = exchange.trailers.as_ref().map(|value| format!("t: {value}\r\n"));
        for (side, start) in
            [(&server, format!("POST {} {REQUEST}", exchange.path)), (&client, "HTTP/1.1 200 OK\r\n".into())]
        {
            assert_eq!(side.heard.heads[&stream], exchange.arrived(&start));
            assert_eq!(side.heard.bodies.get(&stream).map_or(&[][..], |body| body), exchange.body);
            assert_eq!(side.heard.trailers.get(&stream), trailers.as_ref());
        }
        client.connection.finished(stream);
        server.connection.finished(stream);
    }
    assert_eq!((client.connection.streams(), server.connection.streams()), (0, 0));
    assert!(client.connection.output().is_empty() && server.connection.output().is_empty(), "no resets");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_one_side_says_the_other_hears(
        exchanges in prop::collection::vec(exchange(), 1..6),
        sizes in prop::collection::vec(prop_oneof![1..20usize, 1000..40_000usize], 1..20),
    ) {
        talk(&exchanges, &sizes);
    }
}

/// Frames that may be anything, more often something.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let blocks = prop_oneof![
        Just(b"\x82\x86\x84\x01\x01a".to_vec()),
        Just(b"\x83\x86\x84\x40\x01a\x01b\xbe".to_vec()),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    let frame = (blocks, 0..11u8, prop_oneof![Just(0x05u8), Just(0x04), Just(0), any::<u8>()], 0..9u32);
    let frame = frame.prop_map(|(payload, kind, flags, stream)| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags], &stream.to_be_bytes()[..], &payload].concat()
    });
    prop::collection::vec(frame, 0..40).prop_map(|frames| frames.concat())
}

/// All that a connection says to an input, with each stream finished or answered as it comes.
fn fate(
    mut connection: Connection,
    input: &[u8],
    sizes: &[usize],
    is_server: bool,
) -> (Vec<String>, Vec<u8>) {
    let (mut events, mut rest, mut sizes) = (Vec::new(), input, sizes.iter().cycle());
    if !is_server {
        connection.open(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", true).unwrap();
        connection.open(b"POST / HTTP/1.1\r\nhost: a\r\n\r\n", false).unwrap();
    }
    while !rest.is_empty() {
        let (mut piece, behind) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        rest = behind;
        loop {
            let (consumed, over, began) = match connection.step(piece, 0) {
                Step::More { .. } => break,
                Step::Failed { error, .. } => {
                    events.push(error.to_string());
                    break;
                }
                Step::Event { consumed, event } => {
                    let (over, began) = match event {
                        Event::Reset { stream, .. } | Event::Broken { stream, .. } => (Some(stream), None),
                        Event::Head { stream, is_end: true, .. } => (None, Some(stream)),
                        _ => (None, None),
                    };
                    // Data may come in more pieces, as it is cut.
                    if !matches!(event, Event::Data { .. }) {
                        events.push(format!("{event:?}"));
                    }
                    (consumed, over, began)
                }
            };
            piece = &piece[consumed..];
            if let Some(stream) = began
                && connection.send_head(stream, b"HTTP/1.1 200 OK\r\n\r\n", false).is_ok()
            {
                let _ = connection.send_data(stream, b"hello", true);
            }
            over.into_iter().for_each(|stream| connection.finished(stream));
        }
    }
    (events, connection.output().pending().to_vec())
}

proptest! {
    #[test]
    fn any_frames_have_one_fate_however_they_are_cut(
        frames in frames(),
        sizes in prop::collection::vec(1..30usize, 1..10),
        is_server in any::<bool>(),
    ) {
        let (make, preface): (fn() -> Connection, &[u8]) = if is_server {
            (|| Connection::server(Limits::TYPICAL, 0), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        } else {
            (|| Connection::client(Limits::TYPICAL, Scheme::Http, 0), b"")
        };
        let input = [preface, &[0, 0, 0, 4, 0, 0, 0, 0, 0], &frames].concat();
        let whole = fate(make(), &input, &[input.len()], is_server);
        prop_assert_eq!(fate(make(), &input, &sizes, is_server), whole);
    }

    #[test]
    fn any_bytes_are_taken_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), sizes in 1..50usize) {
        let mut connection = Connection::server(Limits::TYPICAL, 0);
        let input = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..], &bytes].concat();
        for piece in input.chunks(sizes) {
            let mut rest = piece;
            while let Step::Event { consumed, .. } = connection.step(rest, 0) {
                rest = &rest[consumed..];
            }
        }
        connection.close(ErrorCode::NO_ERROR);
        prop_assert!(connection.output().len() < 20_000);
    }
}
