//! Bounded load for the hash balancers: a key that everybody asks for does not drown its endpoint.

use super::Candidate;

/// Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, SODA 2018): no candidate is given a request
/// when it would then hold more than ⌈c × its share of all requests in flight⌉, this one included; the share goes by
/// weight. What does not fit goes on to the key's next candidate. Since c > 1 there always is one, and on average
/// it is found within about 1/(c-1)² steps.
///
/// The sum over all candidates is taken anew for every pick up to `FRESH` candidates, and then once in n / `FRESH`
/// picks, so that a pick looks at no more than about `FRESH` counters on average.
#[derive(Debug)]
pub struct LoadBound {
    /// c in percent; `None`: no bound.
    percent: Option<u32>,
    sums: Sums,
    /// Picks for which the sums still do.
    left: usize,
}

/// Over all candidates.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    in_flight: u64,
    weight: u64,
}

/// The bound as it stands for one pick.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    percent: u32,
    sums: Sums,
}

/// Candidates that are summed for every pick.
const FRESH: usize = 64;

impl LoadBound {
    /// A bound of `percent` of the mean load, more than 100; `None` for no bound.
    pub fn new(percent: Option<u32>) -> Self {
        Self { percent, sums: Sums::default(), left: 0 }
    }

    /// To be called when the candidates change.
    pub(super) fn reset(&mut self) {
        self.left = 0;
    }

    /// The limit for the next pick; `None`: no bound. The excluded candidate counts neither way, because its room does
    /// not help the others.
    pub(super) fn limit(&mut self, candidates: &[Candidate], exclude: Option<usize>) -> Option<Limit> {
        let percent = self.percent?;
        self.left = if self.left > 0 {
            self.left - 1
        } else {
            self.sums = candidates.iter().fold(Sums::default(), Sums::with);
            candidates.len() / (FRESH + 1)
        };
        let excluded = exclude.map_or(Sums::default(), |index| Sums::default().with(&candidates[index]));
        let sums = Sums {
            in_flight: self.sums.in_flight.saturating_sub(excluded.in_flight),
            weight: self.sums.weight - excluded.weight,
        };
        Some(Limit { percent, sums })
    }

    /// The first candidate on `walk` that is neither excluded nor at its limit; if all are, which only a stale sum
    /// or a pick by another worker at the same moment can bring about, the first that is not excluded.
    #[inline]
    pub(super) fn first_allowed(
        &mut self,
        candidates: &[Candidate],
        exclude: Option<usize>,
        walk: impl Iterator<Item = usize> + Clone,
    ) -> usize {
        let mut others = walk.filter(|index| Some(*index) != exclude);
        let fits = self
            .limit(candidates, exclude)
            .and_then(|limit| others.clone().find(|index| limit.admits(&candidates[*index])));
        // `walk` leads past every candidate, and one of them is not excluded.
        fits.or_else(|| others.next()).unwrap_or(0)
    }
}

impl Limit {
    /// Whether the candidate may hold one more request: in_flight + 1 ≤ ⌈c (total + 1) weight / weights⌉.
    #[inline]
    pub(super) fn admits(&self, candidate: &Candidate) -> bool {
        let held = u128::from(candidate.endpoint.in_flight()) * 100 * u128::from(self.sums.weight);
        let share =
            u128::from(self.percent) * u128::from(self.sums.in_flight + 1) * u128::from(candidate.weight);
        // For whole x and real y: x + 1 ≤ ⌈y⌉ exactly when x < y.
        held < share
    }
}

impl Sums {
    fn with(self, candidate: &Candidate) -> Self {
        Self {
            in_flight: self.in_flight + u64::from(candidate.endpoint.in_flight()),
            weight: self.weight + u64::from(candidate.weight),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::trial::{busy, candidates};

    #[test]
    fn a_limit_is_the_rounded_up_share() {
        let candidates = candidates(&[1, 1, 2]);
        let _held = busy(&candidates[0], 3);
        let _more = busy(&candidates[2], 4);
        // 7 in flight and one to come: 1.25 × 8 = 10, of which 2.5 for a weight of 1, rounded up to 3.
        let limit = LoadBound::new(Some(125)).limit(&candidates, None).unwrap();
        assert_eq!([0, 1, 2].map(|index: usize| limit.admits(&candidates[index])), [false, true, true]);
        // Without the third: 3 in flight and one to come: 5, of which 2.5 each.
        let limit = LoadBound::new(Some(125)).limit(&candidates, Some(2)).unwrap();
        assert_eq!([0, 1].map(|index: usize| limit.admits(&candidates[index])), [false, true]);
    }

    #[test]
    fn without_a_percentage_only_the_exclusion_counts() {
        let candidates = candidates(&[1, 1]);
        let _held = busy(&candidates[1], 1_000);
        let mut bound = LoadBound::new(None);
        assert_eq!(bound.first_allowed(&candidates, None, [1, 0].into_iter()), 1);
        assert_eq!(bound.first_allowed(&candidates, Some(1), [1, 0].into_iter()), 0);
    }

    #[test]
    fn large_pools_are_summed_now_and_then() {
        let candidates = candidates(&[1; 650]);
        let mut bound = LoadBound::new(Some(200));
        let sums: Vec<u64> = (0..23)
            .map(|_| {
                busy(&candidates[0], 1).into_iter().for_each(std::mem::forget);
                bound.limit(&candidates, None).unwrap().sums.in_flight
            })
            .collect();
        assert_eq!(sums, [[1; 11].as_slice(), &[12; 11], &[23]].concat());
    }
}
