//! The end of the handshake, and what the client has shown in it.

use super::{NEVER, Task};
use crate::arrival::tell;
use crate::http::h3::VERSION;
use crate::tls::read_certificate;
use evenly_core::client_tls::ClientCertificate;
use evenly_core::error::Failure;
use evenly_http3::Code;
use rustls::pki_types::CertificateDer;

impl Task {
    /// The handshake is over.
    pub(super) fn connected(&mut self) {
        self.link.agreed();
        self.handshake = NEVER;
        match &self.agreed {
            None => self.agree(),
            Some(agreed) => agreed.mux.facts.early.iter().for_each(|early| early.end()),
        }
    }

    /// What the client has shown, where it is asked for that.
    pub(super) fn certificate(&self) -> Result<Option<ClientCertificate>, Failure> {
        let Some(tls) = self.listener.tls.as_ref().filter(|tls| tls.asks_clients) else { return Ok(None) };
        let shown = self.link.connection().crypto_session().peer_identity();
        let shown = shown.and_then(|shown| shown.downcast::<CertificateDer<'static>>().ok());
        shown.map(|shown| read_certificate(&shown, tls.forwards_whole)).transpose()
    }

    /// Ends a connection whose handshake is over in vain.
    pub(super) fn refuse(&mut self, failure: Failure) {
        self.worker.stats.borrow_mut().tls_failed(self.listener.id.0);
        tell(&self.worker, &self.listener, (self.whereabouts.peer, VERSION), failure);
        self.close(Code::GENERAL_PROTOCOL_ERROR, failure.reason());
    }
}
