//! *Handshake*: from a connection to a session, within its deadline.

use super::Inward;
use super::session::{HandshakeError, Session};
use super::terminations::Termination;
use crate::worker::Worker;
use evenly_core::error::Failure;
use rustls::Error;
use rustls::server::UnbufferedServerConnection;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;

/// What rustls says when the resolver has no certificate for a client.
const NO_CERTIFICATE: &str = "no server certificate chain resolved";

/// Agrees with a client on a session.
///
/// # Errors
/// Why that failed; the client has been told if there was something to tell.
pub async fn handshake(
    worker: &Rc<Worker>,
    socket: TcpStream,
    termination: &Termination,
    within: Duration,
) -> Result<Box<Inward>, Failure> {
    let deadline = worker.deadlines.slot();
    deadline.set(within);
    let tls = UnbufferedServerConnection::new(termination.clone()).map_err(|_| Failure::Internal)?;
    let mut session = Box::new(Session::new(socket, tls, Rc::clone(&worker.buffers)));
    let mut is_registered = false;
    let agreed = poll_fn(|cx| {
        if !is_registered {
            deadline.register(cx);
            is_registered = true;
        }
        match session.poll_handshake(cx) {
            Poll::Ready(agreed) => Poll::Ready(agreed.map_err(|error| failure(&error))),
            Poll::Pending if deadline.passed() => Poll::Ready(Err(Failure::TlsTimeout)),
            Poll::Pending => Poll::Pending,
        }
    });
    match agreed.await {
        Ok(()) => Ok(session),
        Err(failure) => {
            session.flush();
            Err(failure)
        }
    }
}

fn failure(error: &HandshakeError) -> Failure {
    match error {
        HandshakeError::Io(_) => Failure::TlsClosed,
        HandshakeError::Tls(error) => match error {
            Error::AlertReceived(_) => Failure::TlsRefused,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Failure::TlsNoMatch,
            Error::General(text) if text == NO_CERTIFICATE => Failure::TlsNameUnknown,
            _ => Failure::TlsBad,
        },
    }
}
