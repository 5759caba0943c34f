//! A pool: interchangeable endpoints, and which of them gets the next request.
//!
//! ```text
//! document::Pool ── build ──> Pool ── candidates ──> the tier that gets traffic now ── balancer ──> Lease
//!                              │ members: Arc<Endpoint> + weight + backup                (picker)
//!                              └ epoch: moves when an endpoint's state or weight does
//! ```
//!
//! * [`Endpoint`] is shared by all threads and carried over reloads: in-flight count, state, latency.
//! * [`Pool`] belongs to a snapshot and never changes; its [`Pool::epoch`] tells when the endpoints did.
//! * [`candidates`] decides which members get traffic at all.
//! * `circuits.rs` decides how many endpoints' circuits may be open at once.
//! * [`level`] decides how it is shared between levels of priority and zone.
//! * [`Picker`] belongs to one worker: it keeps the candidates and the balancer's state, and hands out [`Lease`]s.
//! * [`hash`] is the hash that keys and addresses go through.

mod build;
pub mod candidates;
mod circuits;
mod endpoint;
mod evacuation;
pub mod hash;
mod latency;
mod lease;
pub mod level;
mod picker;
mod resident;

pub use build::MAX_ENDPOINTS;
pub use candidates::{NoEndpoint, Tier};
pub(crate) use endpoint::Padded;
pub use endpoint::{AdminState, Endpoint, EndpointId, EndpointState, Health};
pub use evacuation::Evacuations;
#[cfg(test)]
pub(crate) use lease::Leasable;
pub use lease::Lease;
pub use level::{Level, LevelShare};
pub use picker::Picker;
pub use resident::Resident;

use crate::circuit::{Circuit, EndpointCircuit, Permit, Phase};
use crate::concurrency::Concurrency;
use crate::document;
use crate::hedge::Hedge;
use crate::outlier::Outcome;
use crate::proxy_protocol::Version;
use crate::queue::Queue;
use crate::retry::Policy;
use crate::slow_start;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A moment: nanoseconds of a monotonic clock. Where it starts does not matter, as long as it is one for all threads.
pub type Nanos = u64;

/// A pool's number; see [`crate::ids::Ids`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolId(pub u32);

/// Interchangeable endpoints, how one is picked and how their health is judged. Part of a snapshot.
#[derive(Debug)]
pub struct Pool {
    /// Its number.
    pub id: PoolId,
    /// The user's name for it.
    pub name: Box<str>,
    /// Its endpoints, in the document's order.
    pub members: Vec<Member>,
    /// The algorithm.
    pub balance: document::Balance,
    /// What the hash balancers hash; set exactly for ring-hash and maglev (ip-hash takes the client's address).
    pub hash_key: Option<document::HashKey>,
    /// Bounded load for the hash balancers, as a share of the mean load; see [`crate::balancer::LoadBound`].
    pub hash_bound_percent: Option<u32>,
    /// How it judges its endpoints by live traffic, if it does.
    pub outlier_detection: Option<document::OutlierDetection>,
    /// What spares it requests while too many fail, and limits those under way, if anything does.
    pub circuit: Option<Circuit>,
    /// The same for each of its endpoints, whose members have their circuits.
    pub endpoint_circuit: Option<document::EndpointCircuitBreaker>,
    /// How many requests it can take at once, where that is found out.
    pub concurrency: Option<Concurrency>,
    /// For how long a share grows once an endpoint begins to serve.
    pub slow_start: Option<Nanos>,
    /// Below this share of healthy endpoints all that are not in maintenance get traffic; 0 turns it off.
    pub panic_threshold_percent: u8,
    /// How much of its share a level takes while part of it is out; see [`level::shares`].
    pub overprovisioning_percent: u32,
    /// Deadlines towards the endpoints.
    pub timeouts: document::PoolTimeouts,
    /// Idle connections kept for reuse.
    pub keepalive: document::KeepAlive,
    /// When a request is tried again, unless its route says otherwise.
    pub retry: Policy,
    /// How many requests may be.
    pub retry_budget: document::RetryBudget,
    /// When a request gets a second try beside the first, if ever.
    pub hedge: Option<Hedge>,
    /// Where requests wait when every endpoint is full.
    pub queue: Option<document::Queue>,
    /// Who waits in it, also under the configuration before.
    pub waiting: Arc<Queue>,
    /// Active checks, if any.
    pub health_check: Option<document::HealthCheck>,
    /// The header in front of each connection or datagram, if any.
    pub proxy_protocol: Option<Version>,
    /// Whose address its endpoints see, if it is not the node's own.
    pub source_address: Option<document::SourceAddress>,
    /// How its endpoints are spoken to by HTTP/2, if they are.
    pub http2: Option<document::Http2>,
    /// Carried over reloads, so that pickers of an older snapshot see changes too. On its own cache lines: every pick
    /// reads it.
    epoch: Arc<Padded<AtomicU64>>,
}

/// An endpoint as a member of a pool.
#[derive(Debug, Clone)]
pub struct Member {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its weight in the document. What counts is [`Member::effective_weight`].
    pub weight: u16,
    /// Whether it gets traffic only when no other can.
    pub backup: bool,
    /// Leases that may be held on it at once; `u32::MAX` for no limit.
    pub max_connections: u32,
    /// The failure domain that it is in.
    pub zone: Option<Box<str>>,
    /// Whom it is asked before and after.
    pub level: Level,
    /// What spares it requests while too many fail, and limits those under way, if anything does.
    pub circuit: Option<EndpointCircuit>,
}

/// How many endpoints are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the type's line says it")]
pub struct HealthSummary {
    pub starting: usize,
    pub healthy: usize,
    pub unhealthy: usize,
    pub ejected: usize,
    pub draining: usize,
    pub maintenance: usize,
}

impl Member {
    /// The operator's weight if there is one, otherwise the document's.
    pub fn effective_weight(&self) -> u16 {
        self.endpoint.weight_override().unwrap_or(self.weight)
    }

    /// Where its circuit is; closed if it has none.
    pub fn phase(&self) -> Phase {
        self.circuit.as_ref().map_or(Phase::Closed, EndpointCircuit::phase)
    }
}

impl Pool {
    /// A number that moves whenever something changed that decides which endpoints get traffic.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch.0.load(Ordering::Acquire)
    }

    /// Tells all pickers that an endpoint's health, operator state or weight was set. They see it with their next pick.
    pub fn changed(&self) {
        self.epoch.0.fetch_add(1, Ordering::Release);
    }

    /// Who gets traffic now, as [`Tier::reason`] has it, or why nobody does: of the pool as a whole, where it has levels.
    pub fn serving(&self) -> &'static str {
        let selected = candidates::select(&self.members, self.panic_threshold_percent);
        selected.map_or_else(|none| none.reason(), |selection| selection.tier.reason())
    }

    /// The member that listens at `address`.
    pub fn member(&self, address: SocketAddr) -> Option<&Member> {
        self.members.iter().find(|member| member.endpoint.address() == address)
    }

    /// Whether a [`crate::outlier::Judge`] has work here.
    pub fn is_judged(&self) -> bool {
        self.outlier_detection.is_some() || self.slow_start.is_some()
    }

    /// Whether each endpoint chooses between HTTP/1.1 and HTTP/2.
    pub fn negotiates(&self) -> bool {
        self.http2.as_ref().is_some_and(|http2| http2.negotiated)
    }

    /// What an attempt at one of its endpoints says of the endpoint, which took so long to answer or to be connected to.
    #[inline]
    pub fn observe(&self, lease: &Lease, outcome: Outcome, nanos: u64) {
        lease.tell(outcome == Outcome::Success);
        if let Some(policy) = &self.outlier_detection {
            lease.endpoint().traffic().observe(outcome, nanos, policy);
        }
        if let Some(concurrency) = &self.concurrency
            && outcome == Outcome::Success
        {
            concurrency.observe(nanos);
        }
    }

    /// The same, for the balancer that learns from latency.
    #[inline]
    pub fn observe_latency(
        &self,
        endpoint: &Endpoint,
        outcome: Outcome,
        nanos: u64,
        now: impl FnOnce() -> Nanos,
    ) {
        if self.balance == document::Balance::PeakEwma {
            match outcome {
                Outcome::Success => endpoint.observe_latency(nanos, now()),
                _ => endpoint.observe_failed(nanos, now()),
            }
        }
    }

    /// A try was cancelled after so long, as another one was faster: no failure, but how long it took at least.
    pub fn observe_cancelled(&self, endpoint: &Endpoint, nanos: u64, now: Nanos) {
        if self.outlier_detection.is_some() {
            endpoint.traffic().observe_slow(nanos);
        }
        if let Some(concurrency) = &self.concurrency {
            concurrency.observe(nanos);
        }
        if self.balance == document::Balance::PeakEwma {
            endpoint.observe_latency(nanos, now);
        }
    }

    /// The address that its endpoints see of a client, if it is not the node's own.
    #[inline]
    pub fn source_for(&self, client: IpAddr) -> Option<IpAddr> {
        self.source_address.map(|document::SourceAddress::Client| client.to_canonical())
    }

    /// Lets a request come to *pick*, unless the circuit is open.
    #[inline]
    pub fn enter(&self) -> Option<Permit> {
        self.circuit.as_ref().map_or_else(|| Some(Permit::default()), Circuit::enter)
    }

    /// How a request ended that [`Pool::enter`] has let in.
    #[inline]
    pub fn leave(&self, permit: Permit, is_success: bool) {
        if let Some(circuit) = &self.circuit {
            permit.tell(circuit, is_success);
        }
    }

    /// Whether [`Pool::enter`] would let nobody in now.
    #[inline]
    pub fn refuses(&self) -> bool {
        self.circuit.as_ref().is_some_and(Circuit::refuses)
    }

    /// Why there is no room: the pool's own limit, or the endpoints'.
    fn why_full(&self) -> NoEndpoint {
        if self.circuit.as_ref().is_some_and(Circuit::is_full) {
            NoEndpoint::PoolFull
        } else if self.concurrency.as_ref().is_some_and(Concurrency::is_full) {
            NoEndpoint::PoolLimited
        } else {
            NoEndpoint::AllFull
        }
    }

    /// To be called before an endpoint that did not serve is made healthy: with slow start it begins with little.
    pub fn prepare(&self, endpoint: &Endpoint) {
        if self.slow_start.is_some() && endpoint.state() != EndpointState::Healthy {
            endpoint.set_share(slow_start::FIRST_SHARE);
        }
    }

    /// Counts the endpoints by state.
    pub fn health_summary(&self) -> HealthSummary {
        let mut summary = HealthSummary::default();
        for member in &self.members {
            *match member.endpoint.state() {
                EndpointState::Starting => &mut summary.starting,
                EndpointState::Healthy => &mut summary.healthy,
                EndpointState::Unhealthy => &mut summary.unhealthy,
                EndpointState::Ejected => &mut summary.ejected,
                EndpointState::Draining => &mut summary.draining,
                EndpointState::Maintenance => &mut summary.maintenance,
            } += 1;
        }
        summary
    }
}
