//! two-choices: of two random candidates, the one with fewer requests in flight for its weight.
//!
//! Two samples bring the longest queue from O(log n / log log n) down to O(log log n) (M. Mitzenmacher, "The power of
//! two choices in randomized load balancing", 2001) at a cost that does not depend on n; and unlike a scan for the
//! least loaded one, workers that look at the same moment do not all run to the same endpoint.
//!
//! Samples are drawn by weight. Two idle ones are equal, and the first stays: so weights hold without load as well.

use super::alias::AliasTable;
use super::{Balancer, Candidate, PickRequest, Span};
use crate::random::Random;

/// See the module.
#[derive(Debug, Default)]
pub struct TwoChoices {
    table: AliasTable,
}

impl Balancer for TwoChoices {
    fn rebuild(&mut self, candidates: &[Candidate], _span: &Span, _random: &mut Random) {
        self.table.rebuild(candidates);
    }

    fn pick(&mut self, candidates: &[Candidate], request: &mut PickRequest<'_>) -> usize {
        match self.table.sample_two(request) {
            (first, Some(second)) if candidates[second].is_less_loaded_than(&candidates[first]) => second,
            (first, _) => first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::trial::{Trial, busy};

    #[test]
    fn of_two_the_less_loaded_for_its_weight() {
        let mut trial = Trial::new(TwoChoices::default(), &[1, 4]);
        let _held = busy(&trial.candidates[0], 2);
        let _more = busy(&trial.candidates[1], 8);
        assert_eq!(trial.shares(100), [0, 100], "9 / 4 is less than 3 / 1");
        let _still_more = busy(&trial.candidates[1], 4);
        assert_eq!(trial.shares(100), [100, 0], "13 / 4 is more than 3 / 1");
    }

    #[test]
    fn idle_candidates_are_picked_by_weight() {
        let shares = Trial::new(TwoChoices::default(), &[1, 3]).shares(4_000);
        assert!((900..1_100).contains(&shares[0]), "{shares:?}");
    }
}
