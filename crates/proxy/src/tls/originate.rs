//! *Connect*: from a connection to an endpoint to a session on it. Whoever asks keeps the time.

use super::Outward;
use super::originations::Target;
use super::session::{HandshakeError, Session};
use super::trouble::Trouble;
use crate::worker::buffers::Buffers;
use rustls::client::UnbufferedClientConnection;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Protocols that are offered to an endpoint, the most wanted first; empty: none is negotiated.
pub type Alpn = &'static [&'static [u8]];

/// For requests.
pub const HTTP_1: Alpn = &[b"http/1.1"];

/// For requests that share a connection.
pub const HTTP_2: Alpn = &[b"h2"];

/// For an endpoint that may choose.
pub const EITHER: Alpn = &[b"h2", b"http/1.1"];

/// For bytes of which only the client and the endpoint know what they are.
pub const NO_ALPN: Alpn = &[];

/// Agrees with an endpoint on a session. What ends the handshake on our side leaves with the first bytes that are sent.
///
/// # Errors
/// Why that failed; the endpoint has been told if there was something to tell.
pub async fn originate(
    socket: TcpStream,
    target: &Target,
    alpn: Alpn,
    buffers: &Rc<Buffers>,
) -> Result<Box<Outward>, Trouble> {
    let protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let (config, name) = (Arc::clone(&target.config), target.name.clone());
    let tls = UnbufferedClientConnection::new_with_alpn(config, name, protocols)
        .map_err(|error| Trouble::of(&HandshakeError::Tls(error)))?;
    let mut session = Box::new(Session::new(socket, tls, Rc::clone(buffers)));
    let agreed = match session.begin() {
        Ok(()) => poll_fn(|cx| session.poll_handshake(cx)).await,
        Err(error) => Err(error),
    };
    match agreed {
        // Who may choose HTTP/2 and does not may take its bytes for those of anything (RFC 9113 §3.2).
        Ok(()) if alpn == HTTP_2 && !session.facts().is_h2 => {
            session.leave(&[]);
            Err(Trouble::NOT_HTTP_2)
        }
        Ok(()) => {
            target.succeeded();
            Ok(session)
        }
        Err(error) => {
            session.flush();
            Err(Trouble::of(&error))
        }
    }
}
