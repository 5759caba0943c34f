//! What only a session with a client has: its hello, and its certificate.

use super::{HandshakeError, Session};
use crate::tls::certificate::read_certificate;
use crate::tls::facts::Facts;
use evenly_core::client_hello::{Hello, Progress, Reader};
use evenly_core::client_tls::ClientTls;
use evenly_core::error::Failure;
use rustls::server::UnbufferedServerConnection;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

impl Session<UnbufferedServerConnection> {
    /// Has the fingerprint of the ClientHello taken. To be called before the handshake.
    pub fn watch_hello(&mut self) {
        self.hello = Some(Box::default());
    }

    /// Waits for the ClientHello, which `reader` reads, and leaves it for the handshake; `None` for what is none: what is
    /// wrong with it is rustls' to say.
    pub fn poll_hello(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Reader,
    ) -> Poll<Result<Option<Hello>, HandshakeError>> {
        loop {
            let kept = self.partial.len();
            let incoming = ready!(self.poll_incoming(cx)).map_err(HandshakeError::Io)?;
            let progress = reader.feed(&incoming[kept..]);
            self.partial = Box::from(&*incoming);
            let hello = match progress {
                Ok(Progress::More) => continue,
                Ok(Progress::Hello(hello)) => Some(hello),
                Err(_) => None,
            };
            self.is_held = true;
            return Poll::Ready(Ok(hello));
        }
    }

    /// Goes on as another session, of which nothing was said yet either.
    pub fn become_another(&mut self, tls: UnbufferedServerConnection) {
        self.tls = tls;
    }

    /// Takes note of the certificate that the client has shown; all of it is kept with `whole`. To be called after the
    /// handshake.
    ///
    /// # Errors
    /// It cannot be used, also if the session goes on with an earlier one that began before it expired.
    pub fn note_certificate(&mut self, whole: bool) -> Result<(), Failure> {
        let Some(certificate) = self.tls.peer_certificates().and_then(<[_]>::first) else { return Ok(()) };
        let certificate = read_certificate(certificate, whole)?;
        let agreed = self.facts.known().agreed(&self.tls);
        let client = ClientTls { certificate: Some(certificate), ..agreed.client };
        self.facts = Rc::new(Facts { client, ..agreed });
        Ok(())
    }
}
