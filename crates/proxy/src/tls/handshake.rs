//! *Handshake*: from a connection to a session, within its deadline.

use super::Inward;
use super::session::{HandshakeError, Session};
use super::terminations::Termination;
use crate::worker::Worker;
use crate::worker::deadlines::Deadline;
use evenly_core::client_hello::{Hello, Reader};
use evenly_core::error::Failure;
use evenly_core::listener::Tls;
use rustls::server::UnbufferedServerConnection;
use rustls::{CertificateError, Error, ServerConfig};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// What rustls says when the resolver has no certificate for a client.
const NO_CERTIFICATE: &str = "no server certificate chain resolved";

/// How often a handshake that waits for a certificate looks whether it is there.
const LOOK: Duration = Duration::from_millis(100);

/// Agrees with a client on a session. `None` if it was an issuer of certificates with its question: then that is answered,
/// and the connection is over (RFC 8737 §3).
///
/// # Errors
/// Why that failed; the client has been told if there was something to tell.
pub async fn handshake(
    worker: &Rc<Worker>,
    socket: TcpStream,
    bind: SocketAddr,
    termination: &Termination,
    options: &Tls,
) -> Result<Option<Box<Inward>>, Failure> {
    let deadline = worker.deadlines.slot();
    deadline.set(options.handshake);
    let tls = connection(&termination.config)?;
    let mut session = Box::new(Session::new(socket, tls, Rc::clone(&worker.buffers)));
    let mut is_question = false;
    if termination.looks_ahead() {
        let mut reader = Reader::default();
        let hello = within(&deadline, |cx| session.poll_hello(cx, &mut reader)).await?;
        if let Some(hello) = hello {
            let answer = termination.challenges.as_ref().and_then(|challenges| challenges.find(&hello));
            is_question = answer.is_some();
            let config = match answer {
                Some(config) => Some(Arc::clone(config)),
                None => demanded(worker, bind, termination, &hello, &deadline).await?,
            };
            if let Some(config) = config {
                session.become_another(connection(&config)?);
            }
        }
    }
    if options.ja4 {
        session.watch_hello();
    }
    let mut outcome = within(&deadline, |cx| poll(&mut session, cx, is_question)).await;
    if outcome.is_ok() && options.asks_clients {
        outcome = session.note_certificate(options.forwards_whole);
    }
    outcome.inspect_err(|_| session.flush())?;
    Ok((!is_question).then_some(session))
}

fn connection(config: &Arc<ServerConfig>) -> Result<UnbufferedServerConnection, Failure> {
    UnbufferedServerConnection::new(Arc::clone(config)).map_err(|_| Failure::Internal)
}

/// What `poll` comes to, before the deadline.
async fn within<T>(
    deadline: &Deadline,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<Result<T, HandshakeError>>,
) -> Result<T, Failure> {
    let mut is_registered = false;
    poll_fn(|cx| {
        if !is_registered {
            deadline.register(cx);
            is_registered = true;
        }
        match poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(outcome.map_err(|error| failure(&error))),
            Poll::Pending if deadline.passed() => Poll::Ready(Err(Failure::TlsTimeout)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Waits for a certificate for the name that a client asks for, if one may be issued on demand: how to go on with it, or
/// `None` for as if nothing had been asked.
async fn demanded(
    worker: &Rc<Worker>,
    bind: SocketAddr,
    termination: &Termination,
    hello: &Hello,
    deadline: &Deadline,
) -> Result<Option<Arc<ServerConfig>>, Failure> {
    let (Some(on_demand), Some(name)) = (&termination.on_demand, hello.server_name.as_deref()) else {
        return Ok(None);
    };
    if !on_demand.lacks(name) || !on_demand.demand.ask(name, Instant::now()) {
        return Ok(None);
    }
    loop {
        // Before the look: what is settled has been applied already.
        let is_open = on_demand.demand.is_open(name);
        let now = worker.view_of(bind).and_then(|view| view.termination(bind).cloned());
        let has_it = |now: &&Termination| now.on_demand.as_ref().is_none_or(|demand| !demand.lacks(name));
        if let Some(now) = now.as_ref().filter(has_it) {
            return Ok(Some(Arc::clone(&now.config)));
        }
        if !is_open {
            return Ok(None);
        }
        if deadline.passed() {
            return Err(Failure::TlsTimeout);
        }
        worker.alarm.sleep(LOOK).await;
    }
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
