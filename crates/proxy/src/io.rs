//! Reads and writes on sockets, in one place, so that another way of I/O (TLS, io_uring) has one place to go.
//!
//! A read takes a buffer only when there is something to read, and a short read counts as "the socket is empty":
//! tokio clears the readiness then, so no second read is spent on learning it (EAGAIN).

use crate::worker::buffers::{Buffer, Buffers};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Reads into a fresh buffer once there is something; an empty buffer is the end of the stream.
pub fn poll_read(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    buffers: &Rc<Buffers>,
) -> Poll<io::Result<Buffer>> {
    buffers.lend_read(|room| poll_read_room(stream, cx, room))
}

/// Reads into what room `buffer` has; 0 is the end of the stream.
pub fn poll_read_into(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut Buffer,
) -> Poll<io::Result<usize>> {
    let n = ready!(poll_read_room(stream, cx, buffer.room()))?;
    buffer.filled(n);
    Poll::Ready(Ok(n))
}

fn poll_read_room(stream: &mut TcpStream, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut room = ReadBuf::new(room);
    ready!(Pin::new(stream).poll_read(cx, &mut room))?;
    Poll::Ready(Ok(room.filled().len()))
}

/// Writes some of `bytes`.
pub fn poll_write(stream: &mut TcpStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_write(cx, bytes)
}

/// Writes some of `first`, then of `second`, in one call.
pub fn poll_write_both(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    first: &[u8],
    second: &[u8],
) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_write_vectored(cx, &[io::IoSlice::new(first), io::IoSlice::new(second)])
}

/// Closes the sending side.
pub fn poll_shutdown(stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    Pin::new(stream).poll_shutdown(cx)
}

/// Whether an idle connection is still as it was left: not closed, and nothing on it that nobody asked for. Costs no
/// system call as long as epoll has reported nothing since the last read that emptied the socket; otherwise one look.
pub fn is_quiet(stream: &TcpStream) -> bool {
    let looked = stream.try_io(Interest::READABLE, || {
        socket2::SockRef::from(stream).peek(&mut [std::mem::MaybeUninit::uninit()])
    });
    looked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Closes with a reset, so that the peer cannot take what it got for the whole.
pub fn abort(stream: TcpStream) {
    // Best effort: a socket that refuses the option is closed in the ordinary way.
    let _ = socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO));
    drop(stream);
}
