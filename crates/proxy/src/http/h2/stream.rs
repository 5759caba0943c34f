//! One stream, in the place of a client's connection: reads give the request's body, writes take the response as
//! HTTP/1.1 text.

use super::mux::{Mux, State};
use crate::tls::Facts;
use crate::worker::buffers::Buffer;
use evenly_http2::StreamId;
use std::cell::RefMut;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A stream. Dropped before its response is complete, it is reset.
pub struct H2Stream {
    mux: Rc<Mux>,
    id: StreamId,
    said: Said,
    /// Whether the response has no body, whatever its head says.
    is_head: bool,
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

impl H2Stream {
    /// A stream that has begun, with the request's head `text`.
    pub fn new(mux: Rc<Mux>, id: StreamId, text: &[u8]) -> Self {
        Self { mux, id, said: Said::Nothing, is_head: text.starts_with(b"HEAD ") }
    }

    /// The server's end of the connection.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.mux.local
    }

    /// What was agreed on for the connection, under TLS.
    pub fn facts(&self) -> Option<&Rc<Facts>> {
        self.mux.facts.as_ref()
    }

    fn state(&self) -> RefMut<'_, State> {
        self.mux.state()
    }

    /// Reads the request's body into what room `into` has; 0 is its end.
    pub fn poll_read(&mut self, cx: &Context<'_>, into: &mut Buffer) -> Poll<io::Result<usize>> {
        self.state().poll_read(self.id, cx, into)
    }

    /// Ready when the client gave the stream up.
    pub fn poll_gone(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.state().poll_gone(self.id, cx)
    }

    /// Writes some of `first`, then of `second`. A head must come whole; the pipeline renders none in pieces.
    pub fn poll_write(
        &mut self,
        cx: &Context<'_>,
        mut first: &[u8],
        second: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut written = 0;
        // A peer that does not read is sent no more heads, either.
        while self.said == Said::Nothing && !first.is_empty() && !self.state().connection.is_backlogged() {
            let length = self.head(first)?;
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
            self.state().wait(self.id, cx);
            return Poll::Pending;
        }
        Poll::Ready(Ok(written))
    }

    /// Says that the response is complete; the first half of an end, for tunnels.
    pub fn poll_shutdown(&mut self) -> Poll<io::Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }

    /// The response is complete, if it has begun.
    pub fn finish(&mut self) {
        if matches!(self.said, Said::Head(_)) {
            self.state().finish(self.id);
            self.said = Said::Everything;
        }
    }

    /// Sends the head that `text` begins with. Returns its length.
    fn head(&mut self, text: &[u8]) -> io::Result<usize> {
        let head = Head::read(text).ok_or(io::ErrorKind::InvalidData)?;
        let length = head.length;
        let is_end = head.is_final() && (self.is_head || head.has_no_body());
        self.state().send_head(self.id, &text[..length], is_end)?;
        self.said = match (is_end, head.is_final()) {
            (true, _) => Said::Everything,
            (false, true) => Said::Head(head.body),
            (false, false) => Said::Nothing,
        };
        Ok(length)
    }

    /// Sends as much of the body as there is room for.
    fn body(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() || self.is_head && self.said == Said::Everything {
            // Of a HEAD's error page only the head is wanted.
            return Ok(bytes.len());
        }
        let Said::Head(left) = self.said else { return Err(io::ErrorKind::InvalidData.into()) };
        let is_end = left == Some(bytes.len() as u64);
        let n = self.state().send(self.id, bytes, is_end)?;
        let left = left.map(|left| left.saturating_sub(n as u64));
        self.said = if left == Some(0) { Said::Everything } else { Said::Head(left) };
        Ok(n)
    }
}

impl Drop for H2Stream {
    fn drop(&mut self) {
        self.state().remove(self.id);
    }
}

/// What of a response's head says how long its body is. It was rendered here, so it is well formed.
pub struct Head {
    /// Its bytes.
    pub length: usize,
    status: u16,
    /// Bytes of the body, if it says so.
    pub body: Option<u64>,
}

impl Head {
    /// Of the head that `text` begins with.
    pub fn read(text: &[u8]) -> Option<Self> {
        let status = std::str::from_utf8(text.get(9..12)?).ok()?.parse().ok()?;
        let mut body = None;
        let mut start = line_end(text, 0)?;
        loop {
            let end = line_end(text, start)?;
            let line = &text[start..end - 2];
            if line.is_empty() {
                return Some(Self { length: end, status, body });
            }
            if let Some((name, value)) = line.split_at_checked(15)
                && name.eq_ignore_ascii_case(b"content-length:")
            {
                body = std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok();
            }
            start = end;
        }
    }

    /// 101 makes a tunnel of the stream, so it is final, too.
    pub fn is_final(&self) -> bool {
        self.status >= 200 || self.status == 101
    }

    /// Whether nothing follows it.
    pub fn has_no_body(&self) -> bool {
        matches!(self.status, 204 | 304) || self.body == Some(0)
    }
}

/// Where the line that begins at `start` ends, its CRLF included.
fn line_end(text: &[u8], start: usize) -> Option<usize> {
    let line = text.get(start..)?;
    Some(start + line.iter().position(|byte| *byte == b'\n')? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_how_long_its_body_is() {
        let text = b"HTTP/1.1 200 OK\r\nDate: x\r\ncontent-LENGTH: 12\r\n\r\nbody";
        let head = Head::read(text).unwrap();
        assert_eq!((head.length, head.status, head.body), (text.len() - 4, 200, Some(12)));
        assert!(head.is_final() && !head.has_no_body());
        let interim = Head::read(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n").unwrap();
        assert!(!interim.is_final());
        assert!(Head::read(b"HTTP/1.1 304 Not Modified\r\n\r\n").unwrap().has_no_body());
        assert!(Head::read(b"HTTP/1.1 200 OK\r\nContent-Length: 1").is_none());
    }
}
