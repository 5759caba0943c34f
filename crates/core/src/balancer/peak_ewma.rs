//! peak-ewma: of two random candidates, the one that is expected to answer first.
//!
//! The expectation is latency × (in flight + 1) / weight, with the latency that [`crate::pool::Endpoint`] keeps: it
//! heeds slow responses more than fast ones, and forgets with a time constant of 10 s. Two samples and not the best of all,
//! for the reason that two-choices gives.
//!
//! The first of the two is drawn by weight and keeps the request, unless the second, drawn by weight among the others, is
//! cheaper: then it passes the request on with the chance (a³ − b³) / (a³ + b³), for costs a and b. So
//!
//! * At equal costs shares follow the weights exactly, as nobody passes anything on. (Were one of the two taken by lot,
//!   a heavy candidate would get too little: it is one of the two more often than others, but never both of them.) A
//!   candidate whose cost is ε above the others' gets 1 − 3/2 ε of its share, which levels loads; see
//!   `two_choices_and_peak_ewma_level_load_by_weight`.
//! * A candidate that costs r times the others keeps 2 / (1 + r³) of its share. Always the cheaper one would starve:
//!   where everybody's latency scatters alike, the one that happens to look worst at the moment would lose every comparison.
//!   So it still gets most of its share, while one that is r = 20 times as slow keeps one request in 4,000.
//! * What is not asked is not observed, and what is not observed decays towards 0: none starves. A candidate that was not
//!   asked for the time t looks r e^(−t / 10 s) times as costly, and is preferred again after at most 10 s × ln r.
//!   Until t = 5 s it keeps less than 2 / (1 + (r / 1.65)³) of its share, so that over any time it gets no more than that and
//!   one request every five seconds: an intensity of at most h until the age a, and any after it, makes at most
//!   h / (1 − e^(−h a)) ≤ h + 1 / a events a second. `tests/slow_endpoint.rs` holds it to that.
//! * A candidate that has not answered four times gets one request at once, and no second one before its response: nothing
//!   is known about it, and everybody else's traffic is too much to find out with. Among several of them, the fewest in
//!   flight count.

use super::alias::AliasTable;
use super::{Balancer, Candidate, PickRequest, Span};
use crate::pool::Nanos;
use crate::random::Random;

/// See the module.
#[derive(Debug, Default)]
pub struct PeakEwma {
    table: AliasTable,
}

/// The latency of a candidate that has requests in flight but answered too seldom, in nanoseconds: 1,000 s, longer than
/// anything that answers.
const UNANSWERED: f64 = 1e12;

impl Balancer for PeakEwma {
    fn rebuild(&mut self, candidates: &[Candidate], _span: &Span, _random: &mut Random) {
        self.table.rebuild(candidates);
    }

    fn pick(&mut self, candidates: &[Candidate], request: &mut PickRequest<'_>) -> usize {
        let (first, second) = self.table.sample_two(request);
        let Some(second) = second else { return first };
        let [of_first, of_second] =
            [first, second].map(|index| cost(&candidates[index], request.now).powi(3));
        // A fraction of 2^53 parts, which is what an f64 holds.
        let draw = (request.random.next() >> 11) as f64 / (1_u64 << 53) as f64;
        if draw * (of_first + of_second) < of_first - of_second { second } else { first }
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

    fn known(candidate: &Candidate, latency: u64) {
        (0..4).for_each(|_| candidate.endpoint.observe_latency(latency, 0));
    }

    #[test]
    fn the_faster_one_is_picked_until_it_is_loaded() {
        let mut trial = Trial::new(PeakEwma::default(), &[1, 1]);
        known(&trial.candidates[0], 10 * MS);
        known(&trial.candidates[1], 35 * MS);
        // 1 / (1 + 3.5³) is 2.3 %.
        assert!((10..40).contains(&trial.shares(1_000)[1]));
        let _held = busy(&trial.candidates[0], 6);
        assert!((80..145).contains(&trial.shares(1_000)[0]), "10 ms × 7 is twice 35 ms × 1: 1 / (1 + 2³)");
    }

    #[test]
    fn a_new_one_gets_one_request_until_it_answers() {
        let mut trial = Trial::new(PeakEwma::default(), &[1, 1]);
        known(&trial.candidates[0], 500 * MS);
        assert_eq!(trial.shares(10), [0, 10]);
        let _held = busy(&trial.candidates[1], 1);
        assert_eq!(trial.shares(10), [10, 0]);
    }

    #[test]
    fn a_slow_one_comes_back_within_the_stated_time() {
        let mut trial = Trial::new(PeakEwma::default(), &[1, 1]);
        let fast = trial.candidates[0].endpoint.clone();
        known(&trial.candidates[0], MS);
        known(&trial.candidates[1], 1_000 * MS);
        // 10 s × ln 1000 = 69.1 s
        for (second, expected) in [(0, 0..2), (30, 0..5), (69, 450..550), (80, 935..990)] {
            trial.now = second * 1_000 * MS;
            fast.observe_latency(MS, trial.now);
            let slow = trial.shares(1_000)[1];
            assert!(expected.contains(&slow), "{slow} after {second} s");
        }
    }

    #[test]
    fn of_five_equal_ones_none_starves_while_latencies_scatter() {
        for seed in 0..50 {
            let mut trial =
                Trial::with(PeakEwma::default(), crate::balancer::trial::candidates(&[1; 5]), seed);
            let mut random = crate::random::Random::new(seed);
            let mut picks = [0_u32; 5];
            for _ in 0..1_500 {
                trial.now += 2 * MS;
                let picked = trial.pick();
                picks[picked] += 1;
                // 1 to 10 ms, and once in a hundred times ten times that, as a pause of the runtime has it.
                let pause = if random.below(100) == 0 { 10 } else { 1 };
                trial.candidates[picked]
                    .endpoint
                    .observe_latency((MS + random.below(9 * MS)) * pause, trial.now);
            }
            // A fifth is 300; two pauses in a row cost an endpoint most of it for a second or two.
            assert!(picks.iter().all(|picks| *picks > 50), "seed {seed}: {picks:?}");
        }
    }
}
