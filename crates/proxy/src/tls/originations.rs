//! How pools speak TLS with their endpoints: whom they believe, what they ask for, and the sessions that they resume.

use super::roots::{SystemRoots, of_bundle};
use super::suites;
use super::terminations::Terminations;
use super::trouble::{Teller, Trouble};
use crate::service::Events;
use evenly_core::document::{DocumentError, PoolTls, TlsPolicy};
use evenly_core::pool::Endpoint;
use evenly_core::snapshot::Snapshot;
use rustc_hash::FxHashMap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Tickets of one endpoint that are kept. Each is used once, so as many connections in a row resume a session; all
/// endpoints of a configuration have their own, since few share what they seal tickets with.
const TICKETS: usize = 8;

/// How one endpoint is spoken with. As long as nothing of that changes, reloads keep it; a connection under another one is
/// never used again.
pub struct Target {
    /// The session cache is this endpoint's own.
    pub(super) config: Arc<ClientConfig>,
    /// Asked for, if it is no address, and what the certificate has to be for.
    pub(super) name: ServerName<'static>,
    teller: Teller,
}

impl Target {
    /// A handshake failed: tells it, unless that was just told.
    pub fn failed(&self, trouble: Trouble) {
        self.teller.tell(trouble);
    }

    /// What went wrong with the handshake that failed last, unless one has succeeded since.
    pub fn trouble(&self) -> Option<Trouble> {
        self.teller.trouble()
    }

    /// A handshake succeeded.
    pub(super) fn succeeded(&self) {
        self.teller.clear();
    }
}

/// The endpoints of all pools that speak TLS.
#[derive(Default)]
pub struct Originations {
    /// By the endpoint's number.
    targets: Arc<FxHashMap<u32, Arc<Target>>>,
    /// By the pool's name, for the next configuration.
    pools: FxHashMap<String, Origination>,
    system: Option<SystemRoots>,
}

/// What the endpoints of one pool have in common.
struct Origination {
    document: PoolTls,
    roots: Option<Arc<RootCertStore>>,
    shown: Option<Arc<CertifiedKey>>,
    config: Arc<ClientConfig>,
    targets: FxHashMap<SocketAddr, Arc<Target>>,
}

impl Originations {
    /// Reads what a snapshot's document says. Takes over from `previous` what did not change; troubles are told to
    /// `events`.
    ///
    /// # Errors
    /// A bundle, a certificate or a name that cannot be used, with its path.
    pub fn build(
        snapshot: &Snapshot,
        certified: &Terminations,
        previous: Option<&Self>,
        events: &Arc<Events>,
    ) -> Result<Self, DocumentError> {
        let mut all =
            Self { system: previous.and_then(|previous| previous.system.clone()), ..Self::default() };
        let mut targets = FxHashMap::default();
        for (i, document) in snapshot.document.pools.iter().enumerate() {
            let Some(tls) = &document.tls else { continue };
            let before = previous.and_then(|previous| previous.pools.get(&document.name));
            let path = format!("pools[{i}]");
            let shown = tls.client_certificate.as_deref().and_then(|name| certified.certified(name));
            let mut pool = all.origination(tls, shown, before, &path)?;
            let kept = before.filter(|before| Arc::ptr_eq(&before.config, &pool.config));
            for (j, endpoint) in document.endpoints.iter().enumerate() {
                let path = || format!("{path}.endpoints[{j}].server_name");
                let name = name(endpoint.server_name.as_deref(), endpoint.address)
                    .map_err(|message| DocumentError::new(path(), message))?;
                let known = kept.and_then(|kept| kept.targets.get(&endpoint.address));
                let target = match known.filter(|known| known.name == name) {
                    Some(known) => Arc::clone(known),
                    None => {
                        let subject = (&*document.name, endpoint.address);
                        Arc::new(target(&pool.config, name, Teller::new(subject, events)))
                    }
                };
                targets.insert(snapshot.pools[i].members[j].endpoint.id().0, Arc::clone(&target));
                pool.targets.insert(endpoint.address, target);
            }
            all.pools.insert(document.name.clone(), pool);
        }
        all.targets = Arc::new(targets);
        Ok(all)
    }

    /// For those who make connections.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    fn origination(
        &mut self,
        tls: &PoolTls,
        shown: Option<&Arc<CertifiedKey>>,
        before: Option<&Origination>,
        path: &str,
    ) -> Result<Origination, DocumentError> {
        let same = before.filter(|before| before.document == *tls);
        let roots = match &tls.ca {
            _ if !tls.verify => None,
            Some(pem) => match same.and_then(|same| same.roots.clone()) {
                Some(roots) => Some(roots),
                None => Some(Arc::new(
                    of_bundle(pem)
                        .map_err(|message| DocumentError::new(format!("{path}.tls.ca"), message))?,
                )),
            },
            None => {
                let found = SystemRoots::find(self.system.as_ref(), Instant::now());
                let system = found.map_err(|message| {
                    DocumentError::new(format!("{path}.tls"), format!("{message}; name a bundle with `ca`"))
                })?;
                let store = Arc::clone(system.store());
                self.system = Some(system);
                Some(store)
            }
        };
        let is_same = |before: &&Origination| {
            same_arc(before.roots.as_ref(), roots.as_ref()) && same_arc(before.shown.as_ref(), shown)
        };
        let config = match same.filter(is_same) {
            Some(same) => Arc::clone(&same.config),
            None => Arc::new(
                config(tls, roots.as_ref(), shown)
                    .map_err(|error| DocumentError::new(format!("{path}.tls"), error))?,
            ),
        };
        let (document, shown) = (tls.clone(), shown.map(Arc::clone));
        Ok(Origination { document, roots, shown, config, targets: FxHashMap::default() })
    }
}

/// By the endpoint's number; see [`target_of`].
pub type Targets = Arc<FxHashMap<u32, Arc<Target>>>;

/// How an endpoint is spoken with; `None`: without TLS.
#[inline]
pub fn target_of<'a>(targets: &'a Targets, endpoint: &Endpoint) -> Option<&'a Arc<Target>> {
    if targets.is_empty() { None } else { targets.get(&endpoint.id().0) }
}

fn same_arc<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

fn name(given: Option<&str>, address: SocketAddr) -> Result<ServerName<'static>, String> {
    let Some(given) = given else { return Ok(ServerName::IpAddress(address.ip().to_canonical().into())) };
    match ServerName::try_from(given) {
        Ok(name) => Ok(name.to_owned()),
        Err(_) => Err(format!("'{given}' is not a name that a certificate could have")),
    }
}

fn target(config: &Arc<ClientConfig>, name: ServerName<'static>, teller: Teller) -> Target {
    let mut config = ClientConfig::clone(config);
    config.resumption = Resumption::in_memory_sessions(TICKETS);
    Target { config: Arc::new(config), name, teller }
}

fn config(
    tls: &PoolTls,
    roots: Option<&Arc<RootCertStore>>,
    shown: Option<&Arc<CertifiedKey>>,
) -> Result<ClientConfig, String> {
    // Endpoints are known to their operator, who may keep one that speaks no TLS 1.3.
    let provider = Arc::new(suites::provider(TlsPolicy::Intermediate));
    let verifier: Arc<dyn ServerCertVerifier> = match roots {
        Some(roots) => WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| error.to_string())?,
        None => Arc::new(Anybody(provider.signature_verification_algorithms)),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(suites::versions(tls.min_version))
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(match shown {
        Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key)))),
        None => builder.with_no_client_auth(),
    })
}

/// Believes everybody, as `verify = false` asks for. That the endpoint has the key of what it shows is still verified:
/// TLS does not work without.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
