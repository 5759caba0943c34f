//! random: any candidate, in proportion to its weight.
//!
//! Needs no state at all, so that many workers and nodes cannot fall into step with each other.

use super::alias::AliasTable;
use super::{Balancer, Candidate, PickRequest, Span};
use crate::random::Random;

/// See the module.
#[derive(Debug, Default)]
pub struct Weighted {
    table: AliasTable,
}

impl Balancer for Weighted {
    fn rebuild(&mut self, candidates: &[Candidate], _span: &Span, _random: &mut Random) {
        self.table.rebuild(candidates);
    }

    fn pick(&mut self, _candidates: &[Candidate], request: &mut PickRequest<'_>) -> usize {
        self.table.sample_allowed(request)
    }
}
