//! TLS as the document states it: certificates, and how listeners terminate it.

use super::{Secret, present};
use serde::Deserialize;

/// A certificate with its chain and its key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The user's name for it; unique.
    pub name: String,
    /// The certificate and those that lead to a root, in this order, as PEM.
    pub chain: String,
    /// The private key, as PEM.
    pub key: Secret,
    /// The host names it is for ("shop.example.com", "*.example.com"); may be empty, for it may name addresses only.
    pub names: Vec<String>,
}

/// An issuer's word that a certificate of its is not revoked (OCSP).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Staple {
    /// The certificate, by name.
    pub certificate: String,
    /// The response as DER, in base64.
    pub response: String,
    /// Until when it may be shown, in unix seconds.
    pub until: u64,
}

/// An issuer's question whether a host is ours, asked over TLS (RFC 8737).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// The host, in lower case.
    pub host: String,
    /// The certificate that is the answer, as PEM.
    pub chain: String,
    /// Its key, as PEM.
    pub key: Secret,
}

/// How a listener terminates TLS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// Certificates by name; at least one. The first is for clients that ask for no name, or for one that none has.
    pub certificates: Vec<String>,
    /// Versions, ciphers and groups.
    pub policy: TlsPolicy,
    /// The lowest version, where it is above the policy's; `null`: the policy's.
    #[serde(deserialize_with = "present")]
    pub min_version: Option<TlsVersion>,
    /// Whether clients are refused that ask for no name, or for one that no certificate has.
    pub strict_sni: bool,
    /// Protocols for ALPN, the most wanted first; empty: none is negotiated.
    pub alpn: Vec<String>,
    /// The value of `Strict-Transport-Security` in every response; `null`: there is none.
    #[serde(deserialize_with = "present")]
    pub hsts: Option<String>,
    /// Whether sessions are resumed.
    pub session_tickets: bool,
    /// From the connection to the end of the handshake.
    pub handshake_ms: u64,
    /// Handshakes of one client; `null`: no limit.
    #[serde(deserialize_with = "present")]
    pub handshake_rate: Option<Rate>,
    /// Whether clients show certificates, too; `null`: they are not asked.
    #[serde(deserialize_with = "present")]
    pub client_auth: Option<ClientAuth>,
    /// Names for which a certificate may be issued on demand: "shop.example.com", "*.example.com", "*" for every name.
    pub on_demand: Vec<String>,
    /// Whether fingerprints of ClientHellos (JA4) are made: somebody goes by them.
    pub ja4: bool,
}

/// Which certificates of clients are believed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAuth {
    /// Those of these authorities, as PEM.
    pub ca: String,
    /// Whether clients without one are refused.
    pub required: bool,
    /// Certificates that are not believed any more: revocation lists as PEM, or `null` for none.
    #[serde(deserialize_with = "present")]
    pub crl: Option<String>,
    /// Whether endpoints are told the whole certificate (`Client-Cert`, RFC 9440).
    pub forward_whole: bool,
}

/// TLS towards a pool's endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolTls {
    /// Whether an endpoint's certificate has to be valid, for its name or its address.
    pub verify: bool,
    /// Whose certificates are believed, as PEM; `null`: those that the system trusts. Not without `verify`.
    #[serde(deserialize_with = "present")]
    pub ca: Option<String>,
    /// The certificate that is shown to endpoints that ask for one, by name; `null`: none.
    #[serde(deserialize_with = "present")]
    pub client_certificate: Option<String>,
    /// The lowest version.
    pub min_version: TlsVersion,
}

/// Mozilla's recommendations for servers, version 5.8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsPolicy {
    /// TLS 1.3 only.
    Modern,
    /// TLS 1.2 too, with forward secrecy and AEAD ciphers only.
    Intermediate,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    V12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V13,
}

/// So many in so long, all of which may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// At least 1.
    pub count: u32,
    /// At least 1.
    pub period_ms: u64,
}

/// What session tickets are sealed with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionTickets {
    /// Their keys come of it; `null`: the process draws a secret of its own.
    #[serde(deserialize_with = "present")]
    pub secret: Option<Secret>,
    /// The one before: its tickets are still accepted.
    #[serde(deserialize_with = "present")]
    pub previous_secret: Option<Secret>,
}
