//! All metrics in Prometheus' text format: the one list of their names, types and meanings. Those of endpoints, which
//! are the most, are in `endpoints.rs`.

mod affinity;
mod circuits;
mod endpoints;
mod experiments;
mod hedges;
mod http2;
mod http3;
mod levels;
mod tls;

pub(super) use http3::QUIC;
pub(super) use levels::place;

use super::access;
use super::counts::{Datagrams, ListenerStats, Phases, PoolStats, RouteStats, Series};
use super::exposition::{Exposition, Kind};
use super::{NONE, Scene, WorkerStats};
use evenly_core::document::Protocol;
use evenly_core::listener::Listener;
use evenly_core::pool::Pool;
use evenly_core::retry::Cause;
use evenly_core::snapshot::Snapshot;
use std::sync::Arc;

/// Appends all metrics to `out`. `stats` is the sum over all workers.
pub fn render(out: &mut String, scene: &Scene<'_>, stats: &WorkerStats) {
    let mut exposition = Exposition::new(out);
    process(&mut exposition, scene, stats);
    stats.access.render(&mut exposition);
    listeners(&mut exposition, scene.snapshot, stats);
    datagrams(&mut exposition, scene.snapshot, stats);
    tls::handshakes(&mut exposition, scene, stats);
    http2::connections(&mut exposition, scene.snapshot, stats);
    http3::connections(&mut exposition, scene.snapshot, stats);
    routes(&mut exposition, scene.snapshot, stats);
    experiments::experiments(&mut exposition, scene.snapshot, stats);
    pools(&mut exposition, scene.snapshot, stats);
    serving(&mut exposition, scene.snapshot);
    levels::levels(&mut exposition, scene, stats);
    circuits::circuits(&mut exposition, scene, stats);
    hedges::hedges(&mut exposition, scene.snapshot, stats);
    affinity::affinity(&mut exposition, scene, stats);
    endpoints::endpoints(&mut exposition, scene, stats);
}

fn serving(to: &mut Exposition<'_>, snapshot: &Snapshot) {
    to.family(
        "evenly_pool_serving",
        Kind::Gauge,
        "Always 1; the label tells which of a pool's endpoints get traffic, or why none does.",
    );
    for pool in &snapshot.pools {
        to.sample(&[("pool", &pool.name), ("tier", pool.serving())], 1);
    }
}

fn process(to: &mut Exposition<'_>, scene: &Scene<'_>, stats: &WorkerStats) {
    to.family("evenly_build_info", Kind::Gauge, "Always 1; the labels tell what runs.");
    to.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    to.family("evenly_uptime_seconds", Kind::Gauge, "Time since the process began to serve.");
    to.sample(&[], scene.uptime.as_secs_f64());
    to.family(
        "evenly_generation",
        Kind::Gauge,
        "Number of the running configuration; 1 is that of the start.",
    );
    to.sample(&[], scene.snapshot.generation);
    to.family(
        "evenly_snapshots",
        Kind::Gauge,
        "Configurations in memory: the running one, and those before it that something still needs.",
    );
    to.sample(&[], scene.snapshots);
    to.family("evenly_workers", Kind::Gauge, "Worker threads.");
    to.sample(&[], scene.workers);
    to.family(
        "evenly_draining",
        Kind::Gauge,
        "1 while the process accepts no more connections and ends those it has.",
    );
    to.sample(&[], u8::from(scene.is_draining));
    to.family("evenly_accept_errors_total", Kind::Counter, "Failures to accept a connection.");
    to.sample(&[], stats.process.accept_errors);
    to.family(
        "evenly_connections_limited_total",
        Kind::Counter,
        "Times that a client had to wait at a connection limit.",
    );
    to.sample(&[], stats.process.accept_limited);
    to.family(
        "evenly_tarpit_full_total",
        Kind::Counter,
        "Clients that were reset because the tarpit had no place left.",
    );
    to.sample(&[], stats.process.tarpit_full);
    let Some(service) = scene.service else { return };
    let log = service.logs().totals();
    to.family("evenly_access_log_lines_total", Kind::Counter, "Lines written to the access log.");
    to.sample(&[], log.lines);
    to.family("evenly_access_log_bytes_total", Kind::Counter, "Bytes written to the access log.");
    to.sample(&[], log.bytes);
    to.family(
        "evenly_access_log_dropped_lines_total",
        Kind::Counter,
        "Lines lost because the access log could not keep up.",
    );
    to.sample(&[], log.dropped);
    to.family("evenly_access_log_errors_total", Kind::Counter, "Failures to open or write the access log.");
    to.sample(&[], log.errors);
    to.family(
        "evenly_events_dropped_total",
        Kind::Counter,
        "Events lost because the control plane did not take them.",
    );
    to.sample(&[], service.events_dropped());
}

fn listeners(to: &mut Exposition<'_>, snapshot: &Snapshot, stats: &WorkerStats) {
    let none = ListenerStats::default();
    let all: Vec<(&str, &ListenerStats)> = snapshot
        .listeners
        .iter()
        .map(|listener| (&*listener.name, stats.listeners.get(listener.id.0).unwrap_or(&none)))
        .collect();
    to.family("evenly_connections", Kind::Gauge, "Client connections that are open.");
    for (name, listener) in &all {
        to.sample(&[("listener", name)], listener.open());
    }
    to.family("evenly_connections_total", Kind::Counter, "Client connections accepted.");
    for (name, listener) in &all {
        to.sample(&[("listener", name)], listener.opened);
    }
    to.family(
        "evenly_bytes_total",
        Kind::Counter,
        "Bytes of requests and connections that ended, from (in) and to (out) clients.",
    );
    for (name, listener) in &all {
        to.sample(&[("listener", name), ("direction", "in")], listener.bytes_in);
        to.sample(&[("listener", name), ("direction", "out")], listener.bytes_out);
    }
    to.family(
        "evenly_slow_clients_total",
        Kind::Counter,
        "Clients cut for being slower than a deadline or the minimum rate.",
    );
    for (name, listener) in &all {
        to.sample(&[("listener", name)], listener.slow_clients);
    }
    to.family(
        "evenly_terminations_total",
        Kind::Counter,
        "Requests and connections that ended without the endpoint's whole answer, by reason.",
    );
    for (name, listener) in &all {
        for (failure, count) in listener.failures.iter() {
            to.sample(&[("listener", name), ("reason", failure.reason())], count);
        }
    }
    access::compression(to, &all);
}

/// What listeners of datagrams have besides.
fn datagrams(to: &mut Exposition<'_>, snapshot: &Snapshot, stats: &WorkerStats) {
    let none = ListenerStats::default();
    let udp = |listener: &&Arc<Listener>| listener.protocol == Protocol::Udp;
    let all: Vec<(&str, &Datagrams)> = snapshot
        .listeners
        .iter()
        .filter(udp)
        .map(|listener| (&*listener.name, &stats.listeners.get(listener.id.0).unwrap_or(&none).datagrams))
        .collect();
    to.family("evenly_datagrams_total", Kind::Counter, "Datagrams from (in) and to (out) clients.");
    for (name, counted) in &all {
        to.sample(&[("listener", name), ("direction", "in")], counted.came);
        to.sample(&[("listener", name), ("direction", "out")], counted.left);
    }
    to.family(
        "evenly_datagrams_dropped_total",
        Kind::Counter,
        "Datagrams that the kernel did not take (unsent), and answers of no session (unexpected).",
    );
    for (name, counted) in &all {
        to.sample(&[("listener", name), ("reason", "unsent")], counted.unsent);
        to.sample(&[("listener", name), ("reason", "unexpected")], counted.unexpected);
    }
    to.family("evenly_sessions_moved_total", Kind::Counter, "Sessions that went on to another endpoint.");
    for (name, counted) in &all {
        to.sample(&[("listener", name)], counted.moved);
    }
    to.family("evenly_session_table_bytes", Kind::Gauge, "Memory of the session tables.");
    for (name, counted) in &all {
        to.sample(&[("listener", name)], counted.tables.0);
    }
    to.family("evenly_session_sockets", Kind::Gauge, "Sockets towards endpoints, each for many sessions.");
    for (name, counted) in &all {
        to.sample(&[("listener", name)], counted.tables.1);
    }
}

fn routes(to: &mut Exposition<'_>, snapshot: &Snapshot, stats: &WorkerStats) {
    let names = Names::of(snapshot);
    let routes: Vec<(&str, &RouteStats)> = std::iter::once((0, ""))
        .chain(snapshot.routes.iter().map(|route| (route.id.0 + 1, &*route.name)))
        .filter_map(|(number, name)| Some((name, stats.routes.get(number)?)))
        .collect();
    to.family(
        "evenly_requests_total",
        Kind::Counter,
        "Requests that ended; for tcp, connections, which have no code.",
    );
    for (route, counted) in &routes {
        let mut series: Vec<&Series> = counted.series.iter().collect();
        series.sort_unstable_by_key(|series| (series.listener, series.pool, series.status));
        for Series { listener, pool, status, requests } in series {
            let code = if *status == 0 { String::new() } else { status.to_string() };
            let labels = [
                ("listener", names.listener(*listener)),
                ("route", route),
                ("pool", names.pool(*pool)),
                ("code", &code),
            ];
            to.sample(&labels, requests);
        }
    }
    let phases = || {
        routes.iter().flat_map(|(route, counted)| counted.phases.iter().map(move |phases| (*route, phases)))
    };
    to.family(
        "evenly_request_duration_seconds",
        Kind::Histogram,
        "From a request's first byte to the last byte of its answer.",
    );
    for (route, phases) in phases() {
        to.histogram(&[("route", route), ("pool", names.pool(phases.pool))], &phases.total);
    }
    to.family(
        "evenly_request_phase_duration_seconds",
        Kind::Histogram,
        "Waiting for an endpoint (queue), connecting (connect), waiting for the response's head (upstream).",
    );
    for (route, Phases { pool, queue, connect, upstream, .. }) in phases() {
        for (phase, histogram) in [("queue", queue), ("connect", connect), ("upstream", upstream)] {
            if histogram.count() > 0 {
                to.histogram(&[("route", route), ("pool", names.pool(*pool)), ("phase", phase)], histogram);
            }
        }
    }
}

fn pools(to: &mut Exposition<'_>, snapshot: &Snapshot, stats: &WorkerStats) {
    http2::calls(to, snapshot, stats);
    to.family("evenly_resends_total", Kind::Counter, "Requests that were sent to a second endpoint.");
    for pool in &snapshot.pools {
        to.sample(&[("pool", &pool.name)], stats.pools.get(pool.id.0).map_or(0, |pool| pool.resends));
    }
    let none = PoolStats::default();
    let counted = |pool: &Pool| stats.pools.get(pool.id.0).unwrap_or(&none);
    to.family(
        "evenly_pool_retries_total",
        Kind::Counter,
        "Tries after a first one that failed, by what had failed.",
    );
    for pool in &snapshot.pools {
        for (reason, count) in Cause::KINDS.into_iter().zip(counted(pool).retries) {
            to.sample(&[("pool", &pool.name), ("reason", reason)], count);
        }
    }
    to.family(
        "evenly_pool_retries_refused_total",
        Kind::Counter,
        "Retries that were not made because the pool's retry budget was used up.",
    );
    for pool in &snapshot.pools {
        to.sample(&[("pool", &pool.name)], counted(pool).retries_refused);
    }
    queues(to, snapshot, stats);
}

fn queues(to: &mut Exposition<'_>, snapshot: &Snapshot, stats: &WorkerStats) {
    let none = PoolStats::default();
    let all = || snapshot.pools.iter().map(|pool| (&*pool.name, stats.pools.get(pool.id.0).unwrap_or(&none)));
    to.family("evenly_pool_queued", Kind::Gauge, "Requests that wait for an endpoint with room.");
    for (pool, counted) in all() {
        to.sample(&[("pool", pool)], counted.queue_entered.saturating_sub(counted.queue_left));
    }
    to.family(
        "evenly_pool_queued_total",
        Kind::Counter,
        "Requests that had to wait for an endpoint with room.",
    );
    for (pool, counted) in all() {
        to.sample(&[("pool", pool)], counted.queue_entered);
    }
    to.family(
        "evenly_pool_queue_timeouts_total",
        Kind::Counter,
        "Requests that waited until the queue's deadline.",
    );
    for (pool, counted) in all() {
        to.sample(&[("pool", pool)], counted.queue_timeouts);
    }
    to.family("evenly_pool_queue_full_total", Kind::Counter, "Requests that found the queue full.");
    for (pool, counted) in all() {
        to.sample(&[("pool", pool)], counted.queue_full);
    }
}

/// Names by number.
struct Names<'a> {
    listeners: Vec<&'a str>,
    pools: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let spans = snapshot.spans();
        let mut names =
            Self { listeners: vec![""; spans.listeners as usize], pools: vec![""; spans.pools as usize] };
        for listener in &snapshot.listeners {
            names.listeners[listener.id.0 as usize] = &listener.name;
        }
        for pool in &snapshot.pools {
            names.pools[pool.id.0 as usize] = &pool.name;
        }
        names
    }

    fn listener(&self, number: u32) -> &'a str {
        self.listeners.get(number as usize).copied().unwrap_or_default()
    }

    /// Empty for [`NONE`].
    fn pool(&self, number: u32) -> &'a str {
        if number == NONE { "" } else { self.pools.get(number as usize).copied().unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests;
