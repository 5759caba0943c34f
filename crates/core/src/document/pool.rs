//! Pools as the document states them.

use super::{
    AdaptiveConcurrency, Affinity, CircuitBreaker, EndpointCircuitBreaker, Hedge, OutlierDetection, PoolTls,
    Queue, Retry, RetryBudget, present,
};
use crate::proxy_protocol::Version;
use serde::Deserialize;
use std::net::SocketAddr;

/// Interchangeable endpoints, the balancer that picks one, and how their health is judged.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// The user's name for it; unique.
    pub name: String,
    /// The algorithm.
    pub balance: Balance,
    /// What the hash balancers hash; set exactly for `ring-hash` and `maglev`, otherwise `null`.
    #[serde(deserialize_with = "present")]
    pub hash_key: Option<HashKey>,
    /// Bounded load for the hashes: no endpoint above this share of the mean in-flight load (125 = 1.25 ×), or `null`.
    #[serde(deserialize_with = "present")]
    pub hash_bound_percent: Option<u32>,
    /// How its clients are known again, or `null`; not with the hash balancers.
    #[serde(deserialize_with = "present")]
    pub affinity: Option<Affinity>,
    /// Its endpoints; addresses are unique within the pool. May be empty: then every pick fails with its reason.
    pub endpoints: Vec<Endpoint>,
    /// Active checks, or `null`: then every endpoint counts as healthy.
    #[serde(deserialize_with = "present")]
    pub health_check: Option<HealthCheck>,
    /// Judgement by live traffic, or `null` for none.
    #[serde(deserialize_with = "present")]
    pub outlier_detection: Option<OutlierDetection>,
    /// When too many requests fail, or are under way, for it to get more; `null`: never.
    #[serde(deserialize_with = "present")]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// The same for each of its endpoints; `null`: never.
    #[serde(deserialize_with = "present")]
    pub endpoint_circuit_breaker: Option<EndpointCircuitBreaker>,
    /// How it is found out how many requests it gets at once, or `null`: it is not.
    #[serde(deserialize_with = "present")]
    pub adaptive_concurrency: Option<AdaptiveConcurrency>,
    /// For how long an endpoint's share grows once it begins to serve; `null`: it gets all of it at once.
    #[serde(deserialize_with = "present")]
    pub slow_start_ms: Option<u64>,
    /// When fewer than this share of endpoints is healthy, all that are not in maintenance get traffic; 0 turns it off.
    pub panic_threshold_percent: u8,
    /// How much of its weight's share a level of priority and zone can take, while part of it is out: 140 means that it
    /// keeps all of its traffic until less than 1 / 1.4 of its weight is healthy. At least 100.
    pub overprovisioning_percent: u32,
    /// The pool that takes over when none of this one's endpoints can be picked, or `null`.
    #[serde(deserialize_with = "present")]
    pub fallback: Option<String>,
    /// Deadlines towards the endpoints.
    pub timeouts: PoolTimeouts,
    /// Idle connections kept for reuse.
    pub keepalive: KeepAlive,
    /// When a request is tried again, unless its route says otherwise.
    pub retry: Retry,
    /// How many requests may be, over all routes.
    pub retry_budget: RetryBudget,
    /// When a request gets a second try beside the first, or `null`: never.
    #[serde(deserialize_with = "present")]
    pub hedge: Option<Hedge>,
    /// The PROXY protocol header that endpoints get in front of each connection or datagram, or `null` for none.
    #[serde(deserialize_with = "present")]
    pub proxy_protocol: Option<Version>,
    /// Whose address connections and datagrams to its endpoints come from, or `null`: the node's own.
    #[serde(deserialize_with = "present")]
    pub source_address: Option<SourceAddress>,
    /// TLS with its endpoints, or `null`: what is sent to them is sent as it is; not for pools of `udp` listeners.
    #[serde(deserialize_with = "present")]
    pub tls: Option<PoolTls>,
    /// Where requests wait when every endpoint is full; `null`: nowhere.
    #[serde(deserialize_with = "present")]
    pub queue: Option<Queue>,
    /// That its endpoints are spoken to by HTTP/2, and how; `null`: by HTTP/1.1.
    #[serde(deserialize_with = "present")]
    pub http2: Option<Http2>,
}

/// An address that is not the node's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceAddress {
    /// The client's.
    Client,
}

/// The balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each is described in its own file under balancer/")]
pub enum Balance {
    RoundRobin,
    LeastRequests,
    Random,
    TwoChoices,
    PeakEwma,
    IpHash,
    RingHash,
    Maglev,
}

/// What is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashKey {
    /// Where the value comes from.
    pub source: HashSource,
    /// The header's, cookie's or query parameter's name; `null` for the others.
    #[serde(deserialize_with = "present")]
    pub name: Option<String>,
}

/// Where a hash key's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashSource {
    /// The client's address (from trusted proxies, the forwarded one).
    ClientIp,
    /// The request's host, without port.
    Host,
    /// The request's path, without query.
    Path,
    /// The request's path and query.
    Uri,
    /// A header's first value.
    Header,
    /// A cookie's value.
    Cookie,
    /// A query parameter's first value.
    Query,
}

/// One address in a pool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Where it listens. Names are resolved before the document is written.
    pub address: SocketAddr,
    /// The name that its certificate is for, which it is also asked for (SNI); `null`: its address, which is not asked
    /// for. Has no effect without the pool's `tls`.
    #[serde(deserialize_with = "present")]
    pub server_name: Option<String>,
    /// Relative share, 0 to 65,535; 0 gets no traffic.
    pub weight: u16,
    /// Used only when no endpoint that is not a backup can be.
    pub backup: bool,
    /// Requests (tcp: connections) that it gets at once, over all workers; at least 1, or `null` for no limit.
    #[serde(deserialize_with = "present")]
    pub max_connections: Option<u32>,
    /// The failure domain that it is in, or `null`: as near as the node's own.
    #[serde(deserialize_with = "present")]
    pub zone: Option<String>,
    /// 0 is asked first; a higher one gets what the lower ones have no capacity for.
    pub priority: u8,
}

/// Active health checks of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Between two checks of a healthy endpoint.
    pub interval_ms: u64,
    /// Between two checks of an endpoint that is not healthy, or whose last check contradicted its state.
    pub unhealthy_interval_ms: u64,
    /// Random share of the interval added or taken, so that checks of many endpoints and nodes spread out; 0 to 50.
    pub jitter_percent: u8,
    /// For one check, from connect to verdict.
    pub timeout_ms: u64,
    /// Failures in a row that make an endpoint unhealthy.
    pub unhealthy_after: u32,
    /// Successes in a row that make it healthy again.
    pub healthy_after: u32,
    /// Port to check instead of the endpoint's own, or `null`.
    #[serde(deserialize_with = "present")]
    pub port: Option<u16>,
}

/// What a check asks of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Probe {
    /// An HTTP/1.1 request.
    Http {
        /// Its method.
        method: String,
        /// Its target, origin form.
        path: String,
        /// Its `Host`; `null`: the endpoint's address.
        #[serde(deserialize_with = "present")]
        host: Option<String>,
        /// Statuses that pass; at least one range.
        expected_status: Vec<StatusRange>,
        /// Text that must be in the first 64 KiB of the body, or `null`.
        #[serde(deserialize_with = "present")]
        expected_body: Option<String>,
        /// Whether the connection of a check that passed serves the next ones.
        reuse_connection: bool,
    },
    /// A connection, and perhaps an exchange on it.
    Tcp {
        /// Text to send once connected, or `null`.
        #[serde(deserialize_with = "present")]
        send: Option<String>,
        /// Text that must then be received, or `null`.
        #[serde(deserialize_with = "present")]
        expect: Option<String>,
    },
    /// A datagram, and one that comes back.
    Udp {
        /// Text to send.
        send: String,
        /// Text that must be in the answer, or `null`: any answer passes.
        #[serde(deserialize_with = "present")]
        expect: Option<String>,
    },
    /// A call of gRPC's health service, by HTTP/2.
    Grpc {
        /// Which of the endpoint's services, at most 127 bytes; empty: all of it.
        service: String,
    },
    /// A question to a name server, over UDP.
    Dns {
        /// The name asked for.
        name: String,
        /// The number of the type of records asked for.
        record: u16,
        /// Response codes that pass; at least one.
        expected_rcode: Vec<u8>,
    },
}

/// Statuses from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the type's line says it")]
pub struct StatusRange {
    pub first: u16,
    pub last: u16,
}

/// Deadlines towards endpoints, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolTimeouts {
    /// For the TCP connection.
    pub connect_ms: u64,
    /// From the request's last byte sent to the response head's last byte received; above it 504.
    pub response_ms: u64,
    /// From the request's head to the head of its final response, over all tries and pauses; above it 504. `null`: no
    /// such deadline.
    #[serde(deserialize_with = "present")]
    pub request_ms: Option<u64>,
    /// Between two reads or writes of a body; in a tunnel: no byte in either direction.
    pub idle_ms: u64,
    /// In a tunnel (an upgraded connection): no byte in either direction.
    pub tunnel_idle_ms: u64,
}

/// Idle upstream connections, counted for each endpoint and worker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepAlive {
    /// How many are kept; the one idle longest goes first. 0 turns reuse off.
    pub max_idle: u32,
    /// For how long one is kept.
    pub idle_timeout_ms: u64,
}

/// Connections by HTTP/2 to endpoints, counted for each endpoint and worker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http2 {
    /// Requests that one connection carries at once, if the endpoint allows as many; at least 1.
    pub max_streams: u32,
    /// How many connections there may be; at least 1.
    pub max_connections: u32,
    /// A connection with requests under way on which nothing comes for so long is asked for a sign of life.
    pub ping_after_ms: u64,
    /// Whether each endpoint chooses when a connection is made (ALPN), and may choose HTTP/1.1 instead; only with `tls`.
    pub negotiated: bool,
}
