//! Picking for a request that failed elsewhere: another endpoint each time, as long as there is one.

use super::{LOOKS, Picker};
use crate::pool::lease::Leasable;
use crate::pool::{EndpointId, Lease, Nanos, NoEndpoint, Tier};

impl Picker {
    /// Picks an endpoint that is not among `tried`, whose last one failed just now.
    ///
    /// The balancer chooses as long as its choice is new; a hash that insists on what was tried is then passed over, and
    /// chance decides among the rest.
    ///
    /// # Errors
    /// Why no endpoint gets traffic. [`NoEndpoint::OnlyExcluded`] if those that do have all been tried,
    /// [`NoEndpoint::AllFull`] if the others have no room.
    pub fn pick_another(
        &mut self,
        key: Option<u64>,
        tried: &[EndpointId],
        now: Nanos,
    ) -> Result<Lease, NoEndpoint> {
        for _ in 0..LOOKS {
            let lease = self.pick(key, tried.last().copied(), now)?;
            if !tried.contains(&lease.endpoint().id()) {
                return Ok(lease);
            }
        }
        if self.levels.is_some() && !matches!(self.tier(now)?, Tier::Panic | Tier::Open) {
            return self.pick_untried_by_level(tried, now);
        }
        self.pick_untried(tried, now)
    }

    /// Picks any candidate that was not tried, by chance.
    pub(super) fn pick_untried(&mut self, tried: &[EndpointId], now: Nanos) -> Result<Lease, NoEndpoint> {
        let tier = self.tier(now)?;
        let is_fit = |place: &usize| tier.still_admits(&self.candidates[*place].endpoint);
        let fit: Vec<usize> = self.untried(tried).filter(is_fit).collect();
        if fit.is_empty() {
            return Err(NoEndpoint::OnlyExcluded);
        }
        let start = self.random.index(fit.len());
        let mut order = fit[start..].iter().chain(&fit[..start]);
        order.find_map(|place| self.leasable[*place].lease()).ok_or_else(|| self.pool.why_full())
    }

    /// Whether one more lease would fit somewhere at this moment.
    pub fn has_room(&self) -> bool {
        self.leasable.iter().any(Leasable::has_room)
    }

    /// Whether an endpoint gets traffic now that is not among `tried`.
    pub fn has_another(&mut self, tried: &[EndpointId], now: Nanos) -> bool {
        self.tier(now).is_ok() && self.untried(tried).next().is_some()
    }

    /// Whether one that is not among `tried` has room at this moment.
    pub fn has_room_elsewhere(&self, tried: &[EndpointId]) -> bool {
        self.untried(tried).any(|place| self.leasable[place].has_room())
    }

    fn untried(&self, tried: &[EndpointId]) -> impl Iterator<Item = usize> {
        let is_new = |place: &usize| !tried.contains(&self.candidates[*place].endpoint.id());
        (0..self.candidates.len()).filter(is_new)
    }
}
