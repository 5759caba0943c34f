//! Moves bytes from socket to socket inside the kernel, through a pipe (splice(2)), without copying them to user space.

use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};
use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes that a pipe may hold: what an unprivileged process may set, and enough for one turn of the worker.
const PIPE_BYTES: usize = 1024 * 1024;

/// Pipes that a worker keeps for the next large body: making one costs three calls and a megabyte's worth of page slots.
const FREE_PIPES: usize = 16;

/// A worker's free pipes.
#[derive(Default)]
pub struct Pipes {
    free: RefCell<Vec<Ends>>,
}

struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

/// A pipe with what was taken from the source and is not yet given to the sink; goes home empty when dropped.
pub struct Pipe {
    ends: Option<Ends>,
    held: usize,
    home: Rc<Pipes>,
}

impl Pipes {
    /// Lends an empty pipe.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn lend(self: &Rc<Self>) -> io::Result<Pipe> {
        let free = self.free.borrow_mut().pop();
        let ends = free.map_or_else(Ends::new, Ok)?;
        Ok(Pipe { ends: Some(ends), held: 0, home: Rc::clone(self) })
    }
}

impl Ends {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // A smaller pipe works too, with more calls.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, PIPE_BYTES);
        Ok(Self { read, write })
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // One that still holds bytes belongs to nobody else any more.
        if self.held > 0 {
            return;
        }
        let mut free = self.home.free.borrow_mut();
        if free.len() < FREE_PIPES {
            free.extend(self.ends.take());
        }
    }
}

impl Pipe {
    fn ends(&self) -> &Ends {
        self.ends.as_ref().expect("only drop takes them")
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
            let moved = source.try_io(Interest::READABLE, || {
                Ok(splice(source, None, &self.ends().write, None, most, flags)?)
            });
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
            let moved = sink.try_io(Interest::WRITABLE, || {
                Ok(splice(&self.ends().read, None, sink, None, self.held, flags)?)
            });
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
