//! Listeners as the document states them.

use super::present;
use serde::Deserialize;
use std::net::SocketAddr;

/// Where clients connect: addresses, a protocol and the limits an exposed edge needs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The user's name for it; unique.
    pub name: String,
    /// Addresses to bind; at least one.
    pub bind: Vec<SocketAddr>,
    /// What is spoken there.
    pub protocol: Protocol,
    /// The pool that every connection goes to; set for `tcp`, `null` for `http`, which has routes.
    #[serde(deserialize_with = "present")]
    pub pool: Option<String>,
    /// Client connections at once on this listener.
    pub max_connections: u32,
    /// Length of the kernel's accept queue for each worker's socket.
    pub backlog: u32,
    /// Deadlines towards the client.
    pub timeouts: ListenerTimeouts,
    /// Size and rate limits towards the client.
    pub limits: Limits,
    /// Networks ("10.0.0.0/8", "::1/128") whose `X-Forwarded-*`, `Forwarded` and `X-Request-Id` are believed.
    pub trusted_proxies: Vec<String>,
    /// Whether to add `Forwarded` (RFC 7239) besides `X-Forwarded-*`.
    pub forwarded: bool,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1 (and 1.0).
    Http,
    /// A byte stream.
    Tcp,
}

/// Deadlines towards the client, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTimeouts {
    /// From the first byte of a request head to its last.
    pub header_ms: u64,
    /// Between two reads of a request body.
    pub body_ms: u64,
    /// A connection with nothing under way (HTTP: between requests; TCP: no byte in either direction).
    pub idle_ms: u64,
    /// A client that takes no byte of what Evenly has to send.
    pub send_ms: u64,
    /// How long a client that has closed its sending side is still served before it counts as gone.
    pub half_close_ms: u64,
}

/// Limits towards the client.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// A request head, request line included; above it 431.
    pub head_bytes: u32,
    /// Header fields in a request; above it 431.
    pub headers: u16,
    /// The request target; above it 414.
    pub target_bytes: u32,
    /// A request body; above it 413. `null`: no limit.
    #[serde(deserialize_with = "present")]
    pub body_bytes: Option<u64>,
    /// Bytes a second that a body must average, either way, once `min_rate_grace_ms` has passed; 0 turns it off.
    pub min_rate: u32,
    /// Waiting time that is not held against a slow peer.
    pub min_rate_grace_ms: u64,
}
