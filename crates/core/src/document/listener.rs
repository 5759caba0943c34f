//! Listeners as the document states them.

use super::{Compression, ListenerTls, present};
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
    /// The pool that every connection or session goes to; `null` for `http`, which has routes, and for `tcp` if only
    /// what matches one of `tls_routes` is let through.
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
    /// Whose PROXY protocol headers are read, or `null` for nobody's; not for `udp`.
    #[serde(deserialize_with = "present")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How TLS is terminated, or `null`: what comes in is taken as it is; not for `udp`.
    #[serde(deserialize_with = "present")]
    pub tls: Option<ListenerTls>,
    /// Whether HTTP/2 is spoken besides HTTP/1.1: over TLS where `tls.alpn` offers it, otherwise with clients that begin
    /// with its preface; only for `http`.
    pub http2: bool,
    /// Whether HTTP/3 is spoken besides, over UDP on the same addresses; only for `http` with `tls`.
    pub http3: bool,
    /// Who may come in.
    pub access: Access,
    /// How responses are compressed on routes that do not say it themselves, or `null`: not at all.
    #[serde(deserialize_with = "present")]
    pub compression: Option<Compression>,
    /// Routes of TLS connections that are passed through, tried before `pool`; only for `tcp`.
    pub tls_routes: Vec<TlsRoute>,
    /// How sessions end; set for `udp`, `null` for the others.
    #[serde(deserialize_with = "present")]
    pub sessions: Option<Sessions>,
}

/// PROXY protocol headers in front of what clients send.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocol {
    /// Networks of the proxies that send one; they must.
    pub from: Vec<String>,
    /// What happens to everybody else.
    pub others: Others,
}

/// What happens to a peer that is not one of the proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Others {
    /// Served, as itself: what it sends is no header, whatever it looks like.
    Plain,
    /// Turned away.
    Refuse,
}

/// Who may come in, by the client's address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Networks that may not.
    pub deny: Vec<String>,
    /// Connections (udp: sessions) of one client at once; an IPv6 client is its /64. `null`: no limit.
    #[serde(deserialize_with = "present")]
    pub max_per_client: Option<u32>,
    /// What happens to who may not, or has too many; for `udp` always `drop`.
    pub on_deny: OnDeny,
}

/// How a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDeny {
    /// The client learns it at once.
    Reset,
    /// The client learns nothing.
    Drop,
    /// The client is kept waiting.
    Tarpit,
}

/// One route of TLS connections that are passed through.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsRoute {
    /// Names of which the client asks for one ("shop.example.com", "*.example.com"); `null`: any, or none.
    #[serde(deserialize_with = "present")]
    pub sni: Option<Vec<String>>,
    /// Protocols of which the client offers one ("h2"); `null`: any, or none.
    #[serde(deserialize_with = "present")]
    pub alpn: Option<Vec<String>>,
    /// Where the connection goes.
    pub pool: String,
}

/// How the sessions of a `udp` listener end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// Answers after which a session ends; `null`: only silence ends it.
    #[serde(deserialize_with = "present")]
    pub responses: Option<u32>,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1 (and 1.0).
    Http,
    /// A byte stream.
    Tcp,
    /// Datagrams.
    Udp,
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
    /// Requests of one HTTP/2 connection at once; further ones are refused.
    pub streams: u32,
    /// A request body; above it 413. `null`: no limit.
    #[serde(deserialize_with = "present")]
    pub body_bytes: Option<u64>,
    /// Bytes a second that a body must average, either way, once `min_rate_grace_ms` has passed; 0 turns it off.
    pub min_rate: u32,
    /// Waiting time that is not held against a slow peer.
    pub min_rate_grace_ms: u64,
}
