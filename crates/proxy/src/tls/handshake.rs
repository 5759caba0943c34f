//! *Handshake*: from a connection to a session, within its deadline.

use super::Inward;
use super::session::{HandshakeError, Session};
use super::terminations::Termination;
use crate::worker::Worker;
use evenly_core::error::Failure;
use evenly_core::listener::Tls;
use rustls::CertificateError;
use rustls::Error;
use rustls::server::UnbufferedServerConnection;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
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
    options: &Tls,
) -> Result<Box<Inward>, Failure> {
    let deadline = worker.deadlines.slot();
    deadline.set(options.handshake);
    let tls = UnbufferedServerConnection::new(termination.clone()).map_err(|_| Failure::Internal)?;
    let mut session = Box::new(Session::new(socket, tls, Rc::clone(&worker.buffers)));
    if options.ja4 {
        session.watch_hello();
    }
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
    let mut outcome = agreed.await;
    if outcome.is_ok() && options.asks_clients {
        outcome = session.note_certificate(options.forwards_whole);
    }
    outcome.inspect_err(|_| session.flush())?;
    Ok(session)
}

fn failure(error: &HandshakeError) -> Failure {
    match error {
        HandshakeError::Io(_) => Failure::TlsClosed,
        HandshakeError::Tls(error) => match error {
            Error::AlertReceived(_) => Failure::TlsRefused,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Failure::TlsNoMatch,
            Error::NoCertificatesPresented => Failure::ClientCertificateMissing,
            Error::InvalidCertificate(error) => of_certificate(error),
            Error::General(text) if text == NO_CERTIFICATE => Failure::TlsNameUnknown,
            _ => Failure::TlsBad,
        },
    }
}

fn of_certificate(error: &CertificateError) -> Failure {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Failure::ClientCertificateUntrusted
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Failure::ClientCertificateExpired,
        CertificateError::Revoked | CertificateError::UnknownRevocationStatus => {
            Failure::ClientCertificateRevoked
        }
        _ => Failure::ClientCertificateBad,
    }
}
