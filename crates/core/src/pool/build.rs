//! From the document's pool to a running one: checked, and with the endpoints it already had.

use super::endpoint::Padded;
use super::level;
use super::{Endpoint, EndpointId, Health, Level, Member, Pool, PoolId};
use crate::circuit::{Circuit, EndpointCircuit};
use crate::concurrency::Concurrency;
use crate::document::{self, Balance, DocumentError, Probe};
use crate::hedge::Hedge;
use crate::ids::Ids;
use crate::retry::Policy;
use crate::route::inside;
use crate::slow_start::{FIRST_SHARE, Ramp};
use rustc_hash::FxHashMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Endpoints in one pool. The largest Maglev table still has a place for each.
pub const MAX_ENDPOINTS: usize = 65_535;

impl Pool {
    /// Builds a pool. `previous` is the running pool of the same name: endpoints at the same address are carried over
    /// with their in-flight counts, health, operator state, operator weight and latency, and so is the epoch.
    ///
    /// A new endpoint is starting if the pool has a health check and healthy if it has none. One that is carried over
    /// keeps its health; see [`Pool::activate`] for a check that was removed.
    ///
    /// Building changes nothing that is running: a document that is refused further on has no effect.
    ///
    /// # Errors
    /// What its endpoints and balancer cannot work with, with a path that is relative to the pool: `endpoints[1].address`.
    pub fn build(
        document: &document::Pool,
        previous: Option<&Self>,
        ids: &mut Ids,
    ) -> Result<Self, DocumentError> {
        check(document)?;
        let known: FxHashMap<SocketAddr, &Member> = previous
            .iter()
            .flat_map(|pool| &pool.members)
            .map(|member| (member.endpoint.address(), member))
            .collect();
        let health = if document.health_check.is_some() { Health::Starting } else { Health::Healthy };
        // What joins a pool that runs is cold; when the process starts, everybody is.
        let is_cold = document.slow_start_ms.is_some() && previous.is_some();
        let joining = |endpoint: Endpoint| {
            if is_cold {
                endpoint.set_share(FIRST_SHARE);
                endpoint.standing().ramp = Ramp::Away;
            }
            endpoint
        };
        let members = document.endpoints.iter().map(|endpoint| {
            let id = EndpointId(ids.endpoint(&document.name, endpoint.address));
            // The same number, too: counters go by it, and it would differ if `ids` had not come from `previous`.
            let carried = known.get(&endpoint.address).filter(|known| known.endpoint.id() == id);
            Member {
                endpoint: carried.map_or_else(
                    || Arc::new(joining(Endpoint::new(id, endpoint.address, health))),
                    |known| Arc::clone(&known.endpoint),
                ),
                weight: endpoint.weight,
                backup: endpoint.backup,
                max_connections: endpoint.max_connections.unwrap_or(u32::MAX),
                zone: endpoint.zone.as_deref().map(Into::into),
                level: Level { is_backup: endpoint.backup, priority: endpoint.priority, is_remote: false },
                circuit: endpoint_circuit(document, carried.copied()),
            }
        });
        Ok(Self {
            members: members.collect(),
            id: PoolId(ids.pool(&document.name)),
            name: document.name.as_str().into(),
            balance: document.balance,
            hash_key: document.hash_key.clone(),
            hash_bound_percent: document.hash_bound_percent,
            outlier_detection: document.outlier_detection.clone(),
            circuit: circuit(document, previous),
            endpoint_circuit: document.endpoint_circuit_breaker.clone(),
            concurrency: document
                .adaptive_concurrency
                .as_ref()
                .map(|policy| Concurrency::new(policy, previous.and_then(|pool| pool.concurrency.as_ref()))),
            slow_start: document.slow_start_ms.map(|window| window.saturating_mul(1_000_000)),
            panic_threshold_percent: document.panic_threshold_percent,
            overprovisioning_percent: document.overprovisioning_percent,
            timeouts: document.timeouts.clone(),
            keepalive: document.keepalive.clone(),
            retry: Policy::build(&document.retry).map_err(inside("retry"))?,
            retry_budget: document.retry_budget.clone(),
            hedge: hedge(document)?,
            queue: document.queue.clone(),
            waiting: previous.map_or_else(Arc::default, |pool| Arc::clone(&pool.waiting)),
            health_check: document.health_check.clone(),
            proxy_protocol: document.proxy_protocol,
            source_address: document.source_address,
            http2: document.http2.clone(),
            epoch: previous.map_or_else(|| Arc::new(Padded::default()), |pool| Arc::clone(&pool.epoch)),
        })
    }

    /// The pool as a node in `zone` sees it: endpoints of other zones are remote. One without a zone is remote to nobody.
    #[must_use]
    pub fn seen_from(mut self, zone: Option<&str>) -> Self {
        for member in &mut self.members {
            member.level.is_remote =
                zone.is_some() && member.zone.is_some() && member.zone.as_deref() != zone;
        }
        self
    }

    /// To be called once, when the snapshot with this pool has become the running one: without a health check every
    /// endpoint is healthy, also one that an earlier check had found otherwise.
    ///
    /// Apart from [`Pool::build`], because the endpoints are shared with the snapshot that runs until then.
    pub fn activate(&self) {
        if self.health_check.is_some() {
            return;
        }
        let unsettled = self.members.iter().filter(|member| member.endpoint.health() != Health::Healthy);
        if unsettled.map(|member| member.endpoint.set_health(Health::Healthy)).count() > 0 {
            self.changed();
        }
    }
}

/// Below 100 % a level that is all healthy would give traffic away; above 100 times the factor changes nothing any more.
const OVERPROVISIONING: RangeInclusive<u32> = 100..=10_000;

fn check(pool: &document::Pool) -> Result<(), DocumentError> {
    check_endpoints(&pool.endpoints)?;
    level::check(&pool.endpoints)?;
    check_hash(pool)?;
    if pool.panic_threshold_percent > 100 {
        return Err(DocumentError::new("panic_threshold_percent", "must be between 0 and 100"));
    }
    if pool.retry_budget.percent > 100 {
        return Err(DocumentError::new("retry_budget.percent", "must be between 0 and 100"));
    }
    pool.outlier_detection.as_ref().map_or(Ok(()), check_outlier_detection)?;
    pool.circuit_breaker
        .as_ref()
        .map_or(Ok(()), |policy| check_circuit_breaker(policy).map_err(inside("circuit_breaker")))?;
    pool.endpoint_circuit_breaker.as_ref().map_or(Ok(()), |policy| {
        check_endpoint_circuit_breaker(policy).map_err(inside("endpoint_circuit_breaker"))
    })?;
    pool.adaptive_concurrency
        .as_ref()
        .map_or(Ok(()), |policy| Concurrency::check(policy).map_err(inside("adaptive_concurrency")))?;
    if !OVERPROVISIONING.contains(&pool.overprovisioning_percent) {
        let (low, high) = OVERPROVISIONING.into_inner();
        return Err(DocumentError::new("overprovisioning_percent", format!("must be from {low} to {high}")));
    }
    pool.health_check.as_ref().map_or(Ok(()), check_health_check)
}

fn circuit(document: &document::Pool, previous: Option<&Pool>) -> Option<Circuit> {
    let policy = document.circuit_breaker.clone()?;
    Some(Circuit::new(policy, previous.and_then(|pool| pool.circuit.as_ref())))
}

fn endpoint_circuit(document: &document::Pool, previous: Option<&Member>) -> Option<EndpointCircuit> {
    let policy = document.endpoint_circuit_breaker.as_ref()?;
    Some(EndpointCircuit::new(policy, previous.and_then(|member| member.circuit.as_ref())))
}

fn hedge(pool: &document::Pool) -> Result<Option<Hedge>, DocumentError> {
    let Some(hedge) = &pool.hedge else { return Ok(None) };
    if pool.retry.attempts < 2 {
        return Err(DocumentError::new(
            "hedge",
            "the second try is one of the attempts, and there is only one",
        ));
    }
    Ok(Some(Hedge::build(hedge).map_err(inside("hedge"))?))
}

fn check_endpoints(endpoints: &[document::Endpoint]) -> Result<(), DocumentError> {
    if endpoints.len() > MAX_ENDPOINTS {
        return Err(DocumentError::new("endpoints", format!("must be at most {MAX_ENDPOINTS}")));
    }
    let mut first = FxHashMap::default();
    for (index, endpoint) in endpoints.iter().enumerate() {
        let refuse = |message| Err(DocumentError::new(format!("endpoints[{index}].address"), message));
        if endpoint.address.port() == 0 {
            return refuse("port 0 cannot be connected to".to_owned());
        }
        if endpoint.max_connections == Some(0) {
            return Err(DocumentError::new(
                format!("endpoints[{index}].max_connections"),
                "must be at least 1; a weight of 0 keeps an endpoint without traffic",
            ));
        }
        if let Some(earlier) = first.insert(endpoint.address, index) {
            return refuse(format!("{} is endpoints[{earlier}] already", endpoint.address));
        }
    }
    Ok(())
}

fn check_hash(pool: &document::Pool) -> Result<(), DocumentError> {
    let takes_key = matches!(pool.balance, Balance::RingHash | Balance::Maglev);
    match &pool.hash_key {
        None if takes_key => {
            return Err(DocumentError::new("hash_key", "must be set for ring-hash and maglev"));
        }
        Some(_) if !takes_key => {
            return Err(DocumentError::new("hash_key", "must be null unless balance is ring-hash or maglev"));
        }
        _ => {}
    }
    match pool.hash_bound_percent {
        Some(_) if !takes_key && pool.balance != Balance::IpHash => {
            Err(DocumentError::new("hash_bound_percent", "must be null unless balance is one of the hashes"))
        }
        // At 100 % every endpoint would have to hold exactly the mean, and a key would find its place by chance.
        Some(percent) if percent <= 100 => {
            Err(DocumentError::new("hash_bound_percent", "must be more than 100"))
        }
        _ => Ok(()),
    }
}

fn check_outlier_detection(policy: &document::OutlierDetection) -> Result<(), DocumentError> {
    let refuse =
        |field: &str, message: &str| Err(DocumentError::new(format!("outlier_detection.{field}"), message));
    if policy.interval_ms == 0 {
        return refuse("interval_ms", "must be at least 1");
    }
    if policy.max_ejection_time_ms < policy.base_ejection_time_ms {
        return refuse("max_ejection_time_ms", "must be at least base_ejection_time_ms");
    }
    if policy.max_ejection_percent > 100 {
        return refuse("max_ejection_percent", "must be between 0 and 100");
    }
    Ok(())
}

fn check_circuit_breaker(policy: &document::CircuitBreaker) -> Result<(), DocumentError> {
    let refuse = |field: &str, message: &str| Err(DocumentError::new(field, message));
    if policy.failure_rate_percent > 100 {
        return refuse("failure_rate_percent", "must be between 0 and 100");
    }
    let times = [("window_ms", policy.window_ms), ("base_open_time_ms", policy.base_open_time_ms)];
    if let Some((field, _)) = times.into_iter().find(|(_, time)| *time == 0) {
        return refuse(field, "must be at least 1");
    }
    if policy.max_open_time_ms < policy.base_open_time_ms {
        return refuse("max_open_time_ms", "must be at least base_open_time_ms");
    }
    let counts = [
        ("minimum_requests", policy.minimum_requests),
        ("half_open_requests", u32::from(policy.half_open_requests)),
        ("max_requests", policy.max_requests.unwrap_or(1)),
    ];
    match counts.into_iter().find(|(_, count)| *count == 0) {
        Some((field, _)) => refuse(field, "must be at least 1"),
        None => Ok(()),
    }
}

fn check_endpoint_circuit_breaker(policy: &document::EndpointCircuitBreaker) -> Result<(), DocumentError> {
    check_circuit_breaker(&policy.circuit())?;
    let counts = [("max_requests", policy.max_requests), ("max_pending", policy.max_pending)];
    match counts.into_iter().find(|(_, count)| *count == Some(0)) {
        Some((field, _)) => Err(DocumentError::new(field, "must be at least 1")),
        None if policy.max_open_percent > 100 => {
            Err(DocumentError::new("max_open_percent", "must be between 0 and 100"))
        }
        None => Ok(()),
    }
}

fn check_health_check(check: &document::HealthCheck) -> Result<(), DocumentError> {
    let refuse =
        |field: &str, message: &str| Err(DocumentError::new(format!("health_check.{field}"), message));
    let counts = [("unhealthy_after", check.unhealthy_after), ("healthy_after", check.healthy_after)];
    if let Some((field, _)) = counts.into_iter().find(|(_, value)| *value == 0) {
        return refuse(field, "must be at least 1");
    }
    if check.jitter_percent > 50 {
        return refuse("jitter_percent", "must be between 0 and 50");
    }
    if check.port == Some(0) {
        return refuse("port", "port 0 cannot be connected to");
    }
    let Probe::Http { expected_status, .. } = &check.probe else { return Ok(()) };
    if expected_status.is_empty() {
        return refuse("probe.expected_status", "must hold at least one range");
    }
    match expected_status.iter().position(|range| range.first > range.last) {
        Some(index) => refuse(&format!("probe.expected_status[{index}]"), "ends before it begins"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
