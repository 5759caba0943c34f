//! A connection, of a client or to an endpoint: bytes as they come, or under TLS.
//!
//! An enum and not a trait: which of the two it is costs one branch that the processor foresees, nothing is called
//! through a table, and a plain connection is as large as its socket.

use crate::tls::Session;
use tokio::net::TcpStream;

/// A connection.
pub enum Stream {
    /// What is read is what came.
    Plain(TcpStream),
    /// Boxed: some kilobytes, which plain connections need not carry.
    Tls(Box<Session>),
}

impl Stream {
    /// The socket under it, to ask it for addresses and to end it.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(session) => session.socket(),
        }
    }

    /// The socket whose bytes are the connection's own, which the kernel may move by itself.
    pub fn plain(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(_) => None,
        }
    }

    /// The TLS session, if there is one.
    pub fn tls(&self) -> Option<&Session> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(session) => Some(session),
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Self::Plain(socket)
    }
}
