//! Reads and writes on connections, in one place, so that another way of I/O (io_uring) has one place to go.
//!
//! A read takes a buffer only when there is something to read, and a short read counts as "the socket is empty": the
//! readiness is cleared then, so no second read is spent on learning it (EAGAIN); likewise a short write. Both are tried
//! before the task is registered to be woken, which most of them never need, and call the kernel without libc, whose
//! calls are points of cancellation.

use crate::stream::{LITTLE_BYTES, Stream};
use crate::worker::buffers::{Buffer, Buffers, READ_BYTES};
use rustix::net::{RecvFlags, SendFlags};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio::task::coop::poll_proceed;

/// Reads into a fresh buffer once there is something; an empty buffer is the end of the stream.
pub fn poll_read(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    buffers: &Rc<Buffers>,
) -> Poll<io::Result<Buffer>> {
    match stream {
        Stream::Plain(socket) => buffers.lend_read(READ_BYTES, |room| poll_read_room(socket, cx, room)),
        framed => poll_read_some(framed, cx, buffers, READ_BYTES),
    }
}

/// The same for what is worth reading for `sink`.
#[inline]
pub fn poll_read_for(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    buffers: &Rc<Buffers>,
    sink: &Stream,
) -> Poll<io::Result<Buffer>> {
    match sink.frames_messages() {
        true => poll_read_some(stream, cx, buffers, sink.appetite().max(LITTLE_BYTES)),
        false => poll_read(stream, cx, buffers),
    }
}

/// [`poll_read`] for at most `most` bytes, as far as they need not be taken in to be opened.
pub fn poll_read_some(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    buffers: &Rc<Buffers>,
    most: usize,
) -> Poll<io::Result<Buffer>> {
    match stream {
        Stream::Plain(socket) => buffers.lend_read(most, |room| poll_read_room(socket, cx, room)),
        Stream::Tls(session) => {
            let mut buffer = buffers.lend();
            ready!(session.poll_read(cx, &mut buffer))?;
            Poll::Ready(Ok(buffer))
        }
        Stream::TlsOut(session) => {
            let mut buffer = buffers.lend();
            ready!(session.poll_read(cx, &mut buffer))?;
            Poll::Ready(Ok(buffer))
        }
        Stream::H2(stream) => {
            let mut buffer = buffers.lend();
            ready!(stream.poll_read(cx, &mut buffer, most))?;
            Poll::Ready(Ok(buffer))
        }
        Stream::H3(stream) => {
            let mut buffer = buffers.lend();
            ready!(stream.poll_read(cx, &mut buffer))?;
            Poll::Ready(Ok(buffer))
        }
    }
}

/// Reads into what room `buffer` has; 0 is the end of the stream.
pub fn poll_read_into(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    buffer: &mut Buffer,
) -> Poll<io::Result<usize>> {
    match stream {
        Stream::Plain(socket) => poll_receive(socket, cx, buffer),
        Stream::Tls(session) => session.poll_read(cx, buffer),
        Stream::TlsOut(session) => session.poll_read(cx, buffer),
        Stream::H2(stream) => stream.poll_read(cx, buffer, READ_BYTES),
        Stream::H3(stream) => stream.poll_read(cx, buffer),
    }
}

/// Reads from a socket into what room `buffer` has; 0 is the end of what comes on it.
pub fn poll_receive(
    socket: &mut TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut Buffer,
) -> Poll<io::Result<usize>> {
    let n = ready!(poll_read_room(socket, cx, buffer.room()))?;
    buffer.filled(n);
    Poll::Ready(Ok(n))
}

fn poll_read_room(socket: &mut TcpStream, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
    loop {
        let received = attempt(socket, Interest::READABLE, room.len(), || {
            // Every loop of a task reads: this has each of them let the others have their turn.
            let Poll::Ready(turn) = poll_proceed(cx) else { return Ok(Poll::Pending) };
            let (n, _) = rustix::net::recv(&*socket, &mut *room, RecvFlags::empty())?;
            turn.made_progress();
            Ok(Poll::Ready(n))
        });
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(socket.poll_read_ready(cx))?,
            Err(error) => return Poll::Ready(Err(error)),
            Ok(received) => return received.map(Ok),
        }
    }
}

fn poll_send(socket: &TcpStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        let sent = attempt(socket, Interest::WRITABLE, bytes.len(), || {
            Ok(Poll::Ready(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?))
        });
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(socket.poll_write_ready(cx))?,
            Err(error) => return Poll::Ready(Err(error)),
            Ok(sent) => return sent.map(Ok),
        }
    }
}

/// Moves bytes, at most `whole`, if the socket is ready, which after fewer it is no more.
fn attempt(
    socket: &TcpStream,
    interest: Interest,
    whole: usize,
    operation: impl FnOnce() -> io::Result<Poll<usize>>,
) -> io::Result<Poll<usize>> {
    let mut short = None;
    let outcome = socket.try_io(interest, || match operation()? {
        Poll::Ready(n) if (1..whole).contains(&n) => {
            short = Some(n);
            Err(io::ErrorKind::WouldBlock.into())
        }
        moved => Ok(moved),
    });
    short.map_or(outcome, |n| Ok(Poll::Ready(n)))
}

/// Writes some of `bytes`. Once it was not ready, the next write must begin with the same bytes: under TLS some of them
/// are sealed already.
pub fn poll_write(stream: &mut Stream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    match stream {
        Stream::Plain(socket) => poll_send(socket, cx, bytes),
        Stream::Tls(session) => session.poll_write(cx, bytes, &[]),
        Stream::TlsOut(session) => session.poll_write(cx, bytes, &[]),
        Stream::H2(stream) => stream.poll_write(cx, bytes, &[]),
        Stream::H3(stream) => stream.poll_write(cx, bytes, &[]),
    }
}

/// Writes some of `first`, then of `second`, in one call; what [`poll_write`] says of the same bytes holds for both.
pub fn poll_write_both(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    first: &[u8],
    second: &[u8],
) -> Poll<io::Result<usize>> {
    match stream {
        Stream::Plain(socket) => {
            Pin::new(socket).poll_write_vectored(cx, &[io::IoSlice::new(first), io::IoSlice::new(second)])
        }
        Stream::Tls(session) => session.poll_write(cx, first, second),
        Stream::TlsOut(session) => session.poll_write(cx, first, second),
        Stream::H2(stream) => stream.poll_write(cx, first, second),
        Stream::H3(stream) => stream.poll_write(cx, first, second),
    }
}

/// Closes the sending side, so that the peer knows that it has got everything.
pub fn poll_shutdown(stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    match stream {
        Stream::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
        Stream::Tls(session) => session.poll_shutdown(cx),
        Stream::TlsOut(session) => session.poll_shutdown(cx),
        Stream::H2(stream) => stream.poll_shutdown(),
        Stream::H3(stream) => stream.poll_shutdown(),
    }
}

/// Whether an idle connection is still as it was left: not closed, and nothing on it that nobody asked for. Costs no
/// system call as long as epoll has reported nothing since the last read that emptied the socket; otherwise one look.
pub fn is_quiet(stream: &Stream) -> bool {
    !stream.has_input() && stream.socket().is_none_or(is_silent)
}

/// The same for a socket.
pub fn is_silent(socket: &TcpStream) -> bool {
    let looked = socket.try_io(Interest::READABLE, || {
        socket2::SockRef::from(socket).peek(&mut [std::mem::MaybeUninit::uninit()])
    });
    looked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Closes with a reset, and without TLS's end, so that the peer cannot take what it got for the whole.
pub fn abort(stream: impl Into<Stream>) {
    let stream = stream.into();
    if let Some(socket) = stream.socket() {
        // Best effort: a socket that refuses the option is closed in the ordinary way.
        let _ = socket2::SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO));
    }
    drop(stream);
}
