//! Reads a PROXY protocol header, and not one byte more: what follows is for whoever serves the connection.
//!
//! The bytes are looked at in the kernel's queue (MSG_PEEK) and then taken out as far as they belong to the header.

use super::Proxied;
use crate::worker::Worker;
use crate::worker::buffers::Buffer;
use crate::worker::deadlines::Deadline;
use evenly_core::error::Failure;
use evenly_core::proxy_protocol::{MAX_BYTES, Parsed, parse};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

/// The client and what else the header says; `None` when the connection is the proxy's own.
pub async fn read(
    worker: &Rc<Worker>,
    stream: &TcpStream,
    (bind, within): (SocketAddr, Duration),
) -> Result<Option<(SocketAddr, Rc<Proxied>)>, Failure> {
    let deadline = worker.deadlines.slot();
    poll_fn(|cx| {
        deadline.register(cx);
        Poll::Ready(())
    })
    .await;
    deadline.set(within);
    let leaving = || worker.is_leaving(bind);
    let mut buffer = worker.buffers.lend();
    loop {
        let taken = buffer.len();
        let came = peek(stream, &mut buffer, &deadline, &leaving).await?;
        buffer.filled(came);
        let (length, is_whole) = match parse(&buffer).map_err(|_| Failure::ProxyHeaderBad)? {
            Parsed::More => (taken + came, false),
            Parsed::Header(_, length) => (length, true),
        };
        take(worker, stream, length - taken).map_err(|_| Failure::ClientGone)?;
        if is_whole {
            break;
        }
    }
    let Ok(Parsed::Header(header, _)) = parse(&buffer) else { return Err(Failure::ProxyHeaderBad) };
    Ok(header.addresses.map(|addresses| {
        let proxied = Proxied { destination: addresses.destination, tlvs: header.tlvs.into() };
        (addresses.source, Rc::new(proxied))
    }))
}

/// Waits for bytes and copies them behind those in `buffer`, without taking them.
async fn peek(
    stream: &TcpStream,
    buffer: &mut Buffer,
    deadline: &Deadline,
    leaving: &impl Fn() -> bool,
) -> Result<usize, Failure> {
    // One more than a header may have: then the parser says that it is too long.
    let most = MAX_BYTES + 1 - buffer.len();
    poll_fn(|cx| {
        let mut room = ReadBuf::new(&mut buffer.room()[..most]);
        match stream.poll_peek(cx, &mut room) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Failure::ClientGone)),
            Poll::Ready(Ok(n)) => Poll::Ready(Ok(n)),
            // It owes a header and has nothing under way.
            Poll::Pending if leaving() => Poll::Ready(Err(Failure::Drained)),
            Poll::Pending if deadline.passed() => Poll::Ready(Err(Failure::RequestTimeout)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Takes bytes that were seen.
fn take(worker: &Rc<Worker>, stream: &TcpStream, mut count: usize) -> io::Result<()> {
    let mut scratch = worker.buffers.lend();
    while count > 0 {
        match stream.try_read(&mut scratch.room()[..count])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => count -= n,
        }
    }
    Ok(())
}
