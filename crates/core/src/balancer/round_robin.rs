//! round-robin: in turn, each as often as its weight says, heavy ones spread out instead of in a row.
//!
//! The order is that of `Turns`: over a cycle, which is as long as the sum of the weights divided by their greatest
//! common divisor, everybody has exactly its share, and over any part of it less than two picks more or less.
//! Cycles of up to `LONGEST_CYCLE` slots are computed ahead: then a pick is one array access. Longer ones (dozens of
//! endpoints with large, unrelated weights) are computed as they go, in O(log n) a pick.
//!
//! Workers and rebuilds begin at a random slot, so that many workers do not start with the same endpoint, and frequent
//! changes of health do not favour whoever comes first. As long as the last one picked is still there, a rebuild
//! goes on after it.

use super::schedule::Turns;
use super::{Balancer, Candidate, PickRequest, Span};
use crate::pool::EndpointId;
use crate::random::Random;

/// Slots of a cycle that is computed ahead, 4 bytes each: enough for the largest pool with equal weights.
const LONGEST_CYCLE: u64 = 65_536;

/// How many slots in a row may belong to the excluded candidate before its neighbour is taken instead.
const SKIPS: usize = 8;

/// See the module.
#[derive(Debug)]
pub struct RoundRobin {
    order: Order,
    /// The candidates' endpoints, to find one's place again after a rebuild.
    endpoints: Vec<EndpointId>,
}

#[derive(Debug)]
enum Order {
    /// One cycle, and the slot that is next.
    Cycle { slots: Vec<u32>, next: usize },
    /// Computed as it goes.
    Endless(Turns),
}

impl Default for RoundRobin {
    fn default() -> Self {
        Self { order: Order::Cycle { slots: Vec::new(), next: 0 }, endpoints: Vec::new() }
    }
}

impl Balancer for RoundRobin {
    fn rebuild(&mut self, candidates: &[Candidate], _span: &Span, random: &mut Random) {
        let last = self.last();
        self.endpoints = candidates.iter().map(|candidate| candidate.endpoint.id()).collect();
        let divisor = candidates.iter().fold(0, |divisor, one| gcd(divisor, u64::from(one.weight))).max(1);
        let weights: Vec<u64> = candidates.iter().map(|one| u64::from(one.weight) / divisor).collect();
        let total: u64 = weights.iter().sum();
        self.order = if total > LONGEST_CYCLE {
            Order::Endless(Turns::anywhere(&weights, random))
        } else {
            let slots = cycle(&weights, total);
            let next = self.resume(&slots, last, random);
            Order::Cycle { slots, next }
        };
    }

    #[inline]
    fn pick(&mut self, candidates: &[Candidate], request: &mut PickRequest<'_>) -> usize {
        let Some(exclude) = request.exclude else { return self.order.take() };
        let other = (0..SKIPS).map(|_| self.order.take()).find(|index| *index != exclude);
        other.unwrap_or((exclude + 1) % candidates.len())
    }
}

impl RoundRobin {
    /// The endpoint that was picked last; before the first pick it is the one whose slot precedes the start.
    fn last(&self) -> Option<EndpointId> {
        let Order::Cycle { slots, next } = &self.order else { return None };
        let slot = next.checked_sub(1).or(slots.len().checked_sub(1))?;
        Some(self.endpoints[slots[slot] as usize])
    }

    /// The slot after `last`: after any of its slots, as after a fixed one a cycle that is rebuilt with every pick
    /// would never leave its beginning. Any slot when `last` is gone.
    fn resume(&self, slots: &[u32], last: Option<EndpointId>, random: &mut Random) -> usize {
        let is_last = |slot: &u32| Some(self.endpoints[*slot as usize]) == last;
        let places: Vec<usize> =
            slots.iter().enumerate().filter(|(_, slot)| is_last(slot)).map(|(at, _)| at).collect();
        match places.get(random.index(places.len())) {
            Some(place) => (place + 1) % slots.len(),
            None => random.index(slots.len()),
        }
    }
}

impl Order {
    #[inline]
    fn take(&mut self) -> usize {
        match self {
            Self::Cycle { slots, next } => {
                let slot = slots[*next];
                *next = if *next + 1 == slots.len() { 0 } else { *next + 1 };
                slot as usize
            }
            Self::Endless(turns) => turns.take(),
        }
    }
}

/// One cycle of `total` slots.
fn cycle(weights: &[u64], total: u64) -> Vec<u32> {
    if total == weights.len() as u64 {
        // All weights are 1: what `Turns` would say as well, twenty times as fast, for the most usual pools.
        return (0..).take(weights.len()).collect();
    }
    let mut turns = Turns::new(weights);
    (0..total).filter_map(|_| u32::try_from(turns.take()).ok()).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::trial::{Trial, candidates};

    #[test]
    fn weights_are_divided_first() {
        let trial = Trial::new(RoundRobin::default(), &[60_000, 20_000, 40_000]);
        let Order::Cycle { slots, .. } = &trial.balancer.order else { panic!("a short cycle") };
        assert_eq!(slots, &[0, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn a_rebuild_goes_on_after_the_last_one() {
        let mut trial = Trial::new(RoundRobin::default(), &[1; 5]);
        let last = trial.pick();
        let endpoint = trial.candidates[last].endpoint.id();
        trial.candidates.remove((last + 2) % 5);
        trial.rebuild();
        let place = trial.candidates.iter().position(|one| one.endpoint.id() == endpoint).unwrap();
        assert_eq!(trial.pick(), (place + 1) % 4);
    }

    #[test]
    fn rebuilt_before_every_pick_it_still_reaches_all() {
        for weights in [&[5, 1, 1][..], &[1, 1, 1], &[65_535, 65_534]] {
            let mut trial = Trial::new(RoundRobin::default(), weights);
            let mut seen = vec![0; weights.len()];
            for _ in 0..700 {
                trial.rebuild();
                seen[trial.pick()] += 1;
            }
            assert!(seen.iter().all(|picks| *picks > 30), "{weights:?}: {seen:?}");
        }
    }

    #[test]
    fn the_largest_pool_has_a_cycle() {
        let trial = Trial::new(RoundRobin::default(), &[3; 65_535]);
        assert!(matches!(trial.balancer.order, Order::Cycle { .. }));
    }

    #[test]
    fn workers_start_apart() {
        let candidates = candidates(&[1; 8]);
        let starts: std::collections::BTreeSet<usize> = (0..64)
            .map(|seed| {
                let mut trial = Trial::with(RoundRobin::default(), candidates.clone(), seed);
                trial.pick()
            })
            .collect();
        assert_eq!(starts.len(), 8);
    }
}
