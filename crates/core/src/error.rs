//! Every way in which a request or a connection ends without the endpoint's whole answer, in one table.
//!
//! The access log, the metrics and `evenly explain` share the reasons; the status is decided here and nowhere else.

use crate::pool::NoEndpoint;

/// Whose doing a failure is. Outlier detection counts only what is upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Downstream,
    /// The endpoint's, or the network's on the way to it.
    Upstream,
    /// Evenly's, or its operator's.
    Internal,
}

/// Writes the enum and its table from one list, so that a failure cannot be added without its row.
macro_rules! failures {
    ($($(#[$doc:meta])* $name:ident = $reason:literal, $status:literal, $side:ident, $retryable:literal;)*) => {
        /// Why a request or connection ended without the endpoint's whole answer.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Failure { $($(#[$doc])* $name,)* }

        impl Failure {
            /// All of them, in the order of [`Failure::index`].
            pub const ALL: [Self; [$($reason),*].len()] = [$(Self::$name),*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$name => Row {
                        reason: $reason, status: $status, side: Side::$side, retryable: $retryable
                    },)*
                }
            }
        }
    };
}

struct Row {
    reason: &'static str,
    status: u16,
    side: Side,
    retryable: bool,
}

// The columns: reason in logs and metrics, status, whose doing, and whether another endpoint may be asked. "true" only
// says that the failure does not forbid it: the caller also needs a method that is idempotent or a proof that the
// endpoint did nothing, and no byte of response sent. 499 is a status for the log alone: nobody is left to read it.
failures! {
    /// The request breaks HTTP's grammar or framing rules.
    RequestBad = "request-bad", 400, Downstream, false;
    /// The route asks for credentials, and the request has none.
    AuthMissing = "auth-missing", 401, Downstream, false;
    /// The name or the password is wrong.
    AuthWrong = "auth-wrong", 401, Downstream, false;
    /// The client's address is not allowed on the route.
    AddressDenied = "address-denied", 403, Downstream, false;
    /// No API key of the route is the one that the request carries.
    KeyUnknown = "key-unknown", 403, Downstream, false;
    /// The service that is asked about requests said no; the client gets its answer, whatever its status.
    ForwardAuthDenied = "forward-auth-denied", 403, Downstream, false;
    /// No route matches.
    RouteNone = "route-none", 404, Internal, false;
    /// CONNECT, and no route allows it.
    TunnelRefused = "tunnel-refused", 405, Downstream, false;
    /// The head did not come within its deadline.
    RequestTimeout = "request-timeout", 408, Downstream, false;
    /// The body came slower than the minimum rate, or paused for too long.
    ClientSlow = "client-slow", 408, Downstream, false;
    /// The body is larger than the limit.
    RequestTooLarge = "request-too-large", 413, Downstream, false;
    /// The target is longer than the limit.
    TargetTooLong = "target-too-long", 414, Downstream, false;
    /// An `Expect` other than 100-continue.
    ExpectationFailed = "expectation-failed", 417, Downstream, false;
    /// More than a rate limit allows.
    RateLimited = "rate-limited", 429, Downstream, false;
    /// Strict SNI, and the request is for a host that the connection's certificate is not for.
    Misdirected = "misdirected", 421, Downstream, false;
    /// The head has more bytes or fields than the limits.
    HeadTooLarge = "head-too-large", 431, Downstream, false;
    /// The client is in a network that the listener denies.
    ClientDenied = "client-denied", 499, Downstream, false;
    /// The client has as many connections as the listener allows one client.
    ClientLimit = "client-limit", 499, Downstream, false;
    /// A trusted proxy sent no PROXY protocol header, or a wrong one; or somebody else came where only proxies may.
    ProxyHeaderBad = "proxy-header-bad", 499, Downstream, false;
    /// What came is no TLS ClientHello, where one is needed to find the route.
    TlsHelloBad = "tls-hello-bad", 499, Downstream, false;
    /// What came during or after a TLS handshake is no TLS, or breaks its rules.
    TlsBad = "tls-bad", 499, Downstream, false;
    /// The client and the listener have no TLS version, cipher, group or protocol in common.
    TlsNoMatch = "tls-no-match", 499, Downstream, false;
    /// The client asks for a name that no certificate of the listener has, or can verify none of them.
    TlsNameUnknown = "tls-name-unknown", 499, Downstream, false;
    /// The client ended the handshake with an alert: it does not trust the certificate, for one.
    TlsRefused = "tls-refused", 499, Downstream, false;
    /// The client closed in the middle of the handshake.
    TlsClosed = "tls-closed", 499, Downstream, false;
    /// The handshake did not end within its deadline.
    TlsTimeout = "tls-timeout", 499, Downstream, false;
    /// The client shows no certificate, and has to.
    ClientCertificateMissing = "client-certificate-missing", 499, Downstream, false;
    /// The client's certificate is of no authority that the listener believes.
    ClientCertificateUntrusted = "client-certificate-untrusted", 499, Downstream, false;
    /// The client's certificate has expired, or is not valid yet.
    ClientCertificateExpired = "client-certificate-expired", 499, Downstream, false;
    /// The client's certificate is revoked, or of an authority on whose list it would have to be looked for.
    ClientCertificateRevoked = "client-certificate-revoked", 499, Downstream, false;
    /// The client's certificate is not one for clients, or breaks the rules.
    ClientCertificateBad = "client-certificate-bad", 499, Downstream, false;
    /// The client began more handshakes than the listener allows one client.
    TlsLimit = "tls-limit", 499, Downstream, false;
    /// The client broke HTTP/2's rules; that ended a stream or the connection.
    Http2Bad = "http2-bad", 499, Downstream, false;
    /// The client made work without purpose by HTTP/2, which ended the connection.
    Http2Abuse = "http2-abuse", 499, Downstream, false;
    /// The client broke QUIC's or HTTP/3's rules; that ended a stream or the connection.
    Http3Bad = "http3-bad", 499, Downstream, false;
    /// The client made work without purpose by HTTP/3, which ended the connection.
    Http3Abuse = "http3-abuse", 499, Downstream, false;
    /// The client closed or reset the connection before it had its answer.
    ClientGone = "client-gone", 499, Downstream, false;
    /// The client took no byte of the response for too long, or took it slower than the minimum rate.
    SendTimeout = "send-timeout", 499, Downstream, false;
    /// The drain deadline passed while the request was under way.
    Drained = "drained", 503, Internal, false;
    /// A defect in Evenly.
    Internal = "internal", 500, Internal, false;
    /// Something HTTP allows and Evenly does not do, such as an unknown transfer coding.
    NotImplemented = "not-implemented", 501, Downstream, false;
    /// No connection to the endpoint could be made.
    ConnectFailed = "connect-failed", 502, Upstream, true;
    /// The client's address cannot be shown to the endpoint: it is of another family, or the system does not give it.
    SourceUnusable = "source-unusable", 502, Internal, true;
    /// The endpoint and Evenly did not agree on a TLS session.
    UpstreamTlsFailed = "upstream-tls-failed", 502, Upstream, true;
    /// The endpoint's certificate is not valid: for another name, expired, or of nobody who is trusted.
    UpstreamCertificateBad = "upstream-certificate-bad", 502, Upstream, true;
    /// The endpoint's response breaks HTTP's grammar or framing rules.
    ResponseBad = "response-bad", 502, Upstream, false;
    /// The endpoint closed or reset the connection before a response head.
    UpstreamClosed = "upstream-closed", 502, Upstream, true;
    /// The endpoint closed or reset the connection in the middle of a response.
    UpstreamTruncated = "upstream-truncated", 502, Upstream, false;
    /// The endpoint answered with a status that is tried again, and then no endpoint was left to try.
    UpstreamStatus = "upstream-status", 502, Upstream, true;
    /// More passwords wait to be verified than a worker takes on.
    AuthBusy = "auth-busy", 503, Internal, false;
    /// The service that is asked about requests gave no answer.
    ForwardAuthFailed = "forward-auth-failed", 503, Upstream, false;
    /// A limit on connections or memory is reached.
    Overload = "overload", 503, Internal, false;
    /// The pool has no endpoint, or none with a weight above 0.
    NoEndpointEmpty = "no-endpoint-empty", 503, Internal, false;
    /// Every endpoint that could serve is unhealthy.
    NoEndpointUnhealthy = "no-endpoint-unhealthy", 503, Upstream, false;
    /// Live traffic took out every endpoint that could serve (outlier detection).
    NoEndpointEjected = "no-endpoint-ejected", 503, Upstream, false;
    /// The operator is draining every endpoint that could serve.
    NoEndpointDraining = "no-endpoint-draining", 503, Internal, false;
    /// Every endpoint that could serve is in maintenance.
    NoEndpointMaintenance = "no-endpoint-maintenance", 503, Internal, false;
    /// The route injects this error on purpose. Its status is the route's.
    FaultAborted = "fault-aborted", 503, Internal, false;
    /// The only endpoint that could serve has been tried already.
    NoEndpointOther = "no-endpoint-other", 503, Upstream, false;
    /// Every endpoint that could serve has as many requests under way as its `max_connections` allows.
    NoEndpointFull = "no-endpoint-full", 503, Internal, false;
    /// The pool has as many requests under way as its circuit breaker's `max_requests` allows.
    PoolFull = "pool-full", 503, Internal, false;
    /// The pool has as many requests under way as it was found to take without slowing down (adaptive concurrency).
    PoolLimited = "pool-limited", 503, Internal, false;
    /// Too many of the pool's requests fail, so that its circuit breaker spares it this one.
    CircuitOpen = "circuit-open", 503, Upstream, false;
    /// Every endpoint is full, and so is the pool's queue.
    QueueFull = "queue-full", 503, Internal, false;
    /// No endpoint had room until the queue's deadline.
    QueueTimeout = "queue-timeout", 503, Internal, false;
    /// Connecting to the endpoint took too long.
    ConnectTimeout = "connect-timeout", 504, Upstream, true;
    /// The response head, or over UDP the first answer, did not come within its deadline.
    ResponseTimeout = "response-timeout", 504, Upstream, false;
    /// The response head did not come within the deadline for the whole request, all tries included; or a call of gRPC
    /// took longer than it said.
    RequestDeadline = "request-deadline", 504, Upstream, false;
    /// Nothing moved in either direction for too long in a body or tunnel.
    IdleTimeout = "idle-timeout", 504, Upstream, false;
    /// The client speaks a version of HTTP that is not 1.x.
    Version = "version", 505, Downstream, false;
}

impl Failure {
    /// Its word in logs and metrics.
    pub const fn reason(self) -> &'static str {
        self.row().reason
    }

    /// Its status. When the response had already begun, the log shows the status that was sent, with this reason.
    pub const fn status(self) -> u16 {
        self.row().status
    }

    /// Whose doing it is.
    pub const fn side(self) -> Side {
        self.row().side
    }

    /// Whether it leaves open that another endpoint is asked; see the table for what else that takes.
    pub const fn is_retryable(self) -> bool {
        self.row().retryable
    }

    /// Whether an answer is sent at all, if the response has not begun.
    pub const fn is_answered(self) -> bool {
        self.row().status != 499
    }

    /// Whether there will be room again when a request ends.
    pub const fn is_full(self) -> bool {
        matches!(self, Self::NoEndpointFull | Self::PoolFull | Self::PoolLimited)
    }

    /// Its place in [`Failure::ALL`], for arrays of counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Seconds for `Retry-After` (RFC 9110 §10.2.3), where waiting helps.
    ///
    /// Overload and rate limits pass within a second; of an open circuit it is known, and told instead of this. A pool
    /// without endpoints takes a health check or an operator; five seconds is the order of a few check intervals, and
    /// keeps a crowd of clients from asking all the time.
    pub const fn retry_after(self) -> Option<u32> {
        match self {
            Self::Overload
            | Self::RateLimited
            | Self::Drained
            | Self::AuthBusy
            | Self::ForwardAuthFailed
            | Self::NoEndpointFull
            | Self::PoolFull
            | Self::PoolLimited
            | Self::CircuitOpen
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::FaultAborted => Some(1),
            Self::NoEndpointEmpty
            | Self::NoEndpointUnhealthy
            | Self::NoEndpointEjected
            | Self::NoEndpointDraining
            | Self::NoEndpointMaintenance
            | Self::NoEndpointOther => Some(5),
            _ => None,
        }
    }
}

impl From<NoEndpoint> for Failure {
    /// [`NoEndpoint::OnlyExcluded`] happens only after a first try failed; the caller that still has that failure
    /// should tell it instead.
    fn from(reason: NoEndpoint) -> Self {
        match reason {
            NoEndpoint::Empty => Self::NoEndpointEmpty,
            NoEndpoint::AllUnhealthy => Self::NoEndpointUnhealthy,
            NoEndpoint::AllEjected => Self::NoEndpointEjected,
            NoEndpoint::AllDraining => Self::NoEndpointDraining,
            NoEndpoint::AllMaintenance => Self::NoEndpointMaintenance,
            NoEndpoint::OnlyExcluded => Self::NoEndpointOther,
            NoEndpoint::AllFull => Self::NoEndpointFull,
            NoEndpoint::PoolFull => Self::PoolFull,
            NoEndpoint::PoolLimited => Self::PoolLimited,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn reasons_are_distinct_words() {
        let reasons: BTreeSet<_> = Failure::ALL.into_iter().map(Failure::reason).collect();
        assert_eq!(reasons.len(), Failure::ALL.len());
        assert!(
            reasons
                .iter()
                .all(|reason| reason.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')))
        );
    }

    #[test]
    fn the_table_is_consistent() {
        for (index, failure) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(failure.index(), index);
            assert!((400..=505).contains(&failure.status()), "{failure}");
            // An address that one endpoint cannot be shown may be another's to see.
            let is_elsewhere = failure.side() == Side::Upstream || failure == Failure::SourceUnusable;
            assert!(!failure.is_retryable() || is_elsewhere, "{failure}");
            assert_eq!(failure.retry_after().is_some(), matches!(failure.status(), 429 | 503), "{failure}");
        }
    }

    #[test]
    fn a_pool_without_endpoint_is_told_in_the_pools_words() {
        for reason in [
            NoEndpoint::Empty,
            NoEndpoint::AllUnhealthy,
            NoEndpoint::AllEjected,
            NoEndpoint::AllDraining,
            NoEndpoint::AllMaintenance,
            NoEndpoint::OnlyExcluded,
            NoEndpoint::AllFull,
            NoEndpoint::PoolFull,
            NoEndpoint::PoolLimited,
        ] {
            assert_eq!(Failure::from(reason).reason(), reason.reason());
        }
    }

    #[test]
    fn every_status_of_the_promise_is_made() {
        let made: BTreeSet<_> = Failure::ALL.into_iter().map(Failure::status).collect();
        for status in [400, 401, 403, 404, 408, 413, 414, 417, 421, 429, 431, 500, 501, 502, 503, 504, 505] {
            assert!(made.contains(&status), "{status}");
        }
    }
}
