//! Picking from a pool whose endpoints differ in priority or zone: a picker for each level, and the shares between them.

use super::Picker;
use crate::pool::hash::mix;
use crate::pool::level::{Shares, Standing};
use crate::pool::{EndpointId, Lease, Level, Nanos, NoEndpoint, Pool, Tier};
use crate::random::Random;
use std::sync::Arc;

/// The pickers of a pool's levels, in the levels' order.
pub(super) struct Levels {
    pickers: Vec<(Level, Picker)>,
    shares: Shares,
    /// The pool's epoch that the shares stand for.
    epoch: Option<u64>,
}

/// Makes the number that chooses the level another one than that which chooses the endpoint within it.
const SALT: u64 = 0x6C65_7665_6C73_2121;

impl Levels {
    /// The levels of `pool`, if there are several; those that `previous` had go on where they were.
    pub(super) fn of(
        pool: &Arc<Pool>,
        previous: Option<Box<Self>>,
        random: &mut Random,
    ) -> Option<Box<Self>> {
        let mut known = previous.map(|previous| previous.pickers).unwrap_or_default();
        let pickers: Vec<(Level, Picker)> = pool
            .levels()
            .into_iter()
            .map(|level| {
                let (pool, members) = (Arc::clone(pool), Some(pool.members_of(level)));
                let Some(at) = known.iter().position(|(other, _)| *other == level) else {
                    return (level, Picker::of_members(pool, members, Random::new(random.next())));
                };
                let (_, mut picker) = known.swap_remove(at);
                picker.update_members(pool, members);
                (level, picker)
            })
            .collect();
        (!pickers.is_empty()).then(|| Box::new(Self { pickers, shares: Shares::default(), epoch: None }))
    }

    /// Shares the traffic anew if an endpoint has changed. Large levels follow within their rest, see [`Picker`]; until
    /// all have, it is looked at with every pick.
    fn refresh(&mut self, pool: &Pool, now: Nanos) {
        let epoch = pool.epoch();
        if self.epoch == Some(epoch) {
            return;
        }
        let standings: Vec<Standing> =
            self.pickers.iter_mut().map(|(_, picker)| picker.standing(now)).collect();
        self.shares = Shares::between(&standings, pool.overprovisioning_percent);
        self.epoch = self.pickers.iter().all(|(_, picker)| picker.epoch == epoch).then_some(epoch);
    }

    /// Picks from the level that `number` falls on; from the next best if that has only the excluded one to offer.
    fn pick(
        &mut self,
        number: u64,
        key: Option<u64>,
        exclude: Option<EndpointId>,
        now: Nanos,
    ) -> Result<Lease, NoEndpoint> {
        let first = self.shares.choose(number);
        match self.pickers[first].1.pick_member(key, exclude, now) {
            Ok(lease) => Ok(lease),
            Err(why) => self.pick_in_order(why, now, |picker| picker.pick_member(key, exclude, now)),
        }
    }

    /// Asks level after level, the best first, until one has an endpoint to offer; `why` the first one asked had none.
    fn pick_in_order(
        &mut self,
        mut why: NoEndpoint,
        now: Nanos,
        mut pick: impl FnMut(&mut Picker) -> Result<Lease, NoEndpoint>,
    ) -> Result<Lease, NoEndpoint> {
        let tiers: Vec<_> = self.pickers.iter_mut().map(|(_, picker)| picker.tier(now)).collect();
        let best = Tier::ORDER.into_iter().find(|tier| tiers.contains(&Ok(*tier)));
        for tier in Tier::ORDER {
            // Full or failing endpoints are no reason to send anyone where the operator wants nobody, or to one that fails more.
            if !tier.obeys_circuits() && best != Some(tier) {
                continue;
            }
            for (place, (_, picker)) in self.pickers.iter_mut().enumerate() {
                if tiers[place] != Ok(tier) {
                    continue;
                }
                match pick(picker) {
                    Ok(lease) => return Ok(lease),
                    // That all are full is worth waiting for, which the caller may do.
                    Err(NoEndpoint::OnlyExcluded) if !why.is_full() => why = NoEndpoint::OnlyExcluded,
                    Err(full) if full.is_full() => why = full,
                    Err(_) => {}
                }
            }
        }
        Err(why)
    }
}

impl Picker {
    /// Picks by level. A key always falls on the same level while the shares stay, and only as many keys move as the
    /// shares do.
    pub(super) fn pick_by_level(
        &mut self,
        key: Option<u64>,
        exclude: Option<EndpointId>,
        now: Nanos,
    ) -> Result<Lease, NoEndpoint> {
        match (self.tier(now), &mut self.levels) {
            (Err(why), _) => Err(why),
            // In panic everybody is asked, and so they are when no level has a closed circuit.
            (Ok(Tier::Panic | Tier::Open), _) | (_, None) => self.pick_member(key, exclude, now),
            (Ok(_), Some(levels)) => {
                levels.refresh(&self.pool, now);
                let number = key.map_or_else(|| self.random.next(), |key| mix(key ^ SALT));
                levels.pick(number, key, exclude, now)
            }
        }
    }

    /// Picks an endpoint that was not tried, from the best level that has one.
    pub(super) fn pick_untried_by_level(
        &mut self,
        tried: &[EndpointId],
        now: Nanos,
    ) -> Result<Lease, NoEndpoint> {
        let Some(levels) = &mut self.levels else { return Err(NoEndpoint::OnlyExcluded) };
        levels.pick_in_order(NoEndpoint::OnlyExcluded, now, |picker| picker.pick_untried(tried, now))
    }

    /// How the level that it picks from stands.
    fn standing(&mut self, now: Nanos) -> Standing {
        let tier = self.tier(now);
        let usable = self.candidates.iter().map(|one| u64::from(one.weight)).sum();
        Standing { tier, usable: if tier.is_ok() { usable } else { 0 }, total: self.span.total_weight }
    }
}
