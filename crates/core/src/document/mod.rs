//! The configuration document: the one JSON text that Python hands to the packet path.
//!
//! Python's schema owns every default; this module owns the shape. A field that is missing or that
//! nobody knows is an error with its path, so the two sides cannot drift apart unnoticed. Durations are
//! whole milliseconds (`_ms`), sizes are bytes (`_bytes`), shares are whole percent (`_percent`).
//! `null` means "not set" and must be written out.

mod access;
mod affinity;
mod circuit;
mod compression;
mod listener;
mod outlier;
mod pool;
mod retry;
mod route;
mod tls;

pub use access::{ApiKeys, BasicAuth, ForwardAuth, Guard, KeySource, OnError, RouteAccess};
pub use affinity::{Affinity, AffinityCookie, AffinitySecrets, AffinityTable, SameSite, Secret};
pub use circuit::{AdaptiveConcurrency, CircuitBreaker, EndpointCircuitBreaker};
pub use compression::{Algorithm, Compression, Level};
pub use listener::{
    Access, Limits, Listener, ListenerTimeouts, OnDeny, Others, Protocol, ProxyProtocol, Sessions, TlsRoute,
};
pub use outlier::OutlierDetection;
pub use pool::{
    Balance, Endpoint, HashKey, HashSource, HealthCheck, Http2, KeepAlive, Pool, PoolTimeouts, Probe,
    SourceAddress, StatusRange,
};
pub use retry::{Hedge, Queue, Retry, RetryBudget};
pub use route::{
    Action, Fault, FieldMatch, FieldRules, HostRewrite, Methods, Mirror, PathMatch, PathRewrite, Route,
    RouteTimeouts, ValueMatch,
};
pub use tls::{
    Certificate, Challenge, ClientAuth, ListenerTls, PoolTls, Rate, SessionTickets, Staple, TlsPolicy,
    TlsVersion,
};

use serde::Deserialize;
use std::collections::BTreeMap;

/// The whole configuration, every default filled in.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Worker threads, each with its own sockets; at least 1. Fixed for the life of the process.
    pub workers: u16,
    /// Client connections over all listeners; above it Evenly stops accepting until one ends.
    pub max_connections: u32,
    /// The zone that this node is in, or `null`: then no endpoint is nearer than another.
    #[serde(deserialize_with = "present")]
    pub zone: Option<String>,
    /// Where clients connect.
    pub listeners: Vec<Listener>,
    /// Groups of interchangeable endpoints.
    pub pools: Vec<Pool>,
    /// Tried in this order; the first match wins.
    pub routes: Vec<Route>,
    /// What listeners show to TLS clients.
    pub certificates: Vec<Certificate>,
    /// What issuers of certificates ask over TLS, and how that is answered.
    pub challenges: Vec<Challenge>,
    /// What issuers say of certificates being revoked.
    pub staples: Vec<Staple>,
    /// What TLS session tickets are sealed with.
    pub session_tickets: SessionTickets,
    /// What affinity cookies are signed with.
    pub affinity: AffinitySecrets,
    /// The user's pages for statuses that Evenly makes itself, keyed by status ("503").
    pub error_pages: BTreeMap<u16, Page>,
    /// Where requests are logged, or `null` for no access log.
    #[serde(deserialize_with = "present")]
    pub access_log: Option<AccessLog>,
}

/// A ready-made body for an error that Evenly answers itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// The value of `Content-Type`.
    pub content_type: String,
    /// The body, sent as it stands.
    pub body: String,
}

/// The access log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    /// A file's path, or "-" for standard output.
    pub path: String,
    /// How a line looks.
    pub format: LogFormat,
    /// Bytes of each worker's ring; what does not fit is dropped and counted.
    pub ring_bytes: u32,
}

/// How a line of the access log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// The combined log format with Evenly's fields after it.
    Text,
}

/// Reads an `Option` whose key must be there: serde would take a missing key for `null`.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}

/// Why a document was refused, with the path of the offending value ("pools[0].endpoints[1].address").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError {
    /// Where in the document; empty when the text is not JSON at all.
    pub path: String,
    /// What was expected.
    pub message: String,
}

impl DocumentError {
    /// An error at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl std::fmt::Display for DocumentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

impl std::error::Error for DocumentError {}

impl Document {
    /// Reads a document's text. Only the shape is checked here; [`crate::snapshot::Snapshot::build`] checks the rest.
    ///
    /// # Errors
    /// The first field that is missing, unknown or of the wrong type, with its path.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let mut json = serde_json::Deserializer::from_str(text);
        let document = serde_path_to_error::deserialize(&mut json).map_err(|e| {
            DocumentError::new(e.path().to_string().trim_start_matches(['.', '?']), e.inner().to_string())
        })?;
        json.end().map_err(|e| DocumentError::new("", e.to_string()))?;
        Ok(document)
    }
}
