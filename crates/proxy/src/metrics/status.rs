//! What `evenly status` shows, as the JSON that `_native.pyi` states.

mod mirrors;
mod protocols;
mod queue;
mod tries;
mod zones;

use super::counts::{EndpointStats, ListenerStats};
use super::{Scene, WorkerStats};
use crate::service::EndpointChecks;
use crate::tls::target_of;
use evenly_core::affinity::Affinity;
use evenly_core::circuit::Report;
use evenly_core::concurrency;
use evenly_core::document::{Balance, Protocol};
use evenly_core::listener::Listener;
use evenly_core::outlier::FULL_SHARE;
use evenly_core::pool::{AdminState, Endpoint, Health, Member, Nanos, Pool};
use serde_json::{Value, json};

/// The state of the process. `stats` is the sum over all workers.
pub fn status(scene: &Scene<'_>, stats: &WorkerStats) -> Value {
    let snapshot = scene.snapshot;
    let listeners: Vec<Value> = snapshot.listeners.iter().map(|one| listener(scene, stats, one)).collect();
    let now = u64::try_from(scene.uptime.as_nanos()).unwrap_or(u64::MAX);
    let checks = scene.service.map(|service| service.checks().all()).unwrap_or_default();
    let pools = snapshot.pools.iter().zip(&snapshot.affinities);
    let pools: Vec<Value> = pools
        .map(|(one, affinity)| {
            let mut told = pool(scene, one, stats, (&checks, now));
            told["affinity"] =
                affinity.as_ref().map_or(Value::Null, |affinity| self::affinity(affinity, now));
            told
        })
        .collect();
    let requests: u64 = listeners.iter().filter_map(|listener| listener["requests"].as_u64()).sum();
    json!({
        "generation": snapshot.generation,
        "workers": scene.workers,
        "connections": scene.connections,
        "requests": requests,
        "zone": snapshot.document.zone,
        "zones": zones::zones(scene),
        "mirrors": mirrors::mirrors(snapshot, stats),
        "listeners": listeners,
        "pools": pools,
    })
}

fn listener(scene: &Scene<'_>, stats: &WorkerStats, listener: &Listener) -> Value {
    let none = ListenerStats::default();
    let counted = stats.listeners.get(listener.id.0).unwrap_or(&none);
    let bind: Vec<String> = listener.bind.iter().map(|bind| (scene.local)(*bind).to_string()).collect();
    json!({
        "name": &*listener.name,
        "protocol": match listener.protocol {
            Protocol::Http => "http",
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        },
        "bind": bind,
        "connections": counted.open(),
        "accepted": counted.opened,
        "requests": counted.requests,
        "http2": protocols::http2(listener, &counted.h2),
        "http3": protocols::http3(listener, &counted.h3),
        "tls": listener.tls.as_ref().map(|_| json!({
            "handshakes": counted.tls.total(),
            "resumed": counted.tls.resumed(),
            "failures": counted.tls.failed,
        })),
    })
}

fn pool(
    scene: &Scene<'_>,
    pool: &Pool,
    stats: &WorkerStats,
    (checks, now): (&[Option<EndpointChecks>], Nanos),
) -> Value {
    let endpoints: Vec<Value> =
        pool.members.iter().map(|member| endpoint(scene, member, stats, (checks, now))).collect();
    let document = scene.snapshot.document.pools.iter().find(|document| *document.name == *pool.name);
    json!({
        "name": &*pool.name,
        "balance": balance_name(pool.balance),
        "fallback": document.and_then(|document| document.fallback.as_deref()),
        "serving": pool.serving(),
        "levels": zones::levels(scene, pool),
        "circuit": pool.circuit.as_ref().map(|circuit| self::circuit(&circuit.report(now))),
        "concurrency": pool.concurrency.as_ref().map(|concurrency| self::concurrency(concurrency.report())),
        "queue": queue::queue(pool, stats),
        "grpc": protocols::grpc(pool, stats),
        "retries": tries::retries(pool, stats),
        "hedge": tries::hedge(pool, stats),
        "endpoints": endpoints,
    })
}

/// Where a circuit breaker is, and what it counts.
fn circuit(report: &Report) -> Value {
    json!({
        "state": report.phase.name(),
        "reason": report.reason,
        "open_for": report.left as f64 / 1e9,
        "requests": report.reading.ended,
        "failed": report.reading.failed,
        "in_flight": report.under_way,
        "max_requests": report.max_requests,
    })
}

/// How many requests the pool can take at once, as far as that is known.
fn concurrency(report: concurrency::Report) -> Value {
    let seconds = |nanos: Option<Nanos>| nanos.map(|nanos| nanos as f64 / 1e9);
    json!({
        "limit": report.limit,
        "in_flight": report.under_way,
        "unloaded": seconds(report.unloaded),
        "last": seconds(report.last),
    })
}

/// How the pool's clients are known again, and how many are remembered if that takes remembering.
fn affinity(affinity: &Affinity, now: Nanos) -> Value {
    let entries = affinity.table().map(|(table, bounds)| table.report(bounds, now).entries);
    json!({ "by": affinity.describe(), "entries": entries })
}

fn endpoint(
    scene: &Scene<'_>,
    member: &Member,
    stats: &WorkerStats,
    (checks, now): (&[Option<EndpointChecks>], Nanos),
) -> Value {
    let (endpoint, none) = (&member.endpoint, EndpointStats::default());
    let counted = stats.endpoints.get(endpoint.id().0).unwrap_or(&none);
    let checks = checks.get(endpoint.id().0 as usize).copied().flatten();
    json!({
        "address": endpoint.address().to_string(),
        "weight": member.effective_weight(),
        "backup": member.backup,
        "zone": member.zone.as_deref(),
        "priority": member.level.priority,
        "evacuated": endpoint.is_evacuated(),
        "share": endpoint.share() * 100 / FULL_SHARE,
        "state": endpoint.state().name(),
        "reason": reason(endpoint, checks, now),
        "circuit": member.circuit.as_ref().map(|circuit| self::circuit(&circuit.report(now))),
        "since": checks.map_or(0.0, |checks| checks.since),
        "in_flight": endpoint.in_flight(),
        "requests": counted.requests(),
        "failures": counted.failures.total(),
        "tls": target_of(scene.targets, endpoint).map(|target| json!({
            "handshakes": counted.agreed.iter().sum::<u64>(),
            "resumed": counted.agreed[1],
            "trouble": target.trouble().map(|trouble| trouble.text),
        })),
    })
}

/// Why an endpoint is not healthy, or gets less than its share; empty otherwise, or if its first check is not over.
fn reason(endpoint: &Endpoint, checks: Option<EndpointChecks>, now: Nanos) -> String {
    match (endpoint.admin(), endpoint.health()) {
        (AdminState::Draining | AdminState::Maintenance, _) => "set by the operator".to_owned(),
        (AdminState::Ready, Health::Unhealthy) => {
            let failure = checks.and_then(|checks| checks.reason);
            failure.map(|failure| failure.to_string()).unwrap_or_default()
        }
        (AdminState::Ready, Health::Starting | Health::Healthy) => match endpoint.standing().explain(now) {
            nothing if nothing.is_empty() && endpoint.share() < FULL_SHARE => "slow start".to_owned(),
            told => told,
        },
    }
}

/// As the configuration writes it.
fn balance_name(balance: Balance) -> &'static str {
    match balance {
        Balance::RoundRobin => "round-robin",
        Balance::LeastRequests => "least-requests",
        Balance::Random => "random",
        Balance::TwoChoices => "two-choices",
        Balance::PeakEwma => "peak-ewma",
        Balance::IpHash => "ip-hash",
        Balance::RingHash => "ring-hash",
        Balance::Maglev => "maglev",
    }
}

#[cfg(test)]
mod tests;
