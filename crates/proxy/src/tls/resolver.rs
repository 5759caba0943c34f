//! Which certificate a client is shown: one for the name that it asks for, with a signature that it can verify.

use super::staples::Shown;
use evenly_core::certificates::Names;
use rustls::SignatureAlgorithm;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::SystemTime;

thread_local! {
    /// The name that the client asked for whose ClientHello this thread is just reading. rustls tells it only here when it is used without
    /// buffers, and reads a hello from its first byte to its last, this question included, in one call.
    static ASKED: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// Takes the name that a client has asked for, after the call that read its hello.
pub fn asked() -> Option<Box<str>> {
    ASKED.take()
}

/// A listener's certificates.
#[derive(Debug)]
pub struct Resolver {
    names: Arc<Names>,
    /// In the listener's order, which [`Names`] counts by.
    keys: Box<[Shown]>,
}

impl Resolver {
    /// Of these certificates.
    pub fn new(names: Arc<Names>, keys: Box<[Shown]>) -> Self {
        Self { names, keys }
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        ASKED.set(hello.server_name().map(Box::from));
        let offered = hello.signature_schemes();
        let usable = |place: &&usize| self.keys[**place].bare().key.choose_scheme(offered).is_some();
        // RSA only where nothing else will do: signing takes ten times as long.
        let is_rsa = |place: &&usize| self.keys[**place].bare().key.algorithm() == SignatureAlgorithm::RSA;
        let candidates = self.names.find(hello.server_name());
        let best = candidates.iter().filter(usable).min_by_key(is_rsa);
        // Where none is usable, the name is not what is wrong: with any of them the handshake says what is.
        best.or_else(|| candidates.first()).map(|place| self.keys[*place].at(SystemTime::now))
    }
}
