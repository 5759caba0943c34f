//! Who may use a route or a listener, as the document states it.

use super::present;
use serde::Deserialize;

/// Networks ("10.0.0.0/8", "::1/128") that may come in. The most specific one that holds an address decides; an address
/// in none is allowed exactly if `allow` is empty.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteAccess {
    /// Allowed ones.
    pub allow: Vec<String>,
    /// Denied ones.
    pub deny: Vec<String>,
}

/// What a request has to show before a route's action is done.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Client addresses, or `null`: any.
    #[serde(deserialize_with = "present")]
    pub access: Option<RouteAccess>,
    /// Names and passwords, or `null`.
    #[serde(deserialize_with = "present")]
    pub basic_auth: Option<BasicAuth>,
    /// Keys, or `null`. Beside `basic_auth` either will do.
    #[serde(deserialize_with = "present")]
    pub api_keys: Option<ApiKeys>,
    /// A service that is asked last, or `null`.
    #[serde(deserialize_with = "present")]
    pub forward_auth: Option<ForwardAuth>,
}

/// `Authorization: Basic` (RFC 7617).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// What browsers show.
    pub realm: String,
    /// Names with bcrypt or argon2id hashes; at least one.
    pub users: Vec<(String, String)>,
    /// For how long a verdict on a password holds; 0 verifies each time.
    pub cache_ms: u64,
    /// The field that tells the endpoint the user's name.
    pub user_header: String,
    /// Whether `Authorization` is kept from the endpoint.
    pub strip: bool,
}

/// Keys of clients.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeys {
    /// Where a request carries its key.
    pub source: KeySource,
    /// Names with the SHA-256 of their keys in hexadecimal; at least one.
    pub keys: Vec<(String, String)>,
    /// The field that tells the endpoint the key's name.
    pub user_header: String,
    /// Whether the key is kept from the endpoint.
    pub strip: bool,
}

/// Where a request carries its key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
#[allow(missing_docs, reason = "a header's or query parameter's name")]
pub enum KeySource {
    Header { name: String },
    Query { name: String },
}

/// A service that says whether a request may pass.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardAuth {
    /// The pool of the service.
    pub pool: String,
    /// The target that it is asked for.
    pub path: String,
    /// Fields of the client's request that it gets.
    pub request_headers: Vec<String>,
    /// Fields of its answer that the endpoint gets.
    pub response_headers: Vec<String>,
    /// For the whole exchange with it.
    pub timeout_ms: u64,
    /// What happens when it gives no answer.
    pub on_error: OnError,
}

/// What happens to a request when the service that should judge it gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// It is refused.
    Deny,
    /// It passes.
    Allow,
}
