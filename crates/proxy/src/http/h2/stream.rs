//! One stream, in the place of a connection: of a client's, reads give the request's body, writes take the response as
//! HTTP/1.1 text; to an endpoint, writes take the request so, and reads give the response's head and body.

use super::head::Head;
use super::mux::{End, Mux, State};
use super::shared::Shared;
use crate::http::grpc;
use crate::tls::Facts;
use crate::worker::buffers::Buffer;
use evenly_http2::{OpenError, StreamId};
use std::cell::RefMut;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A stream. Dropped before its message is complete, it is reset.
pub struct H2Stream {
    mux: Rc<Mux>,
    /// An endpoint's has none before its request's head is written.
    id: Option<StreamId>,
    said: Said,
    /// Whether what is written has no body, whatever its head says.
    is_head: bool,
    /// Whether the end of what is written is said by [`H2Stream::finish`] alone: trailers may come.
    holds_end: bool,
    /// The connection to an endpoint that it is on, if it is to one.
    shared: Option<Rc<Shared>>,
    /// The status of gRPC in the trailers that were taken.
    grpc_status: Option<u8>,
    /// Whether something of the peer's message was read.
    has_read: bool,
    /// Whether the endpoint does not do what is asked of it.
    is_impossible: bool,
}

/// How far the message is that is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// The final head is still to come.
    Nothing,
    /// The head was sent; of the body so many bytes are missing, or nobody knows how many.
    Head(Option<u64>),
    /// All.
    Everything,
}

/// What became of a request that got no response on its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The endpoint has not looked at it, and says so; or it was not sent.
    Unprocessed,
    /// The endpoint cannot be asked for what it asks for.
    Impossible,
    /// What came is no response.
    Malformed,
    /// The stream was reset.
    Reset,
    /// Its connection has ended. Whether that is this stream's to tell: the first one's is.
    Lost { is_first: bool },
}

impl H2Stream {
    /// A client's stream that has begun, with the request's head `text`.
    pub fn new(mux: Rc<Mux>, id: StreamId, text: &[u8]) -> Self {
        let is_head = text.starts_with(b"HEAD ");
        let mut stream = Self::silent(mux, None);
        (stream.id, stream.is_head) = (Some(id), is_head);
        stream
    }

    /// A place for a stream on a connection to an endpoint, which was kept for it.
    pub(super) fn to_endpoint(shared: Rc<Shared>) -> Self {
        Self::silent(Rc::clone(&shared.mux), Some(shared))
    }

    fn silent(mux: Rc<Mux>, shared: Option<Rc<Shared>>) -> Self {
        Self {
            mux,
            id: None,
            said: Said::Nothing,
            is_head: false,
            holds_end: false,
            shared,
            grpc_status: None,
            has_read: false,
            is_impossible: false,
        }
    }

    /// This end of the connection.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.mux.local
    }

    /// What was agreed on for a client's connection, under TLS.
    pub fn facts(&self) -> Option<&Rc<Facts>> {
        self.mux.facts.as_ref()
    }

    fn state(&self) -> RefMut<'_, State> {
        self.mux.state()
    }

    /// Reads at most so many bytes into what room `into` has; 0 is the message's end.
    pub fn poll_read(&mut self, cx: &Context<'_>, into: &mut Buffer, most: usize) -> Poll<io::Result<usize>> {
        // Who has no stream yet is woken as a writer.
        let Some(id) = self.id else { return Poll::Pending };
        let read = self.state().poll_read(id, cx, into, most);
        self.has_read |= read.is_ready();
        read
    }

    /// Ready when the peer gave the stream up.
    pub fn poll_gone(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.id.map_or(Poll::Pending, |id| self.state().poll_gone(id, cx))
    }

    /// Writes some of `first`, then of `second`. A head must come whole; the pipeline renders none in pieces.
    pub fn poll_write(
        &mut self,
        cx: &Context<'_>,
        mut first: &[u8],
        second: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut written = 0;
        // A peer that does not read is sent no more heads, either; what is closed says so itself.
        let waits = |mux: &Mux| {
            let state = mux.state();
            state.connection.is_backlogged() && !state.connection.is_closed()
        };
        while self.said == Said::Nothing && !first.is_empty() && !waits(&self.mux) {
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
            match (self.id, &self.shared) {
                (Some(id), _) => self.state().wait(id, cx),
                (None, Some(shared)) => shared.wait_for_output(cx),
                (None, None) => {}
            }
            return Poll::Pending;
        }
        Poll::Ready(Ok(written))
    }

    /// How much of a body it would take now; `None` as long as what waits to be sent has to be sent first.
    pub fn room(&self) -> Option<usize> {
        let state = self.state();
        let window = self.id.map_or(0, |id| state.connection.window(id));
        (!state.connection.is_backlogged()).then_some(window)
    }

    /// Has the task woken when there is room.
    pub fn wait(&self, cx: &Context<'_>) {
        if let Some(id) = self.id {
            self.state().wait(id, cx);
        }
    }

    /// Says that the message is complete; the first half of an end, for tunnels.
    pub fn poll_shutdown(&mut self) -> Poll<io::Result<()>> {
        self.finish(None);
        Poll::Ready(Ok(()))
    }

    /// Leaves it to [`H2Stream::finish`] to say where the message ends, whatever its head says of its length.
    pub fn hold_end(&mut self) {
        self.holds_end = true;
    }

    /// What is written is complete, if it has begun; with these lines of trailers behind it.
    pub fn finish(&mut self, trailers: Option<&[u8]>) {
        if let (Said::Head(_), Some(id)) = (self.said, self.id) {
            self.state().finish(id, trailers);
            self.said = Said::Everything;
        }
    }

    /// Whether all of the peer's message was read, and nothing follows it.
    pub fn is_drained(&self) -> bool {
        self.id.is_some_and(|id| self.state().is_drained(id))
    }

    /// Takes the trailers of the peer's message, whose end was read.
    pub fn trailers(&mut self) -> Option<Box<[u8]>> {
        let id = self.id?;
        let lines = self.state().trailers(id)?;
        self.grpc_status = grpc::status_in(&lines);
        Some(lines)
    }

    /// The status of gRPC in the trailers that were taken, if there is one.
    pub fn grpc_status(&self) -> Option<u8> {
        self.grpc_status
    }

    /// Whether the head of what is written was sent, and its end was not.
    pub fn is_midway(&self) -> bool {
        matches!(self.said, Said::Head(_))
    }

    /// What became of a request that could not be written, or whose response could not be read.
    pub fn loss(&self) -> Loss {
        let Some(shared) = &self.shared else { return Loss::Reset };
        let Some(id) = self.id else {
            return if self.is_impossible { Loss::Impossible } else { Loss::Unprocessed };
        };
        match self.state().end_of(id) {
            Some(End::Unprocessed) => Loss::Unprocessed,
            Some(End::Malformed) => Loss::Malformed,
            Some(End::Lost) => Loss::Lost { is_first: shared.blame() },
            Some(End::Complete | End::Broken) | None => Loss::Reset,
        }
    }

    /// Sends the head that `text` begins with. Returns its length.
    fn head(&mut self, text: &[u8]) -> io::Result<usize> {
        let head = match &self.shared {
            Some(_) => Head::of_request(text),
            None => Head::of_response(text, self.is_head),
        };
        let head = head.ok_or(io::ErrorKind::InvalidData)?;
        let is_end = head.is_final && head.body == Some(0);
        let text = &text[..head.length];
        match (self.id, &self.shared) {
            (None, Some(shared)) => {
                let opened = shared.open(text, is_end);
                self.is_impossible = opened == Err(OpenError::NoExtendedConnect);
                self.id = Some(opened.map_err(unopened)?);
                self.is_head = head.is_head;
            }
            (Some(id), None) => self.state().send_head(id, text, is_end)?,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        self.said = match (is_end, head.is_final) {
            (true, _) => Said::Everything,
            (false, true) => Said::Head(head.body),
            (false, false) => Said::Nothing,
        };
        Ok(head.length)
    }

    /// Sends as much of the body as there is room for.
    fn body(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() || self.is_head && self.said == Said::Everything {
            // Of a HEAD's error page only the head is wanted.
            return Ok(bytes.len());
        }
        let (Said::Head(left), Some(id)) = (self.said, self.id) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let is_end = left == Some(bytes.len() as u64) && !self.holds_end;
        let n = self.state().send(id, bytes, is_end)?;
        let left = left.map(|left| left.saturating_sub(n as u64));
        self.said = if left == Some(0) && !self.holds_end { Said::Everything } else { Said::Head(left) };
        Ok(n)
    }
}

impl Drop for H2Stream {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.state().remove(id);
        }
        if let Some(shared) = &self.shared {
            shared.is_suspect.set(shared.is_suspect.get() || self.id.is_some() && !self.has_read);
            shared.left(self.id);
        }
    }
}

fn unopened(error: OpenError) -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, error)
}
