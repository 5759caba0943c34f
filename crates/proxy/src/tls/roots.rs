//! Whose certificates are believed: those that a bundle names, or those that the system trusts.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For how long what the system trusts is not looked up again: it takes some milliseconds, and discovery may change the
/// configuration many times a minute.
const FRESH: Duration = Duration::from_secs(60);

/// What the system trusts, as it was found last.
#[derive(Clone)]
pub struct SystemRoots {
    found: Instant,
    certificates: Vec<CertificateDer<'static>>,
    store: Arc<RootCertStore>,
}

impl SystemRoots {
    /// Finds it where OpenSSL would (`SSL_CERT_FILE`, `SSL_CERT_DIR`, the distributions' places). The same store as before
    /// as long as nothing has changed.
    ///
    /// # Errors
    /// Nothing is trusted: what was looked for is not there.
    pub fn find(previous: Option<&Self>, now: Instant) -> Result<Self, String> {
        if let Some(fresh) = previous.filter(|previous| now < previous.found + FRESH) {
            return Ok(fresh.clone());
        }
        let certificates = rustls_native_certs::load_native_certs().certs;
        if let Some(same) = previous.filter(|previous| previous.certificates == certificates) {
            return Ok(Self { found: now, ..same.clone() });
        }
        let mut store = RootCertStore::empty();
        // Some that systems trust are too old to be read; they are of no use to anybody.
        store.add_parsable_certificates(certificates.iter().cloned());
        if store.is_empty() {
            return Err(
                "the system trusts nobody (looked for as OpenSSL does, /etc/ssl/certs for one)".into()
            );
        }
        Ok(Self { found: now, certificates, store: Arc::new(store) })
    }

    /// As a handshake needs it.
    pub fn store(&self) -> &Arc<RootCertStore> {
        &self.store
    }
}

/// The certificates of a bundle.
///
/// # Errors
/// It is no PEM, has no certificate, or one that cannot be used.
pub fn of_bundle(pem: &str) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for (i, certificate) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
        let certificate = certificate.map_err(|error| format!("is not PEM: {error}"))?;
        let number = i + 1;
        store.add(certificate).map_err(|error| format!("certificate {number} cannot be used: {error}"))?;
    }
    if store.is_empty() { Err("has no certificate".into()) } else { Ok(store) }
}
