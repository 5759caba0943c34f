//! Which certificate a client is shown: one for the name that it asks for, with a signature that it can verify.

use evenly_core::certificates::Names;
use rustc_hash::FxHashMap;
use rustls::SignatureAlgorithm;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::cell::RefCell;
use std::sync::Arc;

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
    names: Names,
    /// In the listener's order, which [`Names`] counts by.
    keys: Box<[Arc<CertifiedKey>]>,
    challenges: Arc<Challenges>,
}

/// What issuers are shown that ask for a host over TLS, by the host.
pub type Challenges = FxHashMap<String, Arc<CertifiedKey>>;

/// The protocol that they offer, alone (RFC 8737 §4).
pub const CHALLENGE: &[u8] = b"acme-tls/1";

impl Resolver {
    /// Of these certificates.
    pub fn new(names: Names, keys: Box<[Arc<CertifiedKey>]>, challenges: Arc<Challenges>) -> Self {
        Self { names, keys, challenges }
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        ASKED.set(hello.server_name().map(Box::from));
        if !self.challenges.is_empty() && is_challenge(&hello) {
            return self.challenges.get(&hello.server_name()?.to_ascii_lowercase()).map(Arc::clone);
        }
        let offered = hello.signature_schemes();
        let usable = |place: &&usize| self.keys[**place].key.choose_scheme(offered).is_some();
        // RSA only where nothing else will do: signing takes ten times as long.
        let is_rsa = |place: &&usize| self.keys[**place].key.algorithm() == SignatureAlgorithm::RSA;
        let candidates = self.names.find(hello.server_name());
        candidates.iter().filter(usable).min_by_key(is_rsa).map(|place| Arc::clone(&self.keys[*place]))
    }
}

fn is_challenge(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == CHALLENGE))
}
