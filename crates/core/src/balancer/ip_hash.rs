//! ip-hash: the same client address goes to the same endpoint.
//!
//! Up to `SCAN` members by weighted rendezvous hashing (Thaler, Ravishankar 1998; with weights: Schindelhauer,
//! Schomaker 2005): every candidate has a score for the key, and the highest wins. Weights are exact, and when a
//! candidate leaves only its own clients move, each to the candidate next in its own order. It takes a score for each
//! candidate, so larger pools use Maglev's table instead, which is as exact in its weights and nearly so in its
//! stability. Members count whatever their state, so that no change of health crosses over.

use super::bound::LoadBound;
use super::maglev::Maglev;
use super::{Balancer, Candidate, PickRequest, Span};
use crate::pool::hash::mix;
use crate::random::Random;

/// Members up to which every candidate is scored: some 10 instructions each, some 50 when weights differ.
const SCAN: usize = 64;

/// See the module.
#[derive(Debug)]
pub struct IpHash {
    bound: LoadBound,
    /// Whether all weights are equal; then scores are compared without the logarithm, with the same result.
    is_even: bool,
    /// In large pools.
    table: Option<Maglev>,
    percent: Option<u32>,
}

impl IpHash {
    /// Without candidates yet; `bound_percent` as in [`LoadBound`].
    pub fn new(bound_percent: Option<u32>) -> Self {
        Self { bound: LoadBound::new(bound_percent), is_even: true, table: None, percent: bound_percent }
    }

    /// The highest score among the candidates that are `allowed`.
    fn highest(&self, candidates: &[Candidate], key: u64, allowed: impl Fn(usize) -> bool) -> Option<usize> {
        let among = (0..candidates.len()).filter(|index| allowed(*index));
        let hash = |index: usize| mix(key ^ candidates[index].endpoint.hash());
        if self.is_even {
            return among.max_by_key(|index| hash(*index));
        }
        let score = |index: usize| score(hash(index), candidates[index].weight);
        among.map(|index| (score(index), index)).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, index)| index)
    }
}

impl Balancer for IpHash {
    fn rebuild(&mut self, candidates: &[Candidate], span: &Span, random: &mut Random) {
        self.bound.reset();
        self.is_even = candidates.windows(2).all(|pair| pair[0].weight == pair[1].weight);
        if span.members <= SCAN {
            self.table = None;
            return;
        }
        self.table.get_or_insert_with(|| Maglev::new(self.percent)).rebuild(candidates, span, random);
    }

    fn pick(&mut self, candidates: &[Candidate], request: &mut PickRequest<'_>) -> usize {
        if let Some(table) = &mut self.table {
            return table.pick(candidates, request);
        }
        let (key, exclude) = (request.key(), request.exclude);
        let other = |index: usize| Some(index) != exclude;
        let limit = self.bound.limit(candidates, exclude);
        let fits = limit.and_then(|limit| {
            self.highest(candidates, key, |index| other(index) && limit.admits(&candidates[index]))
        });
        // One is not excluded: the trait's precondition.
        fits.or_else(|| self.highest(candidates, key, other)).unwrap_or(0)
    }
}

/// weight / -ln(u) for the hash as a number u between 0 and 1: the chance of being the highest is the share of weight.
fn score(hash: u64, weight: u32) -> f64 {
    // 53 bits are what a double holds; half a step more keeps it off 0.
    let uniform = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    f64::from(weight) / -uniform.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balancer::trial::Trial;

    #[test]
    fn equal_weights_give_the_same_order_with_and_without_logarithm() {
        let mut plain = Trial::new(IpHash::new(None), &[7; 9]);
        let mut weighted = Trial::new(IpHash::new(None), &[7; 9]);
        weighted.balancer.is_even = false;
        for key in 0..1_000 {
            plain.key = Some(mix(key));
            weighted.key = Some(mix(key));
            assert_eq!(plain.pick(), weighted.pick());
        }
    }

    #[test]
    fn large_pools_use_a_table_whatever_their_health() {
        let mut trial = Trial::new(IpHash::new(None), &[1; 65]);
        assert!(trial.balancer.table.is_some());
        trial.candidates.truncate(2);
        trial.rebuild();
        assert!(trial.balancer.table.is_some(), "the span has not changed");
        assert!(Trial::new(IpHash::new(None), &[1; 64]).balancer.table.is_none());
    }
}
