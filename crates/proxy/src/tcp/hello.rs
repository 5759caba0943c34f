//! Reads a client's TLS ClientHello, keeps every byte for the endpoint, and finds the pool.

use crate::io;
use crate::stream::Stream;
use crate::worker::Worker;
use crate::worker::buffers::Buffer;
use crate::worker::deadlines::Deadline;
use evenly_core::client_hello::{Hello, Progress, Reader};
use evenly_core::error::Failure;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// The ClientHello, and all bytes read so far, which may be more.
pub async fn read(
    worker: &Rc<Worker>,
    stream: &mut Stream,
    deadline: &Deadline,
    (bind, within): (SocketAddr, Duration),
) -> Result<(Hello, Buffer), Failure> {
    deadline.set(within);
    let mut reader = Reader::default();
    // Lent while the client is silent, too: this wait has a deadline, and what came must not be lost.
    let mut buffer: Option<Buffer> = None;
    loop {
        let seen = buffer.as_ref().map_or(0, |buffer| buffer.len());
        poll_fn(|cx| {
            let read = match &mut buffer {
                // The reader gives up long before the buffer is full.
                Some(buffer) => io::poll_read_into(stream, cx, buffer).map_ok(|n| n > 0),
                None => io::poll_read(stream, cx, &worker.buffers).map_ok(|first| {
                    let is_some = !first.is_empty();
                    buffer = Some(first);
                    is_some
                }),
            };
            match read {
                Poll::Ready(Ok(true)) => Poll::Ready(Ok(())),
                Poll::Ready(_) => Poll::Ready(Err(Failure::ClientGone)),
                // It has said nothing that could be under way.
                Poll::Pending if worker.is_leaving(bind) => Poll::Ready(Err(Failure::Drained)),
                Poll::Pending if deadline.passed() => Poll::Ready(Err(Failure::RequestTimeout)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await?;
        let bytes = buffer.as_deref().unwrap_or_default();
        if let Progress::Hello(hello) = reader.feed(&bytes[seen..]).map_err(|_| Failure::TlsHelloBad)? {
            return Ok((hello, buffer.expect("the hello came from it")));
        }
    }
}
