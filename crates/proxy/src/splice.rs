//! Moves bytes from socket to socket inside the kernel, through a pipe (splice(2)), without copying them to user space.

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes that a pipe may hold: what an unprivileged process may set, and enough for one turn of the worker.
const PIPE_BYTES: usize = 1024 * 1024;

/// A pipe with what was taken from the source and is not yet given to the sink.
pub struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
}

impl Pipe {
    /// An empty pipe.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // A smaller pipe works too, with more calls.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, PIPE_BYTES);
        Ok(Self { read, write, held: 0 })
    }

    /// Whether everything was given on.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes up to `most` bytes from the source; 0 is its end. The pipe must be empty: a full pipe and an empty socket
    /// look the same to splice(2).
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        source: &TcpStream,
        most: u64,
    ) -> Poll<io::Result<u64>> {
        let most = usize::try_from(most).unwrap_or(PIPE_BYTES).min(PIPE_BYTES);
        loop {
            ready!(source.poll_read_ready(cx))?;
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            let moved = source
                .try_io(Interest::READABLE, || Ok(splice(source, None, &self.write, None, most, flags)?));
            match moved {
                Ok(n) => {
                    self.held += n;
                    return Poll::Ready(Ok(n as u64));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Gives what is held to the sink, as much as it takes.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, sink: &TcpStream) -> Poll<io::Result<u64>> {
        loop {
            ready!(sink.poll_write_ready(cx))?;
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            let moved = sink
                .try_io(Interest::WRITABLE, || Ok(splice(&self.read, None, sink, None, self.held, flags)?));
            match moved {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    self.held -= n;
                    return Poll::Ready(Ok(n as u64));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}
