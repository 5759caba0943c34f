//! Affinity as the document states it: same client → same endpoint, or same variant of a split.

use super::present;
use serde::Deserialize;
use std::fmt;

/// What the process signs affinity cookies with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AffinitySecrets {
    /// Signs and verifies; at least 16 bytes. `null`: whoever runs the document puts a random one here.
    #[serde(deserialize_with = "present")]
    pub secret: Option<Secret>,
    /// Verifies only: the secret before the last rotation, or `null`.
    #[serde(deserialize_with = "present")]
    pub previous_secret: Option<Secret>,
}

impl AffinitySecrets {
    /// Signs with `secret` where the document says nothing.
    pub fn or(&mut self, secret: &Secret) {
        self.secret.get_or_insert_with(|| secret.clone());
    }
}

/// A text that no log may show.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// By what a pool knows its clients again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Affinity {
    /// A signed cookie that Evenly sets.
    Cookie {
        /// How it looks.
        cookie: AffinityCookie,
    },
    /// The application's own cookie, learned when an endpoint sets it.
    Learn {
        /// Its name.
        name: String,
        /// What is remembered.
        table: AffinityTable,
    },
    /// The client's network.
    SourceIp {
        /// Leading bits of an IPv4 address that count, 1 to 32.
        v4_bits: u8,
        /// Leading bits of an IPv6 address that count, 1 to 128.
        v6_bits: u8,
        /// What is remembered.
        table: AffinityTable,
    },
    /// A header's first value.
    Header {
        /// Its name.
        name: String,
        /// What is remembered.
        table: AffinityTable,
    },
    /// The name that a TLS client asks for.
    Sni {
        /// What is remembered.
        table: AffinityTable,
    },
    /// A query parameter's first value, undecoded.
    Query {
        /// Its name.
        name: String,
        /// What is remembered.
        table: AffinityTable,
    },
}

/// A cookie that Evenly sets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AffinityCookie {
    /// Its name.
    pub name: String,
    /// `Path`.
    pub path: String,
    /// `SameSite`.
    pub same_site: SameSite,
    /// Whether scripts are kept from reading it.
    pub http_only: bool,
    /// Whether it goes over HTTPS only; `null`: if the request that it answers came that way.
    #[serde(deserialize_with = "present")]
    pub secure: Option<bool>,
    /// `Max-Age`; `null`: until the browser ends.
    #[serde(deserialize_with = "present")]
    pub ttl_ms: Option<u64>,
}

/// Which cross-site requests carry a cookie (RFC 6265bis §5.4.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the RFC says it")]
pub enum SameSite {
    Strict,
    Lax,
    None,
}

/// How much is remembered, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AffinityTable {
    /// Clients at once; at least 1.
    pub max_entries: u32,
    /// Since a client's last request.
    pub ttl_ms: u64,
}
