//! least-requests: the candidate with the fewest requests in flight for its weight.
//!
//! Compared by (in flight + 1) / weight, so that a weight of 2 holds two requests where 1 holds one. Idle candidates are
//! all equal, so that a light one is not passed over for heavier ones that have nothing to do either.
//!
//! Up to `SCAN` candidates all are looked at, from a random one on, chosen by weight: the first of equals wins, so
//! ties spread by weight and nobody starves. Beyond, `SAMPLE` random ones stand for all: looking at ten thousand
//! counters, each on another core's cache line, would cost more than the request; and the best of 16 samples is
//! among the best tenth with 81 % probability, among the best third with 99.8 %.

use super::alias::AliasTable;
use super::{Balancer, Candidate, PickRequest, Span};
use crate::random::Random;

/// Candidates up to which all are looked at.
const SCAN: usize = 64;

/// How many are looked at when there are more.
const SAMPLE: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub struct LeastRequests {
    table: AliasTable,
}

impl Balancer for LeastRequests {
    fn rebuild(&mut self, candidates: &[Candidate], _span: &Span, _random: &mut Random) {
        self.table.rebuild(candidates);
    }

    fn pick(&mut self, candidates: &[Candidate], request: &mut PickRequest<'_>) -> usize {
        let first = self.table.sample_allowed(request);
        if candidates.len() <= SCAN {
            let order = (first + 1..candidates.len()).chain(0..first);
            return least(candidates, first, order.filter(|index| Some(*index) != request.exclude));
        }
        let exclude = request.exclude;
        let order = (1..SAMPLE).map(|_| self.table.sample(request.random));
        least(candidates, first, order.filter(|index| Some(*index) != exclude))
    }
}

/// The least loaded of `first` and the others in `order`; the earliest of equals.
fn least(candidates: &[Candidate], first: usize, order: impl Iterator<Item = usize>) -> usize {
    let mut best = first;
    for index in order {
        // Nothing is less than idle. At low load this ends the search at once.
        if candidates[best].load() == 0 {
            break;
        }
        if candidates[index].is_less_loaded_than(&candidates[best]) {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::trial::{Trial, busy};

    #[test]
    fn the_fewest_for_its_weight() {
        let mut trial = Trial::new(LeastRequests::default(), &[1, 2, 4]);
        let _held: Vec<_> = [(0, 1), (1, 4), (2, 5)]
            .map(|(index, leases): (usize, _)| busy(&trial.candidates[index], leases))
            .into_iter()
            .collect();
        assert_eq!(trial.shares(20), [0, 0, 20], "6 / 4 is less than 2 / 1 and 5 / 2");
        trial.exclude = Some(2);
        assert_eq!(trial.shares(20), [20, 0, 0]);
    }

    #[test]
    fn equals_are_picked_by_weight() {
        let mut trial = Trial::new(LeastRequests::default(), &[1, 3]);
        let shares = trial.shares(4_000);
        assert!((900..1_100).contains(&shares[0]), "{shares:?}");
    }

    #[test]
    fn in_a_large_pool_the_loaded_ones_are_avoided() {
        let mut trial = Trial::new(LeastRequests::default(), &[1; 1_000]);
        let _held: Vec<_> = trial.candidates[..500].iter().map(|candidate| busy(candidate, 1)).collect();
        let shares = trial.shares(10_000);
        let loaded: usize = shares[..500].iter().sum();
        assert!(loaded < 10, "{loaded}: 2^-16 of 10,000 picks are expected");
        assert!(shares[500..].iter().all(|picks| *picks > 0));
    }
}
