//! The endpoints' circuits, looked at together: how many may be open at once is not for one of them to know.
//!
//! | an endpoint's circuit | when |
//! |---|---|
//! | opens | too many of its requests fail, another endpoint is left, and not too many are out already |
//! | stays closed, whatever fails | no other is left, or too many are out, or outlier detection has ejected it |
//! | closes before its time | no endpoint of the pool is left, and it could serve |
//!
//! Out is who is ejected, or whose circuit is not closed. Left is who could serve and is not out. So whoever takes an
//! endpoint out, outlier detection or its circuit, has it until it is back, and the other one looks away:
//! [`crate::outlier::Judge`] takes no notice of one whose circuit is not closed.

use super::{AdminState, Endpoint, Health, Member, Nanos, Pool};
use crate::circuit::{Phase, Transition};
use std::sync::Arc;

impl Member {
    /// Whether it could serve: checks, operator, zone and live traffic let it, and it has a weight.
    fn is_able(&self) -> bool {
        let endpoint = &self.endpoint;
        let is_fit = endpoint.health() == Health::Healthy && endpoint.admin() == AdminState::Ready;
        is_fit && !endpoint.is_ejected() && !endpoint.is_evacuated() && self.effective_weight() > 0
    }

    fn is_left(&self) -> bool {
        self.is_able() && self.phase() == Phase::Closed
    }

    fn is_out(&self) -> bool {
        self.endpoint.is_ejected() || self.phase() != Phase::Closed
    }
}

impl Pool {
    /// Takes into account what the endpoints' requests brought since the last time; whose circuit changed thereby. Ten times
    /// a second, by one thread.
    pub fn sweep_circuits(&self, now: Nanos) -> Vec<(Arc<Endpoint>, Transition)> {
        let Some(policy) = &self.endpoint_circuit else { return Vec::new() };
        let most = (self.members.len() * usize::from(policy.max_open_percent) / 100).max(1);
        let count = |is: fn(&Member) -> bool| self.members.iter().filter(|member| is(member)).count();
        let (mut left, mut out) = (count(Member::is_left), count(Member::is_out));
        let is_deserted = left == 0;
        let mut changes = Vec::new();
        for member in &self.members {
            let Some(circuit) = member.circuit.as_ref().map(|circuit| circuit.circuit()) else { continue };
            let (was_left, was_out) = (member.is_left(), member.is_out());
            let transition = if is_deserted && was_out && member.is_able() {
                Some(circuit.close("no other endpoint is left"))
            } else {
                let has_others = left > usize::from(was_left);
                circuit.sweep_within(has_others && out < most && !was_out, now)
            };
            let Some(transition) = transition else { continue };
            left = left + usize::from(member.is_left()) - usize::from(was_left);
            out = out + usize::from(member.is_out()) - usize::from(was_out);
            changes.push((Arc::clone(&member.endpoint), transition));
        }
        if !changes.is_empty() {
            self.changed();
        }
        changes
    }
}

#[cfg(test)]
mod tests;
