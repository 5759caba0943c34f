//! An endpoint's circuit breaker: a [`Circuit`] as a pool's, and how many requests may wait for a connection.
//!
//! Not a word of it is about health: an endpoint whose circuit is open is well as far as its checks go.

use super::{Circuit, Permit, Phase, Report, Room};
use crate::document::EndpointCircuitBreaker;
use crate::pool::{Nanos, Padded};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The circuit breaker of one member of a pool.
#[derive(Debug, Clone)]
pub struct EndpointCircuit {
    circuit: Circuit,
    max_requests: Option<u32>,
    max_pending: Option<u32>,
    shared: Arc<Shared>,
}

/// What is carried over reloads beside the circuit.
#[derive(Debug, Default)]
struct Shared {
    /// Written by every request of a pool with `max_pending`.
    pending: Arc<Padded<AtomicU32>>,
    /// Written when a request is not let in.
    rejected: Padded<AtomicU64>,
}

impl EndpointCircuit {
    /// The circuit of an endpoint; `previous` is the one that it had.
    pub fn new(policy: &EndpointCircuitBreaker, previous: Option<&Self>) -> Self {
        Self {
            circuit: Circuit::new(policy.circuit(), previous.map(|previous| &previous.circuit)),
            max_requests: policy.max_requests,
            max_pending: policy.max_pending,
            shared: previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.shared)),
        }
    }

    /// Where it is.
    #[inline]
    pub fn phase(&self) -> Phase {
        self.circuit.phase()
    }

    /// How it stands.
    pub fn report(&self, now: Nanos) -> Report {
        self.circuit.report(now)
    }

    /// How often it came into each of [`Phase::ALL`].
    pub fn transitions(&self) -> [u64; Phase::ALL.len()] {
        self.circuit.breaker().transitions()
    }

    /// How often it was to be picked and did not let the request in: half-open, with all its probes under way, or at a
    /// limit. What is open is not to be picked.
    pub fn rejected(&self) -> u64 {
        self.shared.rejected.0.load(Ordering::Relaxed)
    }

    /// Lets a request in, or not; see [`Circuit::enter`].
    #[inline]
    pub(crate) fn enter(&self) -> Option<Permit> {
        self.circuit.enter()
    }

    /// Whether [`EndpointCircuit::enter`] would let nobody in now.
    pub(crate) fn refuses(&self) -> bool {
        self.circuit.refuses()
    }

    /// How a request ended that [`EndpointCircuit::enter`] has let in.
    #[inline]
    pub(crate) fn leave(&self, permit: Permit, is_success: bool) {
        permit.tell(&self.circuit, is_success);
    }

    /// A request was not let in.
    #[cold]
    pub(crate) fn reject(&self) {
        self.shared.rejected.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that it gets at once, where so many connections are allowed: the lesser holds.
    pub(crate) fn at_most(&self, max_connections: u32) -> u32 {
        self.max_requests.map_or(max_connections, |most| most.min(max_connections))
    }

    /// Whether so many are what it allows, and not `max_connections`.
    pub(crate) fn limits_at(&self, most: u32) -> bool {
        self.max_requests == Some(most)
    }

    /// The room for requests that wait for a connection, if it is limited.
    pub(crate) fn waiting_room(&self) -> Option<Room> {
        self.max_pending.map(|most| Room::new(Arc::clone(&self.shared.pending), most))
    }

    /// The circuit, for who decides about those of all endpoints.
    pub(crate) fn circuit(&self) -> &Circuit {
        &self.circuit
    }
}
