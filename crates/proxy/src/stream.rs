//! A connection, of a client or to an endpoint: bytes as they come, or under TLS; or a stream of one.
//!
//! An enum and not a trait: which of them it is costs one branch that the processor foresees, nothing is called
//! through a table, and a plain connection is as large as its socket.

use crate::http::{H2Stream, H3Stream};
use crate::tls::{Facts, Inward, Outward};
use crate::worker::buffers::READ_BYTES;
use evenly_http1::{BodyLength, BodyReader};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// Of a body so much is read even for one that takes nothing now: it may be all there is.
pub const LITTLE_BYTES: usize = 4 * 1024;

/// A connection.
pub enum Stream {
    /// What is read is what came.
    Plain(TcpStream),
    /// Boxed: some kilobytes, which plain connections need not carry.
    Tls(Box<Inward>),
    /// The same to an endpoint.
    TlsOut(Box<Outward>),
    /// One of many that share a connection.
    H2(H2Stream),
    /// The same over QUIC.
    H3(H3Stream),
}

impl Stream {
    /// The socket under it, to end it or ask it something; a stream shares one and has none of its own.
    pub fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(session) => Some(session.socket()),
            Self::TlsOut(session) => Some(session.socket()),
            Self::H2(_) | Self::H3(_) => None,
        }
    }

    /// The address of this end of the connection; a socket that is gone has none any more.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::H2(stream) => stream.local_addr(),
            Self::H3(stream) => stream.local_addr(),
            _ => self.socket().and_then(|socket| socket.local_addr().ok()),
        }
    }

    /// The socket whose bytes are the connection's own, which the kernel may move by itself.
    pub fn plain(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(_) | Self::TlsOut(_) | Self::H2(_) | Self::H3(_) => None,
        }
    }

    /// Whether it is the only one under a TLS session.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_) | Self::TlsOut(_))
    }

    /// Whether something was taken from the socket that nobody has read.
    pub fn has_input(&self) -> bool {
        match self {
            Self::Tls(session) => session.has_input(),
            Self::TlsOut(session) => session.has_input(),
            Self::Plain(_) | Self::H2(_) | Self::H3(_) => false,
        }
    }

    /// What was agreed on, if it came over TLS.
    pub fn facts(&self) -> Option<&Rc<Facts>> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(session) => Some(session.facts()),
            Self::TlsOut(session) => Some(session.facts()),
            Self::H2(stream) => stream.facts(),
            Self::H3(stream) => Some(stream.facts()),
        }
    }

    /// Whether messages on it end by themselves, so that their bodies need no framing.
    pub fn frames_messages(&self) -> bool {
        matches!(self, Self::H2(_) | Self::H3(_))
    }

    /// How much of a body is worth reading to be written here: not much more than is taken now, because many that share a
    /// connection may have to hold it at once; 0 as long as something else has to be sent before it.
    pub fn appetite(&self) -> usize {
        match self {
            Self::Plain(_) | Self::Tls(_) | Self::TlsOut(_) => READ_BYTES,
            Self::H2(stream) => stream.room().map_or(0, |room| room.clamp(LITTLE_BYTES, READ_BYTES)),
            // What its windows take nobody says.
            Self::H3(_) => 4 * LITTLE_BYTES,
        }
    }

    /// Has the task woken when that may have changed.
    pub fn wait(&self, cx: &Context<'_>) {
        if let Self::H2(stream) = self {
            stream.wait(cx);
        }
    }

    /// A message on it is complete, where messages end by themselves.
    pub fn finish(&mut self) {
        match self {
            Self::Plain(_) | Self::Tls(_) | Self::TlsOut(_) => {}
            Self::H2(stream) => stream.finish(None),
            Self::H3(stream) => stream.finish(),
        }
    }

    /// The same with lines of trailers behind it, if there are some; pending while the peer takes no more.
    pub fn poll_finish(&mut self, cx: &Context<'_>, trailers: Option<&[u8]>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) | Self::Tls(_) | Self::TlsOut(_) => {}
            Self::H2(stream) => stream.finish(trailers),
            Self::H3(stream) => return stream.poll_finish(cx, trailers),
        }
        Poll::Ready(Ok(()))
    }

    /// Leaves it to [`Stream::poll_finish`] to say where a message ends, whatever its head says of its length.
    pub fn hold_end(&mut self) {
        match self {
            Self::Plain(_) | Self::Tls(_) | Self::TlsOut(_) => {}
            Self::H2(stream) => stream.hold_end(),
            Self::H3(stream) => stream.hold_end(),
        }
    }

    /// Takes the trailers of a message whose end was read, where messages end by themselves.
    #[inline]
    pub fn trailers(&mut self) -> Option<Box<[u8]>> {
        match self {
            Self::Plain(_) | Self::Tls(_) | Self::TlsOut(_) => None,
            Self::H2(stream) => stream.trailers(),
            Self::H3(stream) => stream.trailers(),
        }
    }

    /// How a body that its head says this of is read here.
    pub fn body(&self, length: BodyLength) -> BodyReader {
        self.reader(BodyReader::from(length))
    }

    /// How it is read here, where `reader` is for HTTP/1.1.
    pub fn reader(&self, reader: BodyReader) -> BodyReader {
        match reader {
            BodyReader::Chunked(_) if self.frames_messages() => BodyReader::UntilClose,
            reader => reader,
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Self::Plain(socket)
    }
}
