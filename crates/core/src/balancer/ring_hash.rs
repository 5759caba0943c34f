//! ring-hash: the key's successor on a ring of points, as in Ketama (R. Jones, 2007) and Karger et al. (STOC 1997).
//!
//! An endpoint's points follow from its address alone, and their number from its weight. When it leaves, its keys go on
//! to the next points, which belong to all others; when it comes back, exactly these keys return. The points
//! for a weight of 1 are a power of two that changes only when the pool's configuration about doubles or halves, so a
//! new member takes keys but shifts none among the others.
//!
//! 128 to 256 points for a mean weight keep an endpoint's share within about 8 % of its due (one standard
//! deviation, 1/√points). Maglev is more even and faster; the ring moves fewer keys.

use super::bound::LoadBound;
use super::{Balancer, Candidate, PickRequest, Span};
use crate::pool::hash::mix;
use crate::random::Random;

/// Points for a mean weight, at most.
const POINTS: u64 = 256;

/// Points on the ring, at most about: 2 MiB for each worker. From 1,024 members on, members have fewer points.
const MOST_POINTS: u64 = 1 << 18;

/// See the module.
#[derive(Debug)]
pub struct RingHash {
    bound: LoadBound,
    /// Sorted; 32 bits of position above 32 bits of candidate index, so that they sort and compare as plain numbers.
    points: Vec<u64>,
}

impl RingHash {
    /// Without candidates yet; `bound_percent` as in [`LoadBound`].
    pub fn new(bound_percent: Option<u32>) -> Self {
        Self { bound: LoadBound::new(bound_percent), points: Vec::new() }
    }
}

impl Balancer for RingHash {
    fn rebuild(&mut self, candidates: &[Candidate], span: &Span, _random: &mut Random) {
        self.bound.reset();
        self.points.clear();
        for (index, candidate) in (0_u64..).zip(candidates) {
            let hash = candidate.endpoint.hash();
            let points = points(candidate.weight, span);
            self.points.extend((0..points).map(|replica| position(mix(hash.wrapping_add(replica))) | index));
        }
        self.points.sort_unstable();
    }

    fn pick(&mut self, candidates: &[Candidate], request: &mut PickRequest<'_>) -> usize {
        let place = position(request.key());
        let start = self.points.partition_point(|point| *point < place);
        let (before, after) = self.points.split_at(start);
        let walk = after.iter().chain(before).map(|point| candidate(*point));
        self.bound.first_allowed(candidates, request.exclude, walk)
    }
}

/// How many points a weight has: weight × 2^e, for the largest e at which all members together stay within bounds.
fn points(weight: u32, span: &Span) -> u64 {
    let weight = u64::from(weight);
    let target = (span.members as u64 * POINTS).min(MOST_POINTS);
    if span.total_weight <= target {
        return weight << (target / span.total_weight.max(1)).max(1).ilog2();
    }
    let shift = (span.total_weight / target.max(1)).ilog2() + 1;
    ((weight + (1 << (shift - 1))) >> shift).max(1)
}

/// A hash's place on the ring, in the upper half.
fn position(hash: u64) -> u64 {
    hash & 0xFFFF_FFFF_0000_0000
}

/// The candidate of a point, in the lower half.
#[allow(clippy::cast_possible_truncation, reason = "a masked value fits")]
fn candidate(point: u64) -> usize {
    (point & 0xFFFF_FFFF) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_follow_weights_and_stay_bounded() {
        for (weights, weight, expected) in [
            (vec![1; 4], 1, 256),
            (vec![1, 2, 1], 2, 256),
            (vec![300; 3], 300, 150),
            (vec![1; 1_024], 1, 256),
            (vec![1; 10_000], 1, 16),
            (vec![1; 65_535], 1, 4),
            (vec![65_535, 1], 1, 1),
            (vec![65_535, 1], 65_535, 256),
        ] {
            let span = Span::of(weights.iter().copied());
            assert_eq!(points(weight, &span), expected, "{} members", weights.len());
            let total: u64 = weights.iter().map(|weight| points(*weight, &span)).sum();
            assert!(total <= MOST_POINTS + weights.len() as u64);
        }
    }

    #[test]
    fn points_of_a_weight_survive_a_new_member() {
        assert_eq!(points(3, &Span::of([3, 1, 2])), points(3, &Span::of([3, 1, 2, 1])));
    }
}
