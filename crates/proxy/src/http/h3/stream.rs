//! One stream, in the place of a client's connection: reads give the request's body, writes take the response as
//! HTTP/1.1 text.

use super::mux::Mux;
use crate::http::h2::Head;
use crate::tls::Facts;
use crate::worker::buffers::Buffer;
use quinn_proto::StreamId;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A stream. Dropped before its response is complete, it is reset.
pub struct H3Stream {
    mux: Rc<Mux>,
    id: StreamId,
    said: Said,
    /// A head on its way: bytes of its text, and how far the response is when it is sent.
    leaving: Option<(usize, Said)>,
    /// Whether the response has no body, whatever its head says.
    is_head: bool,
    /// Whether the response's end is said by [`H3Stream::poll_finish`] alone: trailers may come.
    holds_end: bool,
    /// Whether that has begun.
    is_ending: bool,
}

/// How far the response is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// The final head is still to come.
    Nothing,
    /// The head was sent; of the body so many bytes are missing, or nobody knows how many.
    Head(Option<u64>),
    /// All.
    Everything,
}

impl H3Stream {
    /// A stream that has begun, with the request's head `text`.
    pub fn new(mux: Rc<Mux>, id: StreamId, text: &[u8]) -> Self {
        let is_head = text.starts_with(b"HEAD ");
        Self { mux, id, said: Said::Nothing, leaving: None, is_head, holds_end: false, is_ending: false }
    }

    /// The server's end of the connection.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.mux.local
    }

    /// What was agreed on for the connection.
    pub fn facts(&self) -> &Rc<Facts> {
        &self.mux.facts
    }

    /// Reads the request's body into what room `into` has; 0 is its end.
    pub fn poll_read(&mut self, cx: &Context<'_>, into: &mut Buffer) -> Poll<io::Result<usize>> {
        self.mux.poll_read(self.id, cx, into)
    }

    /// Ready when the client gave the stream up.
    pub fn poll_gone(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.mux.poll_gone(self.id, cx)
    }

    /// Writes some of `first`, then of `second`. A head must come whole; the pipeline renders none in pieces.
    pub fn poll_write(
        &mut self,
        cx: &Context<'_>,
        mut first: &[u8],
        second: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut written = 0;
        while self.said == Said::Nothing && !first.is_empty() {
            let (length, then) = match self.leaving {
                Some(leaving) => leaving,
                None => self.head(first)?,
            };
            if !self.mux.flush(self.id)? {
                break;
            }
            (self.leaving, self.said) = (None, then);
            if then == Said::Everything {
                self.mux.finish(self.id);
            }
            first = &first[length..];
            written += length;
        }
        let pieces = if self.said == Said::Nothing { [&[][..], &[]] } else { [first, second] };
        for piece in pieces {
            let n = self.body(piece)?;
            written += n;
            if n < piece.len() {
                break;
            }
        }
        if written == 0 {
            self.mux.wait(self.id, cx);
            return Poll::Pending;
        }
        Poll::Ready(Ok(written))
    }

    /// Says that the response is complete; the first half of an end, for tunnels.
    pub fn poll_shutdown(&mut self) -> Poll<io::Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }

    /// Leaves it to [`H3Stream::poll_finish`] to say where the response ends, whatever its head says of its length.
    pub fn hold_end(&mut self) {
        self.holds_end = true;
    }

    /// Takes the trailers of the request, whose end was read.
    pub fn trailers(&mut self) -> Option<Box<[u8]>> {
        self.mux.trailers(self.id)
    }

    /// The response is complete, if it has begun, with these lines of trailers behind it; pending while the client's
    /// window has no room for them.
    pub fn poll_finish(&mut self, cx: &Context<'_>, trailers: Option<&[u8]>) -> Poll<io::Result<()>> {
        if !matches!(self.said, Said::Head(_)) {
            return Poll::Ready(Ok(()));
        }
        if !std::mem::replace(&mut self.is_ending, true)
            && let Some(lines) = trailers
        {
            // Those that cannot be sent are none.
            self.mux.end_with(self.id, lines);
        }
        if !self.mux.flush(self.id)? {
            self.mux.wait(self.id, cx);
            return Poll::Pending;
        }
        self.finish();
        Poll::Ready(Ok(()))
    }

    /// Ends a response that breaks off with these lines of trailers, if they can be said at once; whether they were.
    pub fn cut(&mut self, trailers: &[u8]) -> bool {
        let is_said = matches!(self.said, Said::Head(_))
            && self.mux.end_with(self.id, trailers)
            && self.mux.flush(self.id).unwrap_or(false);
        if is_said {
            self.finish();
        }
        is_said
    }

    /// The response is complete, if it has begun.
    pub fn finish(&mut self) {
        if matches!(self.said, Said::Head(_)) {
            self.mux.finish(self.id);
            self.said = Said::Everything;
        }
    }

    /// Renders the head that `text` begins with. Returns its length, and how far the response is with it.
    fn head(&mut self, text: &[u8]) -> io::Result<(usize, Said)> {
        let head = Head::of_response(text, self.is_head).ok_or(io::ErrorKind::InvalidData)?;
        self.mux.head(self.id, &text[..head.length])?;
        let then = match head.is_final {
            true if head.body == Some(0) => Said::Everything,
            true => Said::Head(head.body),
            false => Said::Nothing,
        };
        self.leaving = Some((head.length, then));
        Ok((head.length, then))
    }

    /// Sends as much of the body as there is room for.
    fn body(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() || self.is_head && self.said == Said::Everything {
            // Of a HEAD's error page only the head is wanted.
            return Ok(bytes.len());
        }
        let Said::Head(left) = self.said else { return Err(io::ErrorKind::InvalidData.into()) };
        let n = self.mux.send(self.id, bytes)?;
        let left = left.map(|left| left.saturating_sub(n as u64));
        self.said = Said::Head(left);
        if left == Some(0) && !self.holds_end {
            self.finish();
        }
        Ok(n)
    }
}

impl Drop for H3Stream {
    fn drop(&mut self) {
        self.mux.remove(self.id, self.said == Said::Everything);
    }
}
