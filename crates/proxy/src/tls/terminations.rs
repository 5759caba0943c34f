//! What the document says of TLS becomes what a handshake needs. Whatever does not fit is found out here, before a
//! configuration is taken over.

use super::challenges::Challenges;
use super::clients;
use super::demand::{Demand, OnDemand};
use super::early::EARLY_BYTES;
use super::resolver::Resolver;
use super::sessions::Sessions;
use super::staples::{Shown, Staples};
use super::suites;
use super::tickets::Tickets;
use crate::service::Events;
use evenly_core::certificates::{Names, Patterns};
use evenly_core::document::{
    Certificate, Document, DocumentError, Listener, ListenerTls, Secret, TlsPolicy, TlsVersion,
};
use evenly_core::route::inside;
use evenly_core::snapshot::takes_early_data;
use rustc_hash::FxHashMap;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig, SupportedProtocolVersion};
use std::sync::Arc;

/// How one listener terminates TLS.
#[derive(Clone)]
pub struct Termination {
    /// What clients get.
    pub config: Arc<ServerConfig>,
    /// What its certificates are for.
    pub names: Arc<Names>,
    /// What issuers of certificates get that have a question, while there is one.
    pub challenges: Option<Arc<Challenges>>,
    /// What may be issued on demand, if anything.
    pub on_demand: Option<OnDemand>,
    /// Sessions that are remembered, where early data is taken.
    pub sessions: Option<Arc<Sessions>>,
}

impl Termination {
    /// Whether it depends on the ClientHello how a handshake goes on.
    pub fn looks_ahead(&self) -> bool {
        self.challenges.is_some() || self.on_demand.is_some()
    }
}

/// Certificates with their keys, and what listeners make of them.
pub struct Terminations {
    /// By name; what did not change is not read again.
    certified: FxHashMap<String, (Certificate, Arc<CertifiedKey>)>,
    /// In the document's order; `None` where there is no TLS.
    listeners: Vec<Option<Termination>>,
    demand: Arc<Demand>,
    /// By what they are good for.
    sessions: FxHashMap<String, Arc<Sessions>>,
}

/// Tickets after a handshake, for a client that opens as many connections next (RFC 8446 §C.4: each is used once).
const TICKETS: usize = 2;

impl Terminations {
    /// Reads what a document says; `secret` seals tickets where it states none of its own. Takes over from `previous`
    /// what did not change.
    ///
    /// # Errors
    /// A certificate or key that cannot be used, with its path.
    pub fn build(
        document: &Document,
        secret: &Secret,
        events: &Arc<Events>,
        previous: Option<&Self>,
    ) -> Result<Self, DocumentError> {
        let mut certified = FxHashMap::default();
        for (i, certificate) in document.certificates.iter().enumerate() {
            let known = previous.and_then(|previous| previous.certified.get(&certificate.name));
            let key = match known.filter(|(before, _)| before == certificate) {
                Some((_, key)) => Arc::clone(key),
                None => Arc::new(certify(certificate, &format!("certificates[{i}]"))?),
            };
            certified.insert(certificate.name.clone(), (certificate.clone(), key));
        }
        let challenges = Challenges::build(&document.challenges)?;
        let staples = Staples::read(&document.staples)?;
        let demand = previous.map_or_else(|| Arc::new(Demand::new(events)), |one| Arc::clone(&one.demand));
        let (listeners, sessions) = (Vec::with_capacity(document.listeners.len()), FxHashMap::default());
        let mut all = Self { certified, listeners, demand, sessions };
        for (i, listener) in document.listeners.iter().enumerate() {
            let Some(tls) = &listener.tls else {
                all.listeners.push(None);
                continue;
            };
            let (names, shown) = all.shown(tls, &staples);
            let resolver = Resolver::new(Arc::clone(&names), shown);
            let sessions = all.sessions(document, listener, previous);
            let config = terminate(document, listener, tls, (secret, sessions.as_ref()), resolver)
                .map_err(inside(&format!("listeners[{i}].tls")))?;
            let on_demand = (!tls.on_demand.is_empty()).then(|| OnDemand {
                patterns: Arc::new(Patterns::build(&tls.on_demand)),
                names: Arc::clone(&names),
                demand: Arc::clone(&all.demand),
            });
            all.listeners.push(Some(Termination {
                config,
                names,
                challenges: challenges.clone(),
                on_demand,
                sessions,
            }));
        }
        Ok(all)
    }

    /// In the order of the document's listeners.
    pub fn listeners(&self) -> &[Option<Termination>] {
        &self.listeners
    }

    /// The names that handshakes wait for.
    pub fn demand(&self) -> &Demand {
        &self.demand
    }

    /// The certificate of this name, with its key.
    pub(super) fn certified(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        self.certified.get(name).map(|(_, key)| key)
    }

    /// The memory of a listener that takes early data: the one before, unless clients would rely on limits that are no more
    /// (RFC 9000 §7.4.1, RFC 9114 §7.2.4.2).
    fn sessions(
        &mut self,
        document: &Document,
        listener: &Listener,
        previous: Option<&Self>,
    ) -> Option<Arc<Sessions>> {
        let limits = (listener.limits.streams, listener.limits.head_bytes);
        let key = takes_early_data(document, listener).then(|| format!("{} {limits:?}", listener.name))?;
        let known = previous.and_then(|previous| previous.sessions.get(&key));
        let sessions = known.map_or_else(|| Arc::new(Sessions::new()), Arc::clone);
        self.sessions.insert(key, Arc::clone(&sessions));
        Some(sessions)
    }

    /// What a listener shows, and under which names.
    fn shown(&self, tls: &ListenerTls, staples: &Staples<'_>) -> (Arc<Names>, Box<[Shown]>) {
        // The snapshot was checked: every name is there.
        let known: Vec<_> = tls.certificates.iter().filter_map(|name| self.certified.get(name)).collect();
        let certificates: Vec<&Certificate> = known.iter().map(|(certificate, _)| certificate).collect();
        let names = Names::build(&certificates, tls.strict_sni);
        (Arc::new(names), known.iter().map(|(certificate, key)| staples.on(&certificate.name, key)).collect())
    }
}

fn terminate(
    document: &Document,
    listener: &Listener,
    tls: &ListenerTls,
    (secret, sessions): (&Secret, Option<&Arc<Sessions>>),
    resolver: Resolver,
) -> Result<Arc<ServerConfig>, DocumentError> {
    let provider = Arc::new(suites::provider(tls.policy));
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(tls))
        .map_err(|error| DocumentError::new("", error.to_string()))?;
    let config = match &tls.client_auth {
        Some(auth) => config.with_client_cert_verifier(clients::verifier(auth, &provider)?),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = tls.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = if tls.session_tickets { TICKETS } else { 0 };
    if let Some(sessions) = sessions {
        config.session_storage = Arc::clone(sessions) as _;
        config.max_early_data_size = EARLY_BYTES;
        // Responses to it, sealed for the client alone, which otherwise would have nothing of it.
        config.send_half_rtt_data = true;
    } else if tls.session_tickets {
        let shared = &document.session_tickets;
        let current = shared.secret.as_ref().unwrap_or(secret);
        let secrets = std::iter::once(current).chain(&shared.previous_secret).cloned().collect();
        let binding = tls.client_auth.as_ref().map(clients::binding).unwrap_or_default();
        config.ticketer = Arc::new(Tickets::new(secrets, &format!("{}{binding}", listener.name)));
    }
    Ok(Arc::new(config))
}

fn versions(tls: &ListenerTls) -> &'static [&'static SupportedProtocolVersion] {
    match tls.policy {
        TlsPolicy::Modern => suites::versions(TlsVersion::V13),
        TlsPolicy::Intermediate => suites::versions(tls.min_version.unwrap_or(TlsVersion::V12)),
    }
}

/// Reads a certificate and its key, which must belong together.
fn certify(certificate: &Certificate, path: &str) -> Result<CertifiedKey, DocumentError> {
    let fail = |field: &str, message: String| DocumentError::new(format!("{path}.{field}"), message);
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| fail("chain", format!("is not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(fail("chain", "has no certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(certificate.key.0.as_bytes());
    let key = key.map_err(|error| fail("key", format!("has no private key: {error}")))?;
    CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| match error {
        Error::InconsistentKeys(_) => fail("key", "is not the key of the certificate".into()),
        Error::InvalidCertificate(error) => fail("chain", format!("cannot be used: {error:?}")),
        error => fail("key", format!("cannot be used: {error}")),
    })
}
