//! Compression of responses, as the document states it.

use serde::Deserialize;

/// Which responses are compressed, and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compression {
    /// What is offered, the preferred one first; at least one.
    pub algorithms: Vec<Algorithm>,
    /// Media types in lower case, without parameters: exact, or "text/*".
    pub types: Vec<String>,
    /// A body that is known to be shorter stays as it is.
    pub min_bytes: u64,
    /// Speed against size.
    pub level: Level,
}

/// Content codings (RFC 9110 §8.4.1, RFC 7932, RFC 8878).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "each is the coding of that name")]
pub enum Algorithm {
    Gzip,
    Br,
    Zstd,
}

/// How hard an encoder tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Least processor time.
    Fast,
    /// What pays for most bodies.
    Balanced,
    /// Fewest bytes.
    Best,
}
