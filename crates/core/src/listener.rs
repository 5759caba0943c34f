//! Listeners as the workers use them: limits checked, networks parsed, deadlines as durations, routes indexed.

use crate::client_rate::ClientRate;
use crate::compression::Compression;
use crate::document::{self, DocumentError, Limits, OnDeny, Others, Protocol, Rate};
use crate::passthrough::Passthrough;
use crate::pool::Pool;
use crate::route::RouteTable;
use crate::route::{compression, duration, inside};
use crate::trust::TrustedNetworks;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A listener's number: dense, and the same after a reload for the same name ([`crate::ids::Ids`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u32);

/// Where clients connect. Where that leads is another thing, a [`Service`]: a connection holds on to its listener for as
/// long as it is open, and all routes would be held with it.
#[derive(Debug)]
pub struct Listener {
    /// Its number.
    pub id: ListenerId,
    /// The user's name for it.
    pub name: Box<str>,
    /// Addresses to bind; at least one.
    pub bind: Box<[SocketAddr]>,
    /// What is spoken.
    pub protocol: Protocol,
    /// Client connections at once.
    pub max_connections: u32,
    /// Length of the kernel's accept queue for each worker's socket.
    pub backlog: u32,
    /// Deadlines towards the client.
    pub timeouts: Timeouts,
    /// Size and rate limits towards the client.
    pub limits: Limits,
    /// Peers whose forwarding fields are believed.
    pub trusted: TrustedNetworks,
    /// Whether to add `Forwarded` besides `X-Forwarded-*`.
    pub forwarded: bool,
    /// Whose PROXY protocol headers are read, if anybody's.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Who may not come in.
    pub denied: TrustedNetworks,
    /// Connections or sessions of one client at once, if there is a limit.
    pub max_per_client: Option<u32>,
    /// How who may not is turned away.
    pub on_deny: OnDeny,
    /// Answers after which a UDP session ends, if there is such a number.
    pub responses: Option<u32>,
    /// Whether HTTP/2 is spoken besides HTTP/1.1.
    pub http2: bool,
    /// Whether HTTP/3 is spoken besides, over UDP on the same addresses.
    pub http3: bool,
    /// The line of `Alt-Svc` that says so, known once the addresses are bound.
    alt_svc: OnceLock<Box<[u8]>>,
    /// How TLS is terminated, if it is.
    pub tls: Option<Tls>,
    /// How responses are compressed on routes that do not say it themselves.
    pub compression: Option<Box<Compression>>,
}

/// TLS towards the client. Certificates and keys are the `proxy` crate's.
#[derive(Debug)]
pub struct Tls {
    /// From the connection to the end of the handshake.
    pub handshake: Duration,
    /// Handshakes of one client, where these are limited.
    pub rate: Option<Arc<ClientRate>>,
    /// The line of `Strict-Transport-Security`, with its end, if responses have one.
    pub hsts: Option<Box<[u8]>>,
    /// Whether clients are asked for certificates.
    pub asks_clients: bool,
    /// Whether those without one are refused.
    pub requires_clients: bool,
    /// Whether endpoints are told the whole of them.
    pub forwards_whole: bool,
    /// Whether fingerprints of ClientHellos are made.
    pub ja4: bool,
    /// Whether clients get nothing but what the certificate is for that they have asked for.
    pub strict_sni: bool,
    limit: Option<Rate>,
}

/// PROXY protocol headers in front of what clients send.
#[derive(Debug)]
pub struct ProxyProtocol {
    /// The proxies that send one, and must.
    pub from: TrustedNetworks,
    /// What happens to everybody else.
    pub others: Others,
}

/// What happens with what comes in at a listener.
#[derive(Debug, Clone)]
pub enum Service {
    /// HTTP/1: every request takes a route.
    Http(Arc<RouteTable>),
    /// A byte stream: every connection goes to one pool, which its TLS ClientHello may choose.
    Tcp(Arc<Passthrough>),
    /// Datagrams: every session goes to one pool.
    Udp(Arc<Pool>),
}

/// Deadlines towards the client; see [`document::ListenerTimeouts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in document::ListenerTimeouts")]
pub struct Timeouts {
    pub header: Duration,
    pub body: Duration,
    pub idle: Duration,
    pub send: Duration,
    /// May be zero: then a client that closes its sending side counts as gone at once.
    pub half_close: Duration,
}

/// Request heads: below 1 KiB ordinary browsers are refused; above 64 KiB each connection could pin that much memory.
const HEAD_BYTES: RangeInclusive<u32> = 1024..=65_536;

/// Header fields: every one costs a span in each worker's scratch, and name look-ups are linear in their number.
const HEADERS: RangeInclusive<u16> = 1..=256;

/// How long a client may rely on finding HTTP/3: a day, as most servers say. One that does not find it any more falls
/// back at once.
const ALT_SVC_SECONDS: u32 = 86_400;

impl Listener {
    /// Checks and converts; goes on where the listener of the same name was in `previous`. Error paths are relative to the listener: "limits.head_bytes".
    ///
    /// # Errors
    /// A value out of its range, a network that is none.
    pub fn build(
        document: &document::Listener,
        id: ListenerId,
        previous: Option<&Self>,
    ) -> Result<Self, DocumentError> {
        let fail = |path: &str, message: &str| Err(DocumentError::new(path, message));
        if document.bind.is_empty() {
            return fail("bind", "needs at least one address");
        }
        if document.max_connections == 0 {
            return fail("max_connections", "must be above 0");
        }
        if document.backlog == 0 {
            return fail("backlog", "must be above 0");
        }
        if document.forwarded && document.protocol != Protocol::Http {
            return fail("forwarded", "has no effect on a tcp or udp listener");
        }
        if document.access.max_per_client == Some(0) {
            return fail("access.max_per_client", "must be above 0");
        }
        if document.sessions.as_ref().is_some_and(|sessions| sessions.responses == Some(0)) {
            return fail("sessions.responses", "must be above 0");
        }
        if document.compression.is_some() && document.protocol != Protocol::Http {
            return fail("compression", "has an effect on http listeners only");
        }
        check_limits(&document.limits)?;
        Ok(Self {
            id,
            name: document.name.as_str().into(),
            bind: document.bind.as_slice().into(),
            protocol: document.protocol,
            max_connections: document.max_connections,
            backlog: document.backlog,
            timeouts: timeouts(&document.timeouts)?,
            limits: document.limits.clone(),
            trusted: TrustedNetworks::build(&document.trusted_proxies).map_err(inside("trusted_proxies"))?,
            forwarded: document.forwarded,
            proxy_protocol: document.proxy_protocol.as_ref().map(proxy_protocol).transpose()?,
            denied: TrustedNetworks::build(&document.access.deny).map_err(inside("access.deny"))?,
            max_per_client: document.access.max_per_client,
            on_deny: document.access.on_deny,
            responses: document.sessions.as_ref().and_then(|sessions| sessions.responses),
            http2: document.http2,
            http3: document.http3,
            alt_svc: OnceLock::new(),
            tls: document.tls.as_ref().map(|tls| Tls::build(tls, previous)).transpose()?,
            compression: compression(&document.compression)?,
        })
    }
}

impl Listener {
    /// Says where HTTP/3 is spoken: on these ports, in the order of preference. What was said before stays.
    pub fn announce(&self, mut ports: Vec<u16>) {
        let mut seen = Vec::new();
        ports.retain(|port| {
            !seen.contains(port) && {
                seen.push(*port);
                true
            }
        });
        let places: Vec<_> =
            ports.iter().map(|port| format!("h3=\":{port}\"; ma={ALT_SVC_SECONDS}")).collect();
        let _ = self.alt_svc.set(format!("Alt-Svc: {}\r\n", places.join(", ")).into_bytes().into());
    }

    /// The line of `Alt-Svc` in responses by other versions of HTTP (RFC 7838 §3), with its end; empty where there is
    /// none.
    pub fn alt_svc(&self) -> &[u8] {
        self.alt_svc.get().map(|line| &**line).unwrap_or_default()
    }
}

impl Tls {
    /// What clients have used up of an unchanged limit stays used up.
    fn build(document: &document::ListenerTls, previous: Option<&Listener>) -> Result<Self, DocumentError> {
        let limit = document.handshake_rate;
        if limit.is_some_and(|rate| rate.count == 0 || rate.period_ms == 0) {
            return Err(DocumentError::new("tls.handshake_rate", "must be above 0"));
        }
        let before = previous.and_then(|listener| listener.tls.as_ref()).filter(|tls| tls.limit == limit);
        let rate = match before {
            Some(before) => before.rate.clone(),
            None => limit.map(|rate| Arc::new(ClientRate::new(rate))),
        };
        let hsts = document.hsts.as_deref().map(hsts_line).transpose()?;
        Ok(Self {
            handshake: duration("tls.handshake_ms", document.handshake_ms)?,
            rate,
            hsts,
            asks_clients: document.client_auth.is_some(),
            requires_clients: document.client_auth.as_ref().is_some_and(|auth| auth.required),
            forwards_whole: document.client_auth.as_ref().is_some_and(|auth| auth.forward_whole),
            ja4: document.ja4,
            strict_sni: document.strict_sni,
            limit,
        })
    }
}

fn hsts_line(value: &str) -> Result<Box<[u8]>, DocumentError> {
    if value.is_empty() || !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(DocumentError::new("tls.hsts", "must be a field's value"));
    }
    Ok(format!("Strict-Transport-Security: {value}\r\n").into_bytes().into())
}

fn proxy_protocol(document: &document::ProxyProtocol) -> Result<ProxyProtocol, DocumentError> {
    if document.from.is_empty() {
        return Err(DocumentError::new("proxy_protocol.from", "is empty; null turns the headers off"));
    }
    let from = TrustedNetworks::build(&document.from).map_err(inside("proxy_protocol.from"))?;
    Ok(ProxyProtocol { from, others: document.others })
}

fn check_limits(limits: &Limits) -> Result<(), DocumentError> {
    let outside = |field: &str, first: u32, last: u32| {
        Err(DocumentError::new(format!("limits.{field}"), format!("must be from {first} to {last}")))
    };
    if !HEAD_BYTES.contains(&limits.head_bytes) {
        return outside("head_bytes", *HEAD_BYTES.start(), *HEAD_BYTES.end());
    }
    if !HEADERS.contains(&limits.headers) {
        return outside("headers", u32::from(*HEADERS.start()), u32::from(*HEADERS.end()));
    }
    // A target is part of its head, so a larger limit could never be met.
    if !(1..=limits.head_bytes).contains(&limits.target_bytes) {
        return outside("target_bytes", 1, limits.head_bytes);
    }
    Ok(())
}

fn timeouts(document: &document::ListenerTimeouts) -> Result<Timeouts, DocumentError> {
    Ok(Timeouts {
        header: duration("timeouts.header_ms", document.header_ms)?,
        body: duration("timeouts.body_ms", document.body_ms)?,
        idle: duration("timeouts.idle_ms", document.idle_ms)?,
        send: duration("timeouts.send_ms", document.send_ms)?,
        half_close: match document.half_close_ms {
            0 => Duration::ZERO,
            milliseconds => duration("timeouts.half_close_ms", milliseconds)?,
        },
    })
}
