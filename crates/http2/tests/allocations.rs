//! The promise: in steady state a small request and its answer allocate nothing. Counted by an allocator of the test's
//! own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use evenly_http2::{Connection, Event, Limits, Scheme, Step, StreamId};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts allocations. One test only, so they are all its own.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[allow(unsafe_code, reason = "an allocator cannot be written otherwise; it only counts and passes on")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's layout, unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's pointer and layout, unchanged.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's pointer and layout, unchanged.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const REQUEST: &[u8] = b"POST /a/path?with=query HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: test\r\n\
    Cookie: a=b; c=d\r\nContent-Length: 5\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n";

/// Lets `to` take what `from` has written; returns the stream whose message has ended.
fn carry(from: &mut Connection, to: &mut Connection) -> Option<StreamId> {
    let (mut at, mut ended) = (0, None);
    loop {
        let (consumed, data) = match to.step(&from.output().pending()[at..], 0) {
            Step::More { consumed } => {
                from.output().advance(at + consumed);
                return ended;
            }
            Step::Failed { error, .. } => panic!("{error}"),
            Step::Event { consumed, event } => match event {
                Event::Data { stream, bytes, is_end } => {
                    ended = ended.or(is_end.then_some(stream));
                    (consumed, Some((stream, bytes.len())))
                }
                _ => (consumed, None),
            },
        };
        at += consumed;
        if let Some((stream, bytes)) = data {
            to.consumed(stream, bytes);
        }
    }
}

#[test]
fn a_small_exchange_allocates_nothing() {
    let mut client = Connection::client(Limits::TYPICAL, Scheme::Https, 0);
    let mut server = Connection::server(Limits::TYPICAL, 0);
    let mut exchange = |times: usize| {
        for _ in 0..times {
            let stream = client.open(REQUEST, false).unwrap();
            client.send_data(stream, b"hello", true).unwrap();
            let asked = carry(&mut client, &mut server).unwrap();
            server.send_head(asked, RESPONSE, false).unwrap();
            server.send_data(asked, b"hello", true).unwrap();
            assert_eq!(carry(&mut server, &mut client), Some(stream));
            server.finished(asked);
            client.finished(stream);
        }
    };
    exchange(1000);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    exchange(10_000);
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0);
}
