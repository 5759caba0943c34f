//! Weighted sampling in constant time.

use super::{Candidate, PickRequest};
use crate::random::Random;

/// Vose's alias table (M. D. Vose, "A linear algorithm for generating random numbers with a given distribution", 1991).
///
/// A sample is one random number, one multiplication and one comparison, whatever the weights. Shares are exact to
/// 2^-64.
#[derive(Debug, Default)]
pub(super) struct AliasTable {
    slots: Vec<Slot>,
}

/// A slot is drawn with chance 1/n; then it stands for its own candidate or for its alias.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Of 2^64: below it, the slot's own candidate.
    own: u64,
    alias: u32,
}

/// How often a random draw is repeated that must not be the excluded one. An excluded candidate of half the weight
/// survives all draws once in 256 times; then one of the others is taken without regard to weight.
const DRAWS: usize = 8;

impl AliasTable {
    /// Builds the table in O(n).
    pub(super) fn rebuild(&mut self, candidates: &[Candidate]) {
        let length = candidates.len() as u64;
        let total: u64 = candidates.iter().map(|candidate| u64::from(candidate.weight)).sum();
        self.slots.clear();
        self.slots.extend((0..).take(candidates.len()).map(|alias| Slot { own: u64::MAX, alias }));
        // Weights times n, so that the mean is `total` and no fractions arise; at most 2^16 * 2^16.
        let mut scaled: Vec<u64> = candidates.iter().map(|one| u64::from(one.weight) * length).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..).take(candidates.len()).partition(|index| scaled[*index as usize] < total);
        while let (Some(poor), Some(rich)) = (small.pop(), large.pop()) {
            let has = scaled[poor as usize];
            self.slots[poor as usize] = Slot { own: share(has, total), alias: rich };
            // What the poor slot lacks to the mean comes from the rich one.
            scaled[rich as usize] -= total - has;
            if scaled[rich as usize] < total { small.push(rich) } else { large.push(rich) }
        }
        // What is left has the mean exactly, and keeps its slot to itself.
    }

    /// A candidate, by weight.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "takes a 128-bit product apart")]
    pub(super) fn sample(&self, random: &mut Random) -> usize {
        // The product's upper half is a uniform slot, its lower half a uniform fraction within it.
        let product = u128::from(random.next()) * self.slots.len() as u128;
        let index = (product >> 64) as usize;
        let slot = self.slots[index];
        if (product as u64) < slot.own { index } else { slot.alias as usize }
    }

    /// A candidate other than `exclude`, by weight. There must be one.
    pub(super) fn sample_other(&self, random: &mut Random, exclude: usize) -> usize {
        (0..DRAWS).map(|_| self.sample(random)).find(|index| *index != exclude).unwrap_or_else(|| {
            let length = self.slots.len();
            (exclude + 1 + random.index(length - 1)) % length
        })
    }

    /// A candidate, by weight, that is not the excluded one.
    #[inline]
    pub(super) fn sample_allowed(&self, request: &mut PickRequest<'_>) -> usize {
        match request.exclude {
            None => self.sample(request.random),
            Some(exclude) => self.sample_other(request.random, exclude),
        }
    }

    /// Two different candidates, by weight, neither of them excluded; `None` for the second if there is no other.
    #[inline]
    pub(super) fn sample_two(&self, request: &mut PickRequest<'_>) -> (usize, Option<usize>) {
        let first = self.sample_allowed(request);
        if self.slots.len() == 1 {
            return (first, None);
        }
        let second = self.sample_other(request.random, first);
        (first, (Some(second) != request.exclude).then_some(second))
    }
}

/// `part` of `whole` as a share of 2^64.
fn share(part: u64, whole: u64) -> u64 {
    u64::try_from((u128::from(part) << 64) / u128::from(whole)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::trial::candidates;

    #[test]
    fn slots_add_up_to_the_weights() {
        for weights in [&[1][..], &[1, 1, 1], &[1, 2, 3, 4], &[65_535, 1], &[1, 1, 1, 1, 60_000]] {
            let mut table = AliasTable::default();
            table.rebuild(&candidates(weights));
            let total: u32 = weights.iter().sum();
            let mut shares = vec![0.0; weights.len()];
            for (index, slot) in table.slots.iter().enumerate() {
                let own = slot.own as f64 / 2_f64.powi(64);
                shares[index] += own / weights.len() as f64;
                shares[slot.alias as usize] += (1.0 - own) / weights.len() as f64;
            }
            for (share, weight) in shares.iter().zip(weights) {
                assert!(
                    (share - f64::from(*weight) / f64::from(total)).abs() < 1e-9,
                    "{weights:?}: {shares:?}"
                );
            }
        }
    }

    #[test]
    fn an_excluded_candidate_is_not_drawn_even_if_it_outweighs_all() {
        let mut table = AliasTable::default();
        table.rebuild(&candidates(&[65_535, 1, 1]));
        let mut random = Random::new(3);
        let mut seen = [0; 3];
        for _ in 0..300 {
            seen[table.sample_other(&mut random, 0)] += 1;
        }
        assert!(seen[0] == 0 && seen[1] > 100 && seen[2] > 100, "{seen:?}");
    }
}
