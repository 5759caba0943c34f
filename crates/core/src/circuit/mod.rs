//! Circuit breakers: a pool that fails most of its requests is spared all of them for a while, and a pool never gets more
//! requests at once than it may. The same for each of its endpoints.
//!
//! ```text
//!            failure rate over the threshold             its time is over
//!   closed ──────────────────────────────────> open ──────────────────────> half-open
//!     ^                                          ^                              │ │
//!     │                                          └────── a probe failed ────────┘ │
//!     └─────────────────────────── all probes succeeded ──────────────────────────┘
//! ```
//!
//! * [`Breaker`] decides: plain state, `now` comes in. The service thread sweeps it ten times a second.
//! * `gate.rs` is what requests see of it: one word that they read, and write to only as probes.
//! * `window.rs` is the memory of the last requests; `room.rs` counts those under way.
//! * [`Circuit`] puts them together for one pool or one endpoint, and is carried over reloads.
//! * [`EndpointCircuit`] is that of an endpoint, with its limits; how many of a pool's may be open, the pool decides.
//!
//! A pool's circuit is about the whole pool: a request counts by what its client got, and not by each try. At an endpoint
//! each try counts, also one that a retry made good. The words are those of resilience4j.

mod breaker;
mod endpoint;
mod gate;
mod room;
mod window;

pub use breaker::{Breaker, Phase, Transition};
pub use endpoint::EndpointCircuit;
pub use gate::Trial;
pub(crate) use room::Room;
pub use window::Reading;

use crate::document::CircuitBreaker;
use crate::pool::{Nanos, Padded};
use gate::{Entry, Gate};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A pool's or an endpoint's circuit breaker: its settings, which are the snapshot's, and its state, which all threads and
/// snapshots share.
#[derive(Debug, Clone)]
pub struct Circuit {
    policy: CircuitBreaker,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Read by every request; written on transitions, and by probes.
    gate: Padded<Gate>,
    /// Written by every request.
    counts: Padded<Counts>,
    /// Written by every request of a pool with `max_requests`.
    under_way: Arc<Padded<AtomicU32>>,
    /// Nobody on the packet path takes the lock.
    breaker: Mutex<Breaker>,
}

#[derive(Debug, Default)]
struct Counts {
    ended: AtomicU32,
    failed: AtomicU32,
}

/// The right of one request to go to the pool, or the endpoint. Its outcome is told by [`Permit::tell`]; dropped without, it
/// says nothing, and a probe's place is free again.
#[derive(Debug, Default)]
pub struct Permit {
    shared: Option<Arc<Shared>>,
    generation: u16,
    verdict: Option<bool>,
}

/// How a circuit stands, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Where it is.
    pub phase: Phase,
    /// Why it is there; empty while it is closed.
    pub reason: String,
    /// Until it is half-open; zero unless it is open.
    pub left: Nanos,
    /// Requests of the window.
    pub reading: Reading,
    /// Requests under way, where they are limited.
    pub under_way: Option<u32>,
    /// How many may be.
    pub max_requests: Option<u32>,
    /// How often it came into each of [`Phase::ALL`].
    pub transitions: [u64; Phase::ALL.len()],
}

impl Circuit {
    /// The circuit of a pool; `previous` is the one that it had.
    pub fn new(policy: CircuitBreaker, previous: Option<&Self>) -> Self {
        let shared = previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.shared));
        Self { policy, shared }
    }

    /// Lets a request in, or not. One read of a line that nobody writes to while the circuit is closed.
    #[inline]
    pub fn enter(&self) -> Option<Permit> {
        if self.policy.failure_rate_percent == 0 {
            return Some(Permit { shared: None, generation: 0, verdict: None });
        }
        let permit = match self.shared.gate.0.enter()? {
            Entry::Counted(generation) => Permit { shared: None, generation, verdict: None },
            Entry::Probe(generation) => {
                Permit { shared: Some(Arc::clone(&self.shared)), generation, verdict: None }
            }
        };
        Some(permit)
    }

    /// Whether [`Circuit::enter`] would let nobody in now.
    #[inline]
    pub fn refuses(&self) -> bool {
        self.policy.failure_rate_percent > 0 && self.shared.gate.0.refuses()
    }

    /// Whole seconds after which a request may be let in, at least 1: for `Retry-After`.
    pub fn retry_after(&self, now: Nanos) -> u32 {
        let left = self.shared.gate.0.until().saturating_sub(now);
        u32::try_from(left.div_ceil(1_000_000_000)).unwrap_or(u32::MAX).max(1)
    }

    /// Where it is, as requests see it.
    #[inline]
    pub fn phase(&self) -> Phase {
        if self.policy.failure_rate_percent == 0 { Phase::Closed } else { self.shared.gate.0.phase() }
    }

    /// Takes into account what happened since the last time; what changed thereby. Ten times a second, by one thread.
    pub fn sweep(&self, now: Nanos) -> Option<Transition> {
        self.sweep_within(true, now)
    }

    /// The same; a closed one stays so, whatever it has counted, unless it `may_open`.
    pub(crate) fn sweep_within(&self, may_open: bool, now: Nanos) -> Option<Transition> {
        let Shared { gate, counts, .. } = &*self.shared;
        let reading = Reading {
            ended: counts.0.ended.swap(0, Ordering::Relaxed),
            failed: counts.0.failed.swap(0, Ordering::Relaxed),
        };
        let mut breaker = self.breaker();
        if !may_open && breaker.phase() == Phase::Closed {
            breaker.count(reading, &self.policy, now);
            return None;
        }
        let transition = breaker.sweep(reading, gate.0.trial(), &self.policy, now)?;
        gate.0.set(transition.to, breaker.probes(), breaker.until());
        Some(transition)
    }

    /// Closes it before its time.
    pub(crate) fn close(&self, reason: &str) -> Transition {
        let transition = self.breaker().close(reason.to_owned());
        self.shared.gate.0.set(transition.to, 0, 0);
        transition
    }

    /// How it stands.
    pub fn report(&self, now: Nanos) -> Report {
        let breaker = self.breaker();
        Report {
            phase: breaker.phase(),
            reason: breaker.reason().to_owned(),
            left: breaker.until().saturating_sub(now),
            reading: breaker.reading(now),
            under_way: self.policy.max_requests.map(|_| self.shared.under_way.0.load(Ordering::Relaxed)),
            max_requests: self.policy.max_requests,
            transitions: breaker.transitions(),
        }
    }

    /// The room for requests, if it is limited.
    pub(crate) fn room(&self) -> Option<Room> {
        self.policy.max_requests.map(|most| Room::new(Arc::clone(&self.shared.under_way), most))
    }

    /// Whether there is none left.
    pub(crate) fn is_full(&self) -> bool {
        let under_way = self.shared.under_way.0.load(Ordering::Relaxed);
        self.policy.max_requests.is_some_and(|most| under_way >= most)
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        // A breaker is changed by whole stores, so a panic of the lock's holder leaves it usable.
        self.shared.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// How the request ended that `circuit` has let in.
    #[inline]
    pub fn tell(mut self, circuit: &Circuit, is_success: bool) {
        if self.shared.is_some() {
            self.verdict = Some(is_success);
            return;
        }
        let Shared { gate, counts, .. } = &*circuit.shared;
        // What was let in before the circuit opened says nothing of the pool after it has closed again.
        if !gate.0.is_closed_since(self.generation) {
            return;
        }
        counts.0.ended.fetch_add(1, Ordering::Relaxed);
        if !is_success {
            counts.0.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether it is one of those by which a half-open circuit is tried.
    pub fn is_probe(&self) -> bool {
        self.shared.is_some()
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.gate.0.ended(self.generation, self.verdict);
        }
    }
}

#[cfg(test)]
mod tests;
