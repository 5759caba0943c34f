//! Routes as the document states them.

use super::{AffinityCookie, Compression, Guard, Retry, present};
use crate::queue::Priority;
use serde::Deserialize;

/// Match → action. All conditions that are set must hold.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Unique; the user's, or one that Python derives from the place in the file.
    pub name: String,
    /// Names of the `http` listeners it belongs to; `null`: all of them.
    #[serde(deserialize_with = "present")]
    pub listeners: Option<Vec<String>>,
    /// Hosts, lower case: exact ("shop.example.com"), or "*.example.com" for every name below; `null`: any.
    /// Ports never take part.
    #[serde(deserialize_with = "present")]
    pub hosts: Option<Vec<String>>,
    /// The path, or `null`: any.
    #[serde(deserialize_with = "present")]
    pub path: Option<PathMatch>,
    /// Upper-case method names; `null`: any method but CONNECT.
    #[serde(deserialize_with = "present")]
    pub methods: Option<Methods>,
    /// Header conditions; names compare without case.
    pub headers: Vec<FieldMatch>,
    /// Cookie conditions; names compare with case.
    pub cookies: Vec<FieldMatch>,
    /// Query parameter conditions on the raw (undecoded) query; names compare with case.
    pub query: Vec<FieldMatch>,
    /// Conditions on what clients have shown over TLS, by the names of [`crate::client_tls::NAMES`].
    pub tls: Vec<FieldMatch>,
    /// What happens.
    pub action: Action,
    /// Path rewrite before forwarding, or `null`.
    #[serde(deserialize_with = "present")]
    pub rewrite: Option<PathRewrite>,
    /// `Host` towards the endpoint.
    pub host_rewrite: HostRewrite,
    /// Rules on the request's header fields.
    pub request_headers: FieldRules,
    /// Rules on the response's header fields.
    pub response_headers: FieldRules,
    /// Deadlines that replace the pool's.
    pub timeouts: RouteTimeouts,
    /// Whose turn it is in a pool's queue.
    pub priority: Priority,
    /// When a request is tried again, in place of the pool's; `null` keeps the pool's.
    #[serde(deserialize_with = "present")]
    pub retry: Option<Retry>,
    /// Request body limit that replaces the listener's, or `null`.
    #[serde(deserialize_with = "present")]
    pub body_bytes: Option<u64>,
    /// Whether CONNECT may match this route; the tunnel goes to the pool's endpoint.
    pub allow_connect: bool,
    /// Whether `Upgrade` (WebSocket) is passed on.
    pub allow_upgrade: bool,
    /// Whether safe requests may be answered before the client's TLS handshake is over (0-RTT).
    pub early_data: bool,
    /// What a request has to show, or `null`: nothing.
    #[serde(deserialize_with = "present")]
    pub guard: Option<Guard>,
    /// How responses are compressed, in place of the listener's way, or `null`: as the listener says.
    #[serde(deserialize_with = "present")]
    pub compression: Option<Compression>,
    /// What goes wrong on purpose, or `null`.
    #[serde(deserialize_with = "present")]
    pub fault: Option<Fault>,
    /// Where copies of requests go, or `null`.
    #[serde(deserialize_with = "present")]
    pub mirror: Option<Mirror>,
}

/// Copies of a share of a route's requests, whose answers nobody gets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The pool that they go to.
    pub pool: String,
    /// Of how many requests in a hundred.
    pub percent: u8,
    /// Bytes of a request's body up to which it is copied, and of a response's up to which contents are compared.
    pub body_bytes: u64,
    /// Copies under way at once, for each worker; above it they are dropped.
    pub in_flight: u32,
    /// For a copy, from its pick to the end of its answer.
    pub timeout_ms: u64,
    /// Whether the answers are compared.
    pub compare: bool,
}

/// Faults injected into a share of a route's requests.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// How long a request waits before it is forwarded, or `null`.
    #[serde(deserialize_with = "present")]
    pub delay_ms: Option<u64>,
    /// Of how many requests in a hundred.
    pub delay_percent: u8,
    /// The status, 400 to 599, of an answer in place of the endpoint's, or `null`.
    #[serde(deserialize_with = "present")]
    pub abort: Option<u16>,
    /// Of how many requests in a hundred.
    pub abort_percent: u8,
    /// Only requests for which these hold.
    pub headers: Vec<FieldMatch>,
}

/// A set of methods.
pub type Methods = Vec<String>;

/// How a path is matched; the query never takes part.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "lowercase", deny_unknown_fields)]
pub enum PathMatch {
    /// The whole path.
    Exact(String),
    /// The path's beginning, byte by byte ("/api/").
    Prefix(String),
    /// A regular expression that must match the whole path; linear time (RE2 syntax, no backreferences).
    Regex(String),
}

/// A condition on a header, a cookie or a query parameter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldMatch {
    /// Its name.
    pub name: String,
    /// What its value must be; for several values of one name, one must fit.
    pub value: ValueMatch,
}

/// A condition on a value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "lowercase", deny_unknown_fields)]
pub enum ValueMatch {
    /// It is there, whatever its value.
    Present,
    /// It is not there.
    Absent,
    /// Exactly this text.
    Exact(String),
    /// A regular expression that must match the whole value.
    Regex(String),
}

/// What a route does. Texts called templates may hold variables: `{client_ip}`, `{host}`, `{path}`, `{query}`,
/// `{uri}`, `{method}`, `{scheme}`, `{request_id}`, `{listener}`, `{header:NAME}`; `{{` and `}}` are literal braces.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Action {
    /// Forward to a pool.
    Pool {
        /// Its name.
        pool: String,
    },
    /// Forward to one of several pools by weight.
    Split {
        /// Pool names with their weights; at least one is above 0.
        pools: Vec<(String, u32)>,
        /// The cookie that keeps a client on its pool, or `null`: then each request goes by the weights alone.
        #[serde(deserialize_with = "present")]
        affinity: Option<AffinityCookie>,
    },
    /// Answer with a redirection.
    Redirect {
        /// `Location`, a template.
        location: String,
        /// 301, 302, 303, 307 or 308.
        status: u16,
    },
    /// Answer with fixed content.
    Respond {
        /// 200 to 599.
        status: u16,
        /// `Content-Type`.
        content_type: String,
        /// The body, as it stands.
        body: String,
    },
}

/// How the path changes before forwarding. The query is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum PathRewrite {
    /// What the route's prefix (or exact path) matched is replaced by this.
    Prefix {
        /// The new beginning.
        replacement: String,
    },
    /// The first match of a regular expression is replaced.
    Regex {
        /// The expression.
        pattern: String,
        /// The replacement; `$1` or `${name}` are groups.
        replacement: String,
    },
}

/// `Host` towards the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum HostRewrite {
    /// As the client sent it.
    Preserve,
    /// The endpoint's address.
    Endpoint,
    /// A text of the user's.
    Literal {
        /// The value.
        value: String,
    },
}

/// Changes to header fields, applied in the order remove, set, add. Values are templates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldRules {
    /// Names to remove.
    pub remove: Vec<String>,
    /// Names whose fields are replaced by one with this value.
    pub set: Vec<(String, String)>,
    /// Fields to append.
    pub add: Vec<(String, String)>,
}

/// Deadlines that replace the pool's; `null` keeps the pool's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "as in PoolTimeouts")]
pub struct RouteTimeouts {
    #[serde(deserialize_with = "present")]
    pub connect_ms: Option<u64>,
    #[serde(deserialize_with = "present")]
    pub response_ms: Option<u64>,
    #[serde(deserialize_with = "present")]
    pub request_ms: Option<u64>,
    #[serde(deserialize_with = "present")]
    pub idle_ms: Option<u64>,
}
