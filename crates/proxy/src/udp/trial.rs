//! What a session finds out about its endpoint, told once to outlier detection and to the circuit breakers.
//!
//! | what happens | outlier detection | circuit breakers, the pool's and the endpoint's |
//! |---|---|---|
//! | the first answer | success, and how long it took | success |
//! | the network says that nobody is there (ICMP) | failure | failure |
//! | no answer within `timeouts.idle`, where `responses` are expected | failure | failure |
//! | no word from anybody within a second, where none are | nothing | success |
//!
//! The last row stands for what a connection that can be made is over TCP. Outlier detection takes no notice of it: a system
//! refuses few of the datagrams that it refuses aloud (Linux: six at once, then one a second to each peer), and the
//! silence about the others would hide that an endpoint has closed its port.

use evenly_core::circuit::Permit;
use evenly_core::error::Failure;
use evenly_core::outlier::Outcome;
use evenly_core::pool::{Lease, Pool};
use std::time::{Duration, Instant};

/// How long the network has to refuse a datagram. It takes one way there and back.
pub const REFUSAL: Duration = Duration::from_secs(1);

/// One session at one endpoint.
pub struct Trial {
    began: Instant,
    permit: Option<Permit>,
    found: Found,
}

enum Found {
    Nothing,
    Answers,
    Failure(Failure),
}

impl Trial {
    /// Begins now, let in by the pool's circuit with `permit`.
    pub fn new(permit: Permit) -> Self {
        Self { began: Instant::now(), permit: Some(permit), found: Found::Nothing }
    }

    /// The endpoint answered. Without `pool` it is only noted: the endpoint is no member any more.
    pub fn answered(&mut self, pool: Option<&Pool>, lease: &Lease) {
        if self.is_answered() {
            return;
        }
        self.found = Found::Answers;
        if let Some(pool) = pool {
            let nanos = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            pool.observe(lease, Outcome::Success, nanos);
            self.leave(pool, true);
        }
    }

    /// The endpoint cannot be reached, or did not answer in time; otherwise as [`Trial::answered`].
    pub fn failed(&mut self, pool: Option<&Pool>, lease: &Lease, failure: Failure) {
        if self.failure().is_some() {
            return;
        }
        self.found = Found::Failure(failure);
        if let Some(pool) = pool {
            pool.observe(lease, Outcome::LocalOriginFailure, 0);
            self.leave(pool, false);
        }
    }

    /// The network had time to refuse, and no answer is expected.
    pub fn not_refused(&mut self, pool: Option<&Pool>, lease: &Lease) {
        if let Some(pool) = pool {
            lease.tell(true);
            self.leave(pool, true);
        }
    }

    /// Whether the endpoint has answered, and nothing else was found since.
    pub fn is_answered(&self) -> bool {
        matches!(self.found, Found::Answers)
    }

    /// Why the session has to leave the endpoint, if it has to.
    pub fn failure(&self) -> Option<Failure> {
        match self.found {
            Found::Failure(failure) => Some(failure),
            Found::Nothing | Found::Answers => None,
        }
    }

    fn leave(&mut self, pool: &Pool, is_success: bool) {
        if let Some(permit) = self.permit.take() {
            pool.leave(permit, is_success);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenly_core::ids::Ids;
    use evenly_core::outlier::Judge;
    use evenly_core::pool::Picker;
    use evenly_core::random::Random;
    use serde_json::{Value, json};
    use std::sync::Arc;

    /// A pool that ejects after two failures in a row and whose circuit counts.
    fn pool() -> Arc<Pool> {
        let mut document: Value =
            serde_json::from_str(include_str!("../../../../tests/golden/config/01-minimal.json")).unwrap();
        let mut pool = document["pools"][0].take();
        let mut other = pool["endpoints"][0].clone();
        other["address"] = json!("10.0.0.2:9000");
        pool["endpoints"].as_array_mut().unwrap().push(other);
        pool["outlier_detection"] = json!({
            "interval_ms": 1000, "consecutive_5xx": 0, "consecutive_gateway_failure": 0,
            "consecutive_local_origin_failure": 2, "success_rate_stdev_factor_percent": 0,
            "success_rate_minimum_hosts": 3, "success_rate_request_volume": 50, "latency_factor_percent": 0,
            "latency_minimum_ms": 20, "base_ejection_time_ms": 30000, "max_ejection_time_ms": 300_000,
            "max_ejection_percent": 50, "probation_ms": 10000,
        });
        pool["circuit_breaker"] = json!({
            "failure_rate_percent": 100, "minimum_requests": 100, "window_ms": 10000, "base_open_time_ms": 1000,
            "max_open_time_ms": 1000, "half_open_requests": 1, "max_requests": null,
        });
        pool["endpoint_circuit_breaker"] = json!({
            "failure_rate_percent": 100, "minimum_requests": 100, "window_ms": 10000, "base_open_time_ms": 1000,
            "max_open_time_ms": 1000, "half_open_requests": 1, "max_requests": null, "max_pending": null,
            "max_open_percent": 50,
        });
        Arc::new(Pool::build(&serde_json::from_value(pool).unwrap(), None, &mut Ids::default()).unwrap())
    }

    /// A lease of its first endpoint.
    fn lease(pool: &Arc<Pool>) -> Lease {
        let mut picker = Picker::new(Arc::clone(pool), Random::new(1));
        let picks = std::iter::repeat_with(|| picker.pick(None, None, 0).unwrap());
        picks.take(2).find(|lease| Arc::ptr_eq(lease.endpoint(), &pool.members[0].endpoint)).unwrap()
    }

    fn begin(pool: &Pool) -> Trial {
        Trial::new(pool.enter().unwrap())
    }

    /// What the circuit heard: sessions that ended, and of these those that failed.
    fn heard(pool: &Pool) -> (u32, u32) {
        let circuit = pool.circuit.as_ref().unwrap();
        circuit.sweep(1);
        let reading = circuit.report(1).reading;
        (reading.ended, reading.failed)
    }

    /// The same of the first endpoint's.
    fn heard_of_endpoint(pool: &Pool) -> (u32, u32) {
        pool.sweep_circuits(1);
        let reading = pool.members[0].circuit.as_ref().unwrap().report(1).reading;
        (reading.ended, reading.failed)
    }

    #[test]
    fn everything_is_told_once() {
        let pool = pool();
        let first = lease(&pool);
        let mut trial = begin(&pool);
        (0..3).for_each(|_| trial.failed(Some(&pool), &first, Failure::ConnectFailed));
        assert_eq!(trial.failure(), Some(Failure::ConnectFailed));
        assert_eq!(heard(&pool), (1, 1));
        assert!(Judge::default().sweep(&pool, 1).is_empty(), "one session is one failure");
        begin(&pool).failed(Some(&pool), &lease(&pool), Failure::ResponseTimeout);
        assert_eq!(Judge::default().sweep(&pool, 2)[0].to, "ejected");
        assert_eq!((heard(&pool), heard_of_endpoint(&pool)), ((2, 2), (2, 2)));
    }

    #[test]
    fn an_answer_is_a_success_and_silence_only_to_the_circuits() {
        let pool = pool();
        let fail = || begin(&pool).failed(Some(&pool), &lease(&pool), Failure::ConnectFailed);
        fail();
        let (mut trial, session) = (begin(&pool), lease(&pool));
        (0..3).for_each(|_| trial.answered(Some(&pool), &session));
        assert!(trial.is_answered());
        fail();
        assert!(Judge::default().sweep(&pool, 1).is_empty(), "the answer ended the run");
        begin(&pool).not_refused(Some(&pool), &lease(&pool));
        assert_eq!((heard(&pool), heard_of_endpoint(&pool)), ((4, 2), (4, 2)));
        fail();
        assert_eq!(Judge::default().sweep(&pool, 2)[0].to, "ejected", "silence ended no run");
    }

    #[test]
    fn who_is_no_member_any_more_is_not_judged() {
        let pool = pool();
        for _ in 0..2 {
            let mut trial = begin(&pool);
            trial.failed(None, &lease(&pool), Failure::ConnectFailed);
            assert!(trial.failure().is_some());
        }
        assert!(Judge::default().sweep(&pool, 1).is_empty());
        assert_eq!((heard(&pool), heard_of_endpoint(&pool)), ((0, 0), (0, 0)));
    }
}
