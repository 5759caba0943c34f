//! What one worker counts: plain numbers without atomics, found by index, summed when somebody asks.

use super::access::{AccessStats, Password, Service};
use super::counts::{EndpointStats, ListenerStats, PoolStats, ProcessStats, RouteStats, TlsStats};
use super::space::Space;
use evenly_core::affinity::Told;
use evenly_core::document::Algorithm;
use evenly_core::error::Failure;
use evenly_core::retry::Cause;
use evenly_core::route::{Comparison, Mirrored};
use evenly_core::snapshot::Snapshot;
use evenly_http2::Reason;

/// No route, pool or endpoint took part.
pub const NONE: u32 = u32::MAX;

/// One request (or one tcp connection) that ended, as *record* hands it over. The numbers of listener, route, pool
/// and endpoint are those of `evenly_core::ids`, or [`NONE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it came in.
    pub listener: u32,
    /// The route that matched.
    pub route: u32,
    /// The pool that the route chose.
    pub pool: u32,
    /// The endpoint that answered, or the last one that was asked.
    pub endpoint: u32,
    /// The status that was sent; 0 for tcp, and when nothing was sent.
    pub status: u16,
    /// Why it ended without the endpoint's whole answer.
    pub failure: Option<Failure>,
    /// Bytes from the client, heads included.
    pub bytes_in: u64,
    /// Bytes to the client, heads included.
    pub bytes_out: u64,
    /// Time from the end of the request's head to the pick of an endpoint.
    pub queue_nanos: u64,
    /// Time to connect; 0 if a connection was reused.
    pub connect_nanos: u64,
    /// Time from the connection to the end of the response's head.
    pub upstream_nanos: u64,
    /// Time from the request's first byte to the last byte of its answer.
    pub total_nanos: u64,
    /// How often an endpoint was tried.
    pub attempts: u32,
    /// What became of its client's affinity.
    pub affinity: Told,
    /// What ended it, if it is a call of gRPC.
    pub grpc_status: Option<u8>,
}

/// The counters of one worker; summed over all of them, those of the process.
#[derive(Debug, Clone, Default)]
pub struct WorkerStats {
    pub(super) process: ProcessStats,
    pub(super) access: AccessStats,
    pub(super) listeners: Space<ListenerStats>,
    /// By the route's number plus one: 0 counts what matched no route.
    pub(super) routes: Space<RouteStats>,
    pub(super) pools: Space<PoolStats>,
    pub(super) endpoints: Space<EndpointStats>,
}

impl WorkerStats {
    /// Counts a request that ended. On the hot path: no hash, no atomic, and no allocation once the combination of
    /// listener, route, pool and status was seen.
    pub fn record(&mut self, r: &Record) {
        let listener = self.listeners.at(r.listener);
        listener.requests += 1;
        listener.bytes_in += r.bytes_in;
        listener.bytes_out += r.bytes_out;
        if let Some(failure) = r.failure {
            listener.failures.count(failure);
        }
        let route = self.routes.at(r.route.wrapping_add(1));
        route.series(r.listener, r.pool, r.status).requests += 1;
        let phases = route.phases(r.pool);
        phases.total.observe(r.total_nanos);
        if r.pool != NONE {
            phases.queue.observe(r.queue_nanos);
            if r.connect_nanos > 0 {
                phases.connect.observe(r.connect_nanos);
            }
            if r.upstream_nanos > 0 {
                phases.upstream.observe(r.upstream_nanos);
            }
            if r.attempts > 1 {
                self.pools.at(r.pool).resends += 1;
            }
            if let Some(status) = r.grpc_status {
                self.pools.at(r.pool).grpc.count(status);
            }
            if r.affinity != Told::default() {
                self.pools.at(r.pool).affinity.count(r.affinity);
            }
        }
        if r.endpoint != NONE {
            self.endpoints.at(r.endpoint).requests[usize::from(r.status / 100).min(5)] += 1;
        }
    }

    /// A client connected.
    pub fn connection_opened(&mut self, listener: u32) {
        self.listeners.at(listener).opened += 1;
    }

    /// A client's connection ended.
    pub fn connection_closed(&mut self, listener: u32) {
        self.listeners.at(listener).closed += 1;
    }

    /// A client speaks HTTP/2.
    pub fn h2_opened(&mut self, listener: u32) {
        self.listeners.at(listener).h2.opened += 1;
    }

    /// A client did what ends a stream or, with `is_connection`, all of them.
    pub fn h2_failed(&mut self, listener: u32, reason: Reason, is_connection: bool) {
        let failed = &mut self.listeners.at(listener).h2.failed[usize::from(is_connection)];
        failed[reason as usize] += 1;
    }

    /// A client's TLS handshake ended well.
    pub fn tls_agreed(&mut self, listener: u32, version: &str, is_resumed: bool) {
        let place = TlsStats::VERSIONS.iter().position(|known| *known == version).unwrap_or_default();
        self.listeners.at(listener).tls.agreed[place][usize::from(is_resumed)] += 1;
    }

    /// A request came in early data, and is done at once or has to wait.
    pub fn early_request(&mut self, listener: u32, is_done: bool) {
        self.listeners.at(listener).tls.early[usize::from(is_done)] += 1;
    }

    /// A client's TLS handshake failed.
    pub fn tls_failed(&mut self, listener: u32) {
        self.listeners.at(listener).tls.failed += 1;
    }

    /// A client was cut for being slower than its deadlines or its minimum rate.
    pub fn slow_client(&mut self, listener: u32) {
        self.listeners.at(listener).slow_clients += 1;
    }

    /// A pool's fallback took a request over.
    pub fn pool_fell_back(&mut self, pool: u32) {
        self.pools.at(pool).fallbacks += 1;
    }

    /// A route held a request up on purpose.
    pub fn fault_delayed(&mut self, route: u32) {
        self.routes.at(route.wrapping_add(1)).faults_delayed += 1;
    }

    /// A request was drawn for mirroring; what became of its copy.
    pub fn mirrored(&mut self, route: u32, what: Mirrored) {
        self.routes.at(route.wrapping_add(1)).mirrored[what as usize] += 1;
    }

    /// A copy's answer was compared with the client's.
    pub fn compared(&mut self, route: u32, comparison: Comparison) {
        self.routes.at(route.wrapping_add(1)).compared[comparison as usize] += 1;
    }

    /// An endpoint answered a copy.
    pub fn mirror_answered(&mut self, endpoint: u32, status: u16) {
        self.endpoints.at(endpoint).requests[usize::from(status / 100).min(5)] += 1;
    }

    /// A route answered a request with an error on purpose.
    pub fn fault_aborted(&mut self, route: u32) {
        self.routes.at(route.wrapping_add(1)).faults_aborted += 1;
    }

    /// A connection to an endpoint was made.
    pub fn upstream_opened(&mut self, endpoint: u32) {
        self.endpoints.at(endpoint).opened += 1;
    }

    /// The same by HTTP/2.
    pub fn upstream_shared(&mut self, endpoint: u32) {
        let endpoint = self.endpoints.at(endpoint);
        endpoint.opened += 1;
        endpoint.shared += 1;
    }

    /// A TLS handshake with an endpoint ended well.
    pub fn upstream_agreed(&mut self, endpoint: u32, is_resumed: bool) {
        self.endpoints.at(endpoint).agreed[usize::from(is_resumed)] += 1;
    }

    /// An idle connection to an endpoint was taken for another request.
    pub fn upstream_reused(&mut self, endpoint: u32) {
        self.endpoints.at(endpoint).reused += 1;
    }

    /// An attempt at an endpoint failed, also when another endpoint then answered the request.
    pub fn endpoint_failure(&mut self, endpoint: u32, failure: Failure) {
        self.endpoints.at(endpoint).failures.count(failure);
    }

    /// A request waits for an endpoint with room.
    pub fn queue_entered(&mut self, pool: u32) {
        self.pools.at(pool).queue_entered += 1;
    }

    /// It waits no more.
    pub fn queue_left(&mut self, pool: u32, is_timeout: bool) {
        let pool = self.pools.at(pool);
        pool.queue_left += 1;
        pool.queue_timeouts += u64::from(is_timeout);
    }

    /// A pool's open circuit kept a request away.
    pub fn circuit_rejected(&mut self, pool: u32) {
        self.pools.at(pool).circuit_rejected += 1;
    }

    /// A request found the queue full.
    pub fn queue_full(&mut self, pool: u32) {
        self.pools.at(pool).queue_full += 1;
    }

    /// A request is tried again.
    pub fn retried(&mut self, pool: u32, cause: Cause) {
        self.pools.at(pool).retries[cause.kind()] += 1;
    }

    /// A request was not tried again because the pool's budget was used up.
    pub fn retry_refused(&mut self, pool: u32) {
        self.pools.at(pool).retries_refused += 1;
    }

    /// A request would be hedged after so many nanoseconds.
    pub fn hedge_delay(&mut self, pool: u32, nanos: u64) {
        self.pools.at(pool).hedges.delay = nanos;
    }

    /// A second try has begun beside a first one.
    pub fn hedged(&mut self, pool: u32) {
        self.pools.at(pool).hedges.sent += 1;
    }

    /// A second try answered first.
    pub fn hedge_won(&mut self, pool: u32) {
        self.pools.at(pool).hedges.won += 1;
    }

    /// There was no second try because the pool's budget was used up.
    pub fn hedge_refused(&mut self, pool: u32) {
        self.pools.at(pool).hedges.refused += 1;
    }

    /// Credentials came, and this came of them.
    pub fn password(&mut self, result: Password) {
        self.access.passwords[result as usize] += 1;
    }

    /// A forward-auth service was asked, and this came of it.
    pub fn forward_auth(&mut self, result: Service) {
        self.access.services[result as usize] += 1;
    }

    /// A response was compressed: bytes before and after.
    pub fn compressed(&mut self, listener: u32, algorithm: Algorithm, bytes: (u64, u64)) {
        self.listeners.at(listener).compression.count(algorithm, bytes);
    }

    /// A response was left as it was because too many were being compressed.
    pub fn compression_skipped(&mut self, listener: u32) {
        self.listeners.at(listener).compression.skipped += 1;
    }

    /// An endpoint answered a question of Evenly's own, such as forward-auth's.
    pub fn endpoint_answered(&mut self, endpoint: u32, status: u16) {
        self.endpoints.at(endpoint).requests[usize::from(status / 100).min(5)] += 1;
    }

    /// accept(2) failed: out of descriptors or memory, or the client was gone before it was accepted.
    pub fn accept_error(&mut self, _error: &std::io::Error) {
        self.process.accept_errors += 1;
    }

    /// A client had to wait because a listener or the process was at its limit of connections.
    pub fn accept_limited(&mut self) {
        self.process.accept_limited += 1;
    }

    /// A connection was not served, and is not counted as one.
    pub fn turned_away(&mut self, listener: u32, failure: Failure) {
        self.listeners.at(listener).failures.count(failure);
    }

    /// Datagrams came from clients.
    pub fn datagrams_came(&mut self, listener: u32, count: u64) {
        self.listeners.at(listener).datagrams.came += count;
    }

    /// Datagrams went to clients.
    pub fn datagrams_left(&mut self, listener: u32, count: u64) {
        self.listeners.at(listener).datagrams.left += count;
    }

    /// The kernel did not take datagrams, in either direction, or they came while the process drains.
    pub fn datagrams_unsent(&mut self, listener: u32, count: u64) {
        self.listeners.at(listener).datagrams.unsent += count;
    }

    /// Datagrams came from an endpoint for a session that there is not.
    pub fn datagrams_unexpected(&mut self, listener: u32, count: u64) {
        self.listeners.at(listener).datagrams.unexpected += count;
    }

    /// A session went on to another endpoint.
    pub fn session_moved(&mut self, listener: u32) {
        self.listeners.at(listener).datagrams.moved += 1;
    }

    /// A socket's tables changed in size: their bytes and the sockets towards endpoints, before and now.
    pub fn tables_changed(&mut self, listener: u32, before: (u64, u64), now: (u64, u64)) {
        let tables = &mut self.listeners.at(listener).datagrams.tables;
        tables.0 = (tables.0 + now.0).saturating_sub(before.0);
        tables.1 = (tables.1 + now.1).saturating_sub(before.1);
    }

    /// A client was reset because the tarpit was full.
    pub fn tarpit_full(&mut self) {
        self.process.tarpit_full += 1;
    }

    /// Adds what another worker counted.
    pub fn merge(&mut self, other: &Self) {
        self.process.accept_errors += other.process.accept_errors;
        self.process.accept_limited += other.process.accept_limited;
        self.process.tarpit_full += other.process.tarpit_full;
        self.access.merge(&other.access);
        self.listeners.merge(&other.listeners, ListenerStats::merge);
        self.routes.merge(&other.routes, RouteStats::merge);
        self.pools.merge(&other.pools, PoolStats::merge);
        self.endpoints.merge(&other.endpoints, EndpointStats::merge);
    }

    /// Forgets what `snapshot` no longer has. A number that the next snapshot gives to something new then starts
    /// from zero; requests of the former snapshot that still end count for nobody.
    pub fn retain(&mut self, snapshot: &Snapshot) {
        self.listeners.retain(snapshot.listeners.iter().map(|listener| listener.id.0));
        self.routes.retain(std::iter::once(0).chain(snapshot.routes.iter().map(|route| route.id.0 + 1)));
        self.pools.retain(snapshot.pools.iter().map(|pool| pool.id.0));
        let members = snapshot.pools.iter().flat_map(|pool| &pool.members);
        self.endpoints.retain(members.map(|member| member.endpoint.id().0));
        let known = |pool: u32| pool == NONE || self.pools.is_live(pool);
        for route in self.routes.iter_mut() {
            route.series.retain(|series| self.listeners.is_live(series.listener) && known(series.pool));
            route.phases.retain(|phases| known(phases.pool));
        }
    }
}

#[cfg(test)]
mod tests;
