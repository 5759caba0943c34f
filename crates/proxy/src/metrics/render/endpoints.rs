//! Metrics of endpoints.

use crate::metrics::counts::EndpointStats;
use crate::metrics::exposition::{Exposition, Kind};
use crate::metrics::{Scene, WorkerStats};
use crate::service::EndpointChecks;
use crate::tls::target_of;
use evenly_core::circuit::Phase;
use evenly_core::outlier::{FULL_SHARE, Reason};
use evenly_core::pool::{Endpoint, EndpointState, Member};

/// An endpoint with all that is known of it.
#[derive(Clone)]
struct Row<'a> {
    pool: &'a str,
    address: String,
    member: &'a Member,
    stats: &'a EndpointStats,
    checks: Option<EndpointChecks>,
}

impl Row<'_> {
    fn endpoint(&self) -> &Endpoint {
        &self.member.endpoint
    }

    fn labels(&self) -> [(&str, &str); 2] {
        [("pool", self.pool), ("endpoint", &self.address)]
    }

    fn labels_and<'b>(&'b self, name: &'b str, value: &'b str) -> [(&'b str, &'b str); 3] {
        let [pool, endpoint] = self.labels();
        [pool, endpoint, (name, value)]
    }
}

/// All families with an endpoint for a label.
pub(super) fn endpoints(to: &mut Exposition<'_>, scene: &Scene<'_>, stats: &WorkerStats) {
    let none = EndpointStats::default();
    let checks = scene.service.map(|service| service.checks().all()).unwrap_or_default();
    let mut rows = Vec::new();
    for pool in &scene.snapshot.pools {
        rows.extend(pool.members.iter().map(|member| {
            let number = member.endpoint.id().0;
            Row {
                pool: &pool.name,
                address: member.endpoint.address().to_string(),
                member,
                stats: stats.endpoints.get(number).unwrap_or(&none),
                checks: checks.get(number as usize).copied().flatten(),
            }
        }));
    }
    endpoint_states(to, &rows);
    let is_judged =
        |row: &Row<'_>| scene.snapshot.pools.iter().any(|pool| *pool.name == *row.pool && pool.is_judged());
    let judged: Vec<Row<'_>> = rows.iter().filter(|row| is_judged(row)).cloned().collect();
    endpoint_judgements(to, &judged);
    endpoint_circuits(to, &rows);
    endpoint_traffic(to, &rows);
    let is_secured = |row: &Row<'_>| target_of(scene.targets, row.endpoint()).is_some();
    let secured: Vec<Row<'_>> = rows.iter().filter(|row| is_secured(row)).cloned().collect();
    endpoint_handshakes(to, &secured);
    let chooses =
        |row: &Row<'_>| scene.snapshot.pools.iter().any(|pool| *pool.name == *row.pool && pool.negotiates());
    let choosing: Vec<Row<'_>> = rows.iter().filter(|row| chooses(row)).cloned().collect();
    endpoint_choices(to, &choosing);
    endpoint_checks(to, &rows);
}

fn endpoint_states(to: &mut Exposition<'_>, rows: &[Row<'_>]) {
    to.family(
        "evenly_endpoint_up",
        Kind::Gauge,
        "1 if the endpoint is healthy and the operator leaves it in.",
    );
    for row in rows {
        to.sample(&row.labels(), u8::from(row.endpoint().state() == EndpointState::Healthy));
    }
    to.family("evenly_endpoint_state", Kind::Gauge, "1 for the state that the endpoint is in.");
    for row in rows {
        to.sample(&row.labels_and("state", row.endpoint().state().name()), 1);
    }
    to.family(
        "evenly_endpoint_weight",
        Kind::Gauge,
        "The weight that counts: the operator's, else the configuration's.",
    );
    for row in rows {
        to.sample(&row.labels(), row.member.effective_weight());
    }
    to.family("evenly_endpoint_in_flight", Kind::Gauge, "Requests (tcp: connections) under way.");
    for row in rows {
        to.sample(&row.labels(), row.endpoint().in_flight());
    }
}

/// Of pools that judge by traffic.
fn endpoint_judgements(to: &mut Exposition<'_>, rows: &[Row<'_>]) {
    to.family(
        "evenly_endpoint_share",
        Kind::Gauge,
        "Share of its weight that the endpoint gets: less than 1 in slow start, in probation and while it is slow.",
    );
    for row in rows {
        to.sample(&row.labels(), f64::from(row.endpoint().share()) / f64::from(FULL_SHARE));
    }
    to.family("evenly_endpoint_ejections_total", Kind::Counter, "Ejections by live traffic, by reason.");
    for row in rows {
        let ejections = row.endpoint().standing().ejections;
        for (reason, count) in Reason::NAMES.into_iter().zip(ejections).filter(|(_, count)| *count > 0) {
            to.sample(&row.labels_and("reason", reason), count);
        }
    }
    to.family(
        "evenly_endpoint_ejections_spared_total",
        Kind::Counter,
        "Ejections that did not happen because too many endpoints were ejected, or no other was left.",
    );
    for row in rows {
        to.sample(&row.labels(), row.endpoint().standing().spared);
    }
}

/// Of pools whose endpoints have circuit breakers.
fn endpoint_circuits(to: &mut Exposition<'_>, rows: &[Row<'_>]) {
    let all = || rows.iter().filter_map(|row| Some((row, row.member.circuit.as_ref()?)));
    to.family(
        "evenly_endpoint_circuit_state",
        Kind::Gauge,
        "1 for the state that the endpoint's circuit is in.",
    );
    for (row, circuit) in all() {
        for phase in Phase::ALL {
            to.sample(&row.labels_and("state", phase.name()), u8::from(phase == circuit.phase()));
        }
    }
    to.family(
        "evenly_endpoint_circuit_transitions_total",
        Kind::Counter,
        "Times that the endpoint's circuit came into a state.",
    );
    for (row, circuit) in all() {
        for (phase, count) in Phase::ALL.into_iter().zip(circuit.transitions()) {
            to.sample(&row.labels_and("state", phase.name()), count);
        }
    }
    to.family(
        "evenly_endpoint_circuit_rejected_total",
        Kind::Counter,
        "Times that the endpoint was to be picked and its circuit breaker kept the request away: half-open with all its \
         probes under way, or at max_requests or max_pending.",
    );
    for (row, circuit) in all() {
        to.sample(&row.labels(), circuit.rejected());
    }
}

fn endpoint_traffic(to: &mut Exposition<'_>, rows: &[Row<'_>]) {
    to.family(
        "evenly_endpoint_requests_total",
        Kind::Counter,
        "Requests by the class of their status; tcp connections have none.",
    );
    for row in rows {
        for (class, count) in ["", "1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(row.stats.requests) {
            if count > 0 {
                to.sample(&row.labels_and("code", class), count);
            }
        }
    }
    to.family(
        "evenly_endpoint_failures_total",
        Kind::Counter,
        "Attempts that failed, also when another endpoint then answered, by reason.",
    );
    for row in rows {
        for (failure, count) in row.stats.failures.iter() {
            to.sample(&row.labels_and("reason", failure.reason()), count);
        }
    }
    to.family(
        "evenly_upstream_connections_total",
        Kind::Counter,
        "Connections taken for requests: made (reused=false) or idle ones (reused=true).",
    );
    for row in rows {
        to.sample(&row.labels_and("reused", "false"), row.stats.opened);
        to.sample(&row.labels_and("reused", "true"), row.stats.reused);
    }
}

/// Of pools that speak TLS.
fn endpoint_handshakes(to: &mut Exposition<'_>, rows: &[Row<'_>]) {
    to.family(
        "evenly_upstream_tls_handshakes_total",
        Kind::Counter,
        "TLS handshakes with the endpoint that ended well, and whether they resumed a session; \
         evenly_endpoint_failures_total has those that failed (upstream-tls-failed, upstream-certificate-bad).",
    );
    for row in rows {
        for (resumed, count) in ["false", "true"].into_iter().zip(row.stats.agreed) {
            to.sample(&row.labels_and("resumed", resumed), count);
        }
    }
}

/// Of pools whose endpoints choose between HTTP/1.1 and HTTP/2.
fn endpoint_choices(to: &mut Exposition<'_>, rows: &[Row<'_>]) {
    to.family(
        "evenly_upstream_negotiated_connections_total",
        Kind::Counter,
        "Connections made for requests, by the protocol that the endpoint has chosen (ALPN).",
    );
    for row in rows {
        to.sample(&row.labels_and("protocol", "h2"), row.stats.shared);
        to.sample(&row.labels_and("protocol", "http/1.1"), row.stats.opened.saturating_sub(row.stats.shared));
    }
}

fn endpoint_checks(to: &mut Exposition<'_>, rows: &[Row<'_>]) {
    to.family("evenly_endpoint_health_checks_total", Kind::Counter, "Health checks that ended, by result.");
    for (row, checks) in rows.iter().filter_map(|row| Some((row, row.checks?))) {
        to.sample(&row.labels_and("result", "passed"), checks.passed);
        to.sample(&row.labels_and("result", "failed"), checks.failed);
    }
    to.family(
        "evenly_endpoint_health_check_duration_seconds",
        Kind::Gauge,
        "How long the last health check took.",
    );
    for (row, checks) in rows.iter().filter_map(|row| Some((row, row.checks?))) {
        if let Some(last) = checks.last {
            to.sample(&row.labels(), last.took.as_secs_f64());
        }
    }
    to.family("evenly_endpoint_transitions_total", Kind::Counter, "Changes of health.");
    for (row, checks) in rows.iter().filter_map(|row| Some((row, row.checks?))) {
        to.sample(&row.labels(), checks.transitions);
    }
}
