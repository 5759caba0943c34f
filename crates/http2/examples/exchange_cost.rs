//! Lets N small requests and their answers go through a server's connection, for counting instructions and time:
//!
//! ```text
//! cargo build --release -p evenly-http2 --example exchange_cost
//! target/release/examples/exchange_cost 1000000                             # nanoseconds for each
//! valgrind --tool=callgrind target/release/examples/exchange_cost 10000     # and 20000; the difference / 10,000
//! ```
//!
//! A second argument chooses the request: `small` (the default), what a load generator sends, all of it indexed after
//! the first time; `literal`, the same as literals with Huffman code each time; `browser`, eleven fields, of which the path
//! and the referer are new each time; or `body`, `small` with 1 KiB of content that is consumed.

use evenly_http2::{Connection, Event, Limits, Step};
use std::hint::black_box;
use std::time::Instant;

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: evenly\r\n\
    Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Content-Length: 5\r\n\r\n";

/// GET, https, `/`, and then an authority and a user agent: added to the table, and as they are from then on.
const SMALL_FIRST: &[u8] = b"\x82\x87\x84\x41\x0e127.0.0.1:8080\x7a\x0dh2load nghttp";
const SMALL: &[u8] = b"\x82\x87\x84\xbf\xbe";
/// The same as literals without indexing, in Huffman code: `www.example.com` (RFC 7541, C.4.1) and `custom-value`.
const LITERAL: &[u8] = b"\x82\x87\x84\x01\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff\
    \x0f\x2b\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf";

/// Eight fields that a browser says again and again.
const FIELDS: [(&str, &str); 8] = [
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
    ("priority", "u=0, i"),
    ("cookie", "session=6f1c2ab94e7d; theme=dark"),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: u32 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let what = arguments.next().unwrap_or_else(|| "small".to_owned());
    let mut connection = Connection::server(Limits::TYPICAL, 0);
    take(&mut connection, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    // All the window there is: enough for 400 million answers.
    take(&mut connection, b"\0\0\x04\x08\0\0\0\0\0\x7f\xff\x00\x00");
    let (first, block, body) = blocks(&what);
    take(&mut connection, &request(&first, 1, body));
    let mut input = request(&block, 3, body);
    let begin = Instant::now();
    for stream in (3..).step_by(2).take(count as usize) {
        renumber(&mut input, stream, block.len());
        take(&mut connection, black_box(&input));
    }
    let nanoseconds = begin.elapsed().as_nanos() / u128::from(count.max(1));
    assert_eq!(connection.streams(), 0);
    #[allow(clippy::print_stdout, reason = "what it is for")]
    {
        println!("{what}: {nanoseconds} ns");
    }
}

/// The first block, those behind it, and bytes of content.
fn blocks(what: &str) -> (Vec<u8>, Vec<u8>, usize) {
    match what {
        "literal" => (LITERAL.to_vec(), LITERAL.to_vec(), 0),
        "browser" => {
            let mut first = b"\x82\x87\x04\x08/app.js1\x41\x10shop.example.com".to_vec();
            for (name, value) in FIELDS {
                first.push(0x40);
                for text in [name, value] {
                    first.push(u8::try_from(text.len()).unwrap_or_default());
                    first.extend_from_slice(text.as_bytes());
                }
            }
            let indexed: Vec<u8> = (0xbe..=0xc5).rev().collect();
            let start = b"\x82\x87\x04\x08/app.js2\xc6\x0f\x24\x19https://shop.example.com/";
            (first, [&start[..], &indexed].concat(), 0)
        }
        "body" => (SMALL_FIRST.to_vec(), SMALL.to_vec(), 1024),
        _ => (SMALL_FIRST.to_vec(), SMALL.to_vec(), 0),
    }
}

fn request(block: &[u8], stream: u8, body: usize) -> Vec<u8> {
    let length = u8::try_from(block.len() & 0xff).unwrap_or_default();
    let high = u8::try_from(block.len() >> 8).unwrap_or_default();
    let flags = if body == 0 { 5 } else { 4 };
    let mut frames = [&[0, high, length, 1, flags, 0, 0, 0, stream], block].concat();
    if body > 0 {
        frames.extend_from_slice(&[0, 4, 0, 0, 1, 0, 0, 0, stream]);
        frames.resize(frames.len() + body, b'x');
    }
    frames
}

fn renumber(input: &mut [u8], stream: u32, block: usize) {
    input[5..9].copy_from_slice(&stream.to_be_bytes());
    if let Some(data) = input.get_mut(9 + block + 5..9 + block + 9) {
        data.copy_from_slice(&stream.to_be_bytes());
    }
}

/// Answers what comes, and forgets what is to be written.
#[inline(never)]
fn take(connection: &mut Connection, mut input: &[u8]) {
    loop {
        let (consumed, stream, data, is_end) = match connection.step(input, 0) {
            Step::Event { consumed, event: Event::Head { stream, text, is_end } } => {
                black_box(text);
                (consumed, stream, 0, is_end)
            }
            Step::Event { consumed, event: Event::Data { stream, bytes, is_end } } => {
                (consumed, stream, bytes.len(), is_end)
            }
            Step::More { .. } => break,
            other => unreachable!("{other:?}"),
        };
        input = &input[consumed..];
        connection.consumed(stream, data);
        if is_end {
            let sent = connection
                .send_head(stream, black_box(RESPONSE), false)
                .and_then(|()| connection.send_data(stream, b"hello", true));
            assert_eq!(sent, Ok(5));
            connection.finished(stream);
        }
    }
    let length = black_box(connection.output().pending()).len();
    connection.output().advance(length);
}
