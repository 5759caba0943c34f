//! What issuers of certificates ask over TLS (`tls-alpn-01`, RFC 8737): a client that offers the protocol `acme-tls/1`, and
//! nothing else, is shown a certificate that was made for its question, and then the connection is closed.
//!
//! It gets a configuration of its own, because the listener's may ask for client certificates or lack a version, and must not
//! offer the protocol to anybody else. While nothing is asked there is nothing here, and no ClientHello is read twice.

use evenly_core::client_hello::Hello;
use evenly_core::document::{Challenge, DocumentError};
use rustc_hash::FxHashMap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::sync::Arc;

/// The only protocol of such a connection (RFC 8737 §6.2).
const PROTOCOL: &[u8] = b"acme-tls/1";

/// The answers, by the host that is asked about.
#[derive(Debug)]
pub struct Challenges(FxHashMap<Box<str>, Arc<ServerConfig>>);

impl Challenges {
    /// Of these; `None` if nothing is asked.
    ///
    /// # Errors
    /// A certificate or key that cannot be read, with its path.
    pub fn build(challenges: &[Challenge]) -> Result<Option<Arc<Self>>, DocumentError> {
        let mut by_host = FxHashMap::default();
        for (i, challenge) in challenges.iter().enumerate() {
            let fail = |field: &str, message: String| {
                DocumentError::new(format!("challenges[{i}].{field}"), message)
            };
            let chain = CertificateDer::from_pem_slice(challenge.chain.as_bytes());
            let chain = chain.map_err(|error| fail("chain", format!("has no certificate: {error}")))?;
            let key = PrivateKeyDer::from_pem_slice(challenge.key.0.as_bytes());
            let key = key.map_err(|error| fail("key", format!("has no private key: {error}")))?;
            let config = answer(chain, key).map_err(|error| fail("key", error.to_string()))?;
            by_host.insert(challenge.host.as_str().into(), Arc::new(config));
        }
        Ok((!by_host.is_empty()).then(|| Arc::new(Self(by_host))))
    }

    /// How to answer a client, if it asks what issuers ask.
    pub fn find(&self, hello: &Hello) -> Option<&Arc<ServerConfig>> {
        let config = self.0.get(hello.server_name.as_deref()?)?;
        hello.protocols().eq([PROTOCOL]).then_some(config)
    }
}

fn answer(
    chain: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(default_provider());
    // `CertifiedKey::from_der` would look into the certificate, and refuse its critical extension.
    let key = CertifiedKey::new(vec![chain], provider.key_provider.load_private_key(key)?);
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
