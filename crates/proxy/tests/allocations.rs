//! The promise: in steady keep-alive, a request allocates nothing. Counted by an allocator of the test's own.

mod support;

use evenly_proxy::Dataplane;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what worker threads allocate; the test's own threads do as they like.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_WORKER: Cell<Option<bool>> = const { Cell::new(None) };
}

#[allow(unsafe_code, reason = "an allocator cannot be written otherwise; it only counts and passes on")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's layout, unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's pointer and layout, unchanged.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's pointer and layout, unchanged.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn count() {
    // A thread that ends has no flag any more, and is not counted.
    let is_worker = IS_WORKER.try_with(|flag| match flag.get() {
        Some(is_worker) => is_worker,
        None => {
            // Asking for the name may allocate: until that is answered this thread does not count.
            flag.set(Some(false));
            let is_worker =
                std::thread::current().name().is_some_and(|name| name.starts_with("evenly-worker"));
            flag.set(Some(is_worker));
            is_worker
        }
    });
    if is_worker.unwrap_or(false) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

const REQUEST: &[u8] =
    b"GET /a/path?with=query HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn steady_keep_alive_allocates_nothing() {
    let endpoints = [support::endpoint(RESPONSE), support::endpoint(RESPONSE)];
    let dataplane = Dataplane::start(&support::document(&endpoints).to_string(), Vec::new(), "").unwrap();
    let mut client = TcpStream::connect(support::address(&dataplane)).unwrap();
    client.set_nodelay(true).unwrap();
    let mut exchange = |times: usize| {
        for _ in 0..times {
            client.write_all(REQUEST).unwrap();
            let mut buffer = [0; 4096];
            let mut read = 0;
            while !buffer[..read].ends_with(b"hello") {
                read += client.read(&mut buffer[read..]).unwrap();
            }
        }
    };
    exchange(200);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    assert!(before > 0, "the workers' allocations are counted");
    exchange(2000);
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "allocations in 2,000 requests");
}
