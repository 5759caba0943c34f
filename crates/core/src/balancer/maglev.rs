//! maglev: the key's slot in a table that the candidates have filled in turn (Eisenbud et al., "Maglev: a fast and
//! reliable software network load balancer", NSDI 2016, §3.4).
//!
//! Every candidate goes through the slots in an order of its own, which follows from its address, and takes the
//! next free one when it is its turn. Shares are exact to a slot. When a candidate leaves, its keys move, and a few
//! others with them; ring-hash moves only the former, but is less even.
//!
//! The table has at least 100 slots for the lightest member, as the paper advises for shares within 1 %, and a prime
//! number of them, so that any step leads through all; but no more than 65,537, the paper's smaller size. It is sized by
//! all members whatever their state, because with another size nearly every key would move.

use super::bound::LoadBound;
use super::schedule::Turns;
use super::{Balancer, Candidate, PickRequest, Span};
use crate::pool::hash::mix;
use crate::random::Random;

/// Primes just below or above powers of two.
const SIZES: [usize; 9] = [251, 509, 1_021, 2_039, 4_093, 8_191, 16_381, 32_749, 65_537];

/// Slots for the lightest member.
const SLOTS: u64 = 100;

/// See the module.
#[derive(Debug)]
pub struct Maglev {
    bound: LoadBound,
    /// Candidate indices. 16 bits, because the table is read at random places and should stay in the cache.
    table: Vec<u16>,
}

/// A candidate with its order of the slots: `next`, then every `step` slots.
struct Preference {
    hash: u64,
    index: u16,
    weight: u64,
    next: usize,
    step: usize,
}

impl Maglev {
    /// Without candidates yet; `bound_percent` as in [`LoadBound`].
    pub fn new(bound_percent: Option<u32>) -> Self {
        Self { bound: LoadBound::new(bound_percent), table: Vec::new() }
    }
}

impl Balancer for Maglev {
    fn rebuild(&mut self, candidates: &[Candidate], span: &Span, _random: &mut Random) {
        self.bound.reset();
        self.table = fill(candidates, size(span));
    }

    fn pick(&mut self, candidates: &[Candidate], request: &mut PickRequest<'_>) -> usize {
        let (before, after) = self.table.split_at(remainder(request.key(), self.table.len()));
        let walk = after.iter().chain(before).map(|index| usize::from(*index));
        self.bound.first_allowed(candidates, request.exclude, walk)
    }
}

fn size(span: &Span) -> usize {
    let wanted = SLOTS * span.total_weight / u64::from(span.least_weight.max(1));
    let [.., largest] = SIZES;
    SIZES.into_iter().find(|size| *size as u64 >= wanted).unwrap_or(largest)
}

/// The table for these candidates, the same in whatever order they are.
fn fill(candidates: &[Candidate], size: usize) -> Vec<u16> {
    let mut preferences: Vec<Preference> = (0..)
        .zip(candidates)
        .map(|(index, candidate)| {
            let (hash, weight) = (candidate.endpoint.hash(), candidate.weight.into());
            let (next, step) = (remainder(hash, size), remainder(mix(hash), size - 1) + 1);
            Preference { hash, index, weight, next, step }
        })
        .collect();
    preferences.sort_unstable_by_key(|one| one.hash);
    let mut turns = Turns::new(&quotas(&preferences, size as u64));
    let mut table: Vec<Option<u16>> = vec![None; size];
    for _ in 0..size {
        let Preference { next, step, index, .. } = &mut preferences[turns.take()];
        // A prime size makes the steps lead through every slot, and one of them is free.
        while table[*next].is_some() {
            *next = (*next + *step) % size;
        }
        table[*next] = Some(*index);
    }
    table.into_iter().flatten().collect()
}

/// Turns for each candidate: one, and the rest of the table by weight, so that a light one is in it even when the
/// table is too coarse for it. At most as many as the table has slots, so that all get theirs.
fn quotas(preferences: &[Preference], size: u64) -> Vec<u64> {
    let total: u64 = preferences.iter().map(|one| one.weight).sum();
    let rest = size.saturating_sub(preferences.len() as u64);
    preferences.iter().map(|one| 1 + one.weight * rest / total).collect()
}

#[allow(clippy::cast_possible_truncation, reason = "a remainder of a usize fits a usize")]
fn remainder(hash: u64, size: usize) -> usize {
    (hash % size as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::trial::{Trial, candidates};
    use crate::pool::MAX_ENDPOINTS;

    #[test]
    fn sizes() {
        for (weights, expected) in [
            (vec![1; 1], 251),
            (vec![1; 5], 509),
            (vec![1, 4], 509),
            (vec![5_000, 20_000], 509),
            (vec![1; 655], 65_537),
            (vec![1; 10_000], 65_537),
        ] {
            assert_eq!(size(&Span::of(weights.iter().copied())), expected, "{} members", weights.len());
        }
    }

    #[test]
    fn slots_are_shared_by_weight_to_within_the_rounding() {
        for weights in [&[1, 1, 1][..], &[1, 2, 3], &[10, 1, 10, 10]] {
            let candidates = candidates(weights);
            let size = size(&Span::of(weights.iter().copied()));
            let table = fill(&candidates, size);
            assert_eq!(table.len(), size);
            let total: u32 = weights.iter().sum();
            for (index, weight) in weights.iter().enumerate() {
                let slots = table.iter().filter(|slot| usize::from(**slot) == index).count();
                let due = size as f64 * f64::from(*weight) / f64::from(total);
                assert!((slots as f64 - due).abs() <= 2.0, "{weights:?}: {slots} of {due}");
            }
        }
    }

    #[test]
    fn nobody_is_left_out_of_a_table_that_is_too_coarse() {
        let mut weights = vec![65_535; 100];
        weights.push(1);
        let table = fill(&candidates(&weights), 65_537);
        assert_eq!(table.iter().filter(|slot| **slot == 100).count(), 1);
        let full = fill(&candidates(&vec![1; MAX_ENDPOINTS]), 65_537);
        assert_eq!(full.iter().collect::<std::collections::BTreeSet<_>>().len(), MAX_ENDPOINTS);
    }

    #[test]
    fn without_a_key_all_are_picked() {
        let shares = Trial::new(Maglev::new(None), &[1, 1, 1]).shares(300);
        assert!(shares.iter().all(|picks| *picks > 60), "{shares:?}");
    }
}
