//! peak-ewma: of two random candidates, the one that is expected to answer first.
//!
//! The expectation is latency × (in flight + 1) / weight, with the latency that [`crate::pool::Endpoint`] keeps: it
//! jumps up with the first slow response and forgets with a time constant of 10 s (Finagle's and linkerd's
//! `peak_ewma`). Two samples and not the best of all, for the reason that two-choices gives.
//!
//! * No candidate starves: what is not asked is not observed, and what is not observed decays towards 0. With a cost
//!   r times that of the others, an idle candidate is preferred again after at most 10 s × ln r.
//! * A candidate without any observation gets one request at once and no second one before its first response:
//!   nothing is known about it, and everybody else's traffic is too much to find out with. Among several of them,
//!   the fewest in flight count.

use super::alias::AliasTable;
use super::{Balancer, Candidate, PickRequest, Span};
use crate::pool::Nanos;
use crate::random::Random;

/// See the module.
#[derive(Debug, Default)]
pub struct PeakEwma {
    table: AliasTable,
}

/// The latency of a candidate that has requests in flight but never answered, in nanoseconds: 1,000 s, longer than
/// anything that answers.
const UNANSWERED: f64 = 1e12;

impl Balancer for PeakEwma {
    fn rebuild(&mut self, candidates: &[Candidate], _span: &Span, _random: &mut Random) {
        self.table.rebuild(candidates);
    }

    fn pick(&mut self, candidates: &[Candidate], request: &mut PickRequest<'_>) -> usize {
        match self.table.sample_two(request) {
            (first, Some(second))
                if cost(&candidates[second], request.now) < cost(&candidates[first], request.now) =>
            {
                second
            }
            (first, _) => first,
        }
    }
}

fn cost(candidate: &Candidate, now: Nanos) -> f64 {
    let in_flight = candidate.endpoint.in_flight();
    let latency = match candidate.endpoint.latency(now) {
        Some(latency) => latency,
        None if in_flight == 0 => return 0.0,
        None => UNANSWERED,
    };
    latency * (f64::from(in_flight) + 1.0) / f64::from(candidate.weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::trial::{Trial, busy};

    const MS: u64 = 1_000_000;

    #[test]
    fn the_faster_one_is_picked_until_it_is_loaded() {
        let mut trial = Trial::new(PeakEwma::default(), &[1, 1]);
        trial.candidates[0].endpoint.observe_latency(10 * MS, 0);
        trial.candidates[1].endpoint.observe_latency(35 * MS, 0);
        assert_eq!(trial.shares(50), [50, 0]);
        let _held = busy(&trial.candidates[0], 3);
        assert_eq!(trial.shares(50), [0, 50], "10 ms × 4 is more than 35 ms × 1");
    }

    #[test]
    fn a_new_one_gets_one_request_until_it_answers() {
        let mut trial = Trial::new(PeakEwma::default(), &[1, 1]);
        trial.candidates[0].endpoint.observe_latency(500 * MS, 0);
        assert_eq!(trial.shares(10), [0, 10]);
        let _held = busy(&trial.candidates[1], 1);
        assert_eq!(trial.shares(10), [10, 0]);
    }

    #[test]
    fn a_slow_one_comes_back_within_the_stated_time() {
        let mut trial = Trial::new(PeakEwma::default(), &[1, 1]);
        let [fast, slow] = [0, 1].map(|index: usize| trial.candidates[index].endpoint.clone());
        slow.observe_latency(1_000 * MS, 0);
        // 10 s × ln 1000 = 69.1 s
        for (second, picked) in [(0, 0), (30, 0), (68, 0), (71, 1)] {
            trial.now = second * 1_000 * MS;
            fast.observe_latency(MS, trial.now);
            assert_eq!(trial.shares(10)[picked], 10, "after {second} s");
        }
    }
}
