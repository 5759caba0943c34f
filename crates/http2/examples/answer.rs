//! Answers every request with a few bytes, over plain TCP with prior knowledge: what h2spec and h2load can be pointed
//! at without a balancer between.
//!
//! ```text
//! cargo run --release -p evenly-http2 --example answer 127.0.0.1:8080
//! h2spec -p 8080 generic hpack http2
//! h2load -n 100000 -c 1 -m 32 http://127.0.0.1:8080/
//! ```

use evenly_http2::{Connection, Event, Limits, Step, StreamId};
use std::collections::HashMap;
use std::io::{Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nserver: evenly\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\n";
const BODY: &[u8] = b"hello";

fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    for socket in TcpListener::bind(address)?.incoming() {
        let socket = socket?;
        // A connection that fails is the peer's affair.
        std::thread::spawn(move || serve(&socket));
    }
    Ok(())
}

fn serve(mut socket: &TcpStream) -> Result<()> {
    socket.set_nodelay(true)?;
    let begin = Instant::now();
    let mut connection = Connection::server(Limits::TYPICAL, 0);
    // What of the body is still to be sent on each stream that has its head.
    let mut answers = HashMap::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        while !connection.output().is_empty() {
            let written = socket.write(connection.output().pending())?;
            connection.output().advance(written);
        }
        if connection.is_closed() {
            return Ok(());
        }
        let length = socket.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        let now = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        take(&mut connection, &mut answers, &buffer[..length], now);
    }
}

fn take(connection: &mut Connection, answers: &mut HashMap<StreamId, &[u8]>, mut input: &[u8], now: u64) {
    loop {
        let (consumed, event) = match connection.step(input, now) {
            Step::More { .. } | Step::Failed { .. } => return,
            Step::Event { consumed, event } => (consumed, event),
        };
        input = &input[consumed..];
        match event {
            Event::Head { stream, is_end: true, .. } | Event::Trailers { stream, .. } => {
                answer(connection, answers, stream);
            }
            Event::Data { stream, bytes, is_end } => {
                let length = bytes.len();
                connection.consumed(stream, length);
                if is_end {
                    answer(connection, answers, stream);
                }
            }
            Event::TooLarge { stream, .. } | Event::Reset { stream, .. } | Event::Broken { stream, .. } => {
                answers.remove(&stream);
                connection.finished(stream);
            }
            Event::Writable { .. } | Event::AllWritable => {
                let waiting: Vec<StreamId> = answers.keys().copied().collect();
                waiting.into_iter().for_each(|stream| proceed(connection, answers, stream));
            }
            _ => {}
        }
    }
}

fn answer(connection: &mut Connection, answers: &mut HashMap<StreamId, &[u8]>, stream: StreamId) {
    if connection.send_head(stream, HEAD, false).is_ok() {
        answers.insert(stream, BODY);
        proceed(connection, answers, stream);
    }
}

fn proceed(connection: &mut Connection, answers: &mut HashMap<StreamId, &[u8]>, stream: StreamId) {
    let Some(rest) = answers.get_mut(&stream) else { return };
    let Ok(taken) = connection.send_data(stream, rest, true) else { return };
    *rest = &rest[taken..];
    if rest.is_empty() {
        answers.remove(&stream);
        connection.finished(stream);
    }
}
