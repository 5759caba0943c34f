//! Whose turn it is, by weight: the order behind round-robin, also used to fill Maglev's table.

use crate::random::Random;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An endless sequence of turns in which the k-th turn of an item of weight w falls into the window
/// ⌊(k-1) W / w⌋ … ⌈k W / w⌉, W being the sum of the weights.
///
/// This is Pfair scheduling (Baruah, Cohen, Plaxton, Varvel: "Proportionate progress", 1996) on one processor: of all
/// items whose window is open, the one whose window closes first (of equals, the one that waits longest). There it is known that every window can be kept,
/// hence after t turns each item has had its share t w / W up to less than one turn, which nginx's smooth weighted
/// round-robin comes close to as well, but in O(n) a turn. Here a turn is O(log n).
#[derive(Debug)]
pub(super) struct Turns {
    items: Vec<Item>,
    total: u64,
    /// Turns so far, and one cycle.
    clock: u64,
    /// Items whose window is not open yet, by when it opens.
    waiting: BinaryHeap<Reverse<(u64, usize)>>,
    /// Items whose window is open, by when it closes and when it opened.
    open: BinaryHeap<Reverse<(u64, u64, usize)>>,
}

#[derive(Debug)]
struct Item {
    weight: u64,
    /// When its cycle of `total` turns began.
    start: u64,
    /// Turns that it had in this cycle.
    taken: u64,
}

impl Turns {
    /// From the beginning of the cycle, as the type's description says. Weights are at least 1, and there is one.
    pub(super) fn new(weights: &[u64]) -> Self {
        Self::starting(weights, |_| 0)
    }

    /// From somewhere in the cycle: of every item's first window a random part is over already.
    ///
    /// The bound is looser by one turn. In exchange a sequence that is often begun anew is fair, too: begun at the
    /// beginning, it would serve the heavy items each time and reach the light ones never.
    pub(super) fn anywhere(weights: &[u64], random: &mut Random) -> Self {
        let total: u64 = weights.iter().sum();
        Self::starting(weights, |weight| random.below(total / weight))
    }

    /// `elapsed` says how much of an item's first window is over, by its weight.
    fn starting(weights: &[u64], mut elapsed: impl FnMut(u64) -> u64) -> Self {
        let total = weights.iter().sum();
        // The clock starts a cycle late, to have the room for windows that began before.
        let item = |&weight: &u64| Item { weight, start: total - elapsed(weight), taken: 0 };
        let items: Vec<Item> = weights.iter().map(item).collect();
        let waiting = items.iter().enumerate().map(|(index, item)| Reverse((item.start, index))).collect();
        Self { open: BinaryHeap::with_capacity(items.len()), items, total, clock: total, waiting }
    }

    /// The item whose turn it is.
    pub(super) fn take(&mut self) -> usize {
        if self.open.is_empty()
            && let Some(Reverse((opens, _))) = self.waiting.peek()
        {
            self.clock = self.clock.max(*opens);
        }
        while let Some(Reverse((opens, index))) = self.waiting.peek().copied()
            && opens <= self.clock
        {
            self.waiting.pop();
            let item = &self.items[index];
            let closes = item.start + ((item.taken + 1) * self.total).div_ceil(item.weight);
            self.open.push(Reverse((closes, opens, index)));
        }
        // There is one: an item is always in one of the heaps, and the first step has opened the earliest.
        let Some(Reverse((_, _, index))) = self.open.pop() else { return 0 };
        self.clock += 1;
        let item = &mut self.items[index];
        item.taken += 1;
        if item.taken == item.weight {
            item.taken = 0;
            item.start += self.total;
        }
        let opens = item.start + item.taken * self.total / item.weight;
        self.waiting.push(Reverse((opens, index)));
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(weights: &[u64], turns: usize) -> Vec<usize> {
        let mut sequence = Turns::new(weights);
        (0..turns).map(|_| sequence.take()).collect()
    }

    #[test]
    fn sequences() {
        assert_eq!(first(&[1, 1, 1], 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(first(&[2, 1], 6), [0, 1, 0, 0, 1, 0]);
        assert_eq!(first(&[5, 1, 1], 7), [0, 0, 0, 1, 0, 2, 0]);
        assert_eq!(first(&[7], 3), [0, 0, 0]);
    }

    #[test]
    fn nobody_is_a_whole_turn_away_from_its_share() {
        let mut random = Random::new(2);
        for _ in 0..200 {
            let weights: Vec<u64> = (0..=random.index(12)).map(|_| 1 + random.below(40)).collect();
            let total: u64 = weights.iter().sum();
            let mut sequence = Turns::new(&weights);
            let mut taken = vec![0_u64; weights.len()];
            for turn in 1..=2 * total {
                taken[sequence.take()] += 1;
                for (taken, weight) in taken.iter().zip(&weights) {
                    assert!(
                        (taken * total).abs_diff(turn * weight) < total,
                        "{weights:?} after {turn} turns"
                    );
                }
            }
        }
    }

    #[test]
    fn begun_anywhere_light_items_get_their_first_turn_in_time() {
        let mut random = Random::new(5);
        let weights = [1_000, 1];
        let mut is_early = || {
            let mut sequence = Turns::anywhere(&weights, &mut random);
            (0..100).any(|_| sequence.take() == 1)
        };
        let early = (0..2_000).filter(|_| is_early()).count();
        assert!((150..250).contains(&early), "{early} of 2000, a tenth is expected");
        let mut sequence = Turns::anywhere(&weights, &mut random);
        let light = (0..100_100).filter(|_| sequence.take() == 1).count();
        assert!((99..=101).contains(&light), "{light}");
    }
}
