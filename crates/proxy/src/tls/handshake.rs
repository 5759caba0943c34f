//! *Handshake*: from a connection to a session, within its deadline.

use super::Inward;
use super::session::{HandshakeError, Session};
use super::terminations::Termination;
use super::watch::{Choose, Watch};
use crate::worker::Worker;
use evenly_core::error::Failure;
use evenly_core::listener::Tls;
use rustls::CertificateError;
use rustls::Error;
use rustls::server::UnbufferedServerConnection;
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// What rustls says when the resolver has no certificate for a client.
const NO_CERTIFICATE: &str = "no server certificate chain resolved";

/// Agrees with a client on a session. `None` if it was an issuer of certificates with its question: then that is answered,
/// and the connection is over (RFC 8737 §3).
///
/// # Errors
/// Why that failed; the client has been told if there was something to tell.
pub async fn handshake(
    worker: &Rc<Worker>,
    socket: TcpStream,
    termination: &Termination,
    options: &Tls,
) -> Result<Option<Box<Inward>>, Failure> {
    let deadline = worker.deadlines.slot();
    deadline.set(options.handshake);
    let config = Arc::clone(&termination.config);
    let tls = UnbufferedServerConnection::new(config).map_err(|_| Failure::Internal)?;
    let mut session = Box::new(Session::new(socket, tls, Rc::clone(&worker.buffers)));
    let is_question = Rc::new(Cell::new(false));
    session.watch_hello(Watch::of(options.ja4, answering(termination, &is_question)));
    let mut is_registered = false;
    let agreed = poll_fn(|cx| {
        if !is_registered {
            deadline.register(cx);
            is_registered = true;
        }
        match poll(&mut session, cx, is_question.get()) {
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
    Ok((!is_question.get()).then_some(session))
}

/// Has a session answer an issuer, if the client turns out to be one; `is_question` tells so.
fn answering(
    termination: &Termination,
    is_question: &Rc<Cell<bool>>,
) -> Option<Choose<UnbufferedServerConnection>> {
    let challenges = Arc::clone(termination.challenges.as_ref()?);
    let is_question = Rc::clone(is_question);
    Some(Box::new(move |hello| {
        let tls = UnbufferedServerConnection::new(Arc::clone(challenges.find(hello)?)).ok()?;
        is_question.set(true);
        Some(tls)
    }))
}

/// The handshake, and the end of a connection on which nothing comes after it.
fn poll(session: &mut Inward, cx: &mut Context<'_>, is_question: bool) -> Poll<Result<(), HandshakeError>> {
    ready!(session.poll_handshake(cx))?;
    if is_question {
        ready!(session.poll_shutdown(cx)).map_err(HandshakeError::Io)?;
    }
    Poll::Ready(Ok(()))
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
