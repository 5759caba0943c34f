//! A worker's view of one pool: who gets traffic now, and whose turn it is.

mod levels;

use super::candidates::{self, Selection};
use super::lease::Leasable;
use super::resident::Residents;
use super::{EndpointId, Lease, Member, Nanos, NoEndpoint, Pool, Tier};
use crate::balancer::{self, Balancer, Candidate, PickRequest, Span};
use crate::outlier::FULL_SHARE;
use crate::random::Random;
use levels::Levels;
use std::sync::Arc;

mod another;

/// Picks endpoints for one worker. Takes no lock; allocates only when the candidates have changed.
///
/// A change of an endpoint's state or weight is seen by the next pick. Pools of more than `PROMPT` members make one
/// exception: thousands of endpoints that start or fail within a second would have every pick rebuild tables for
/// milliseconds, so they select their candidates again no more often than once in `REST` for each member. Until then
/// whatever is picked is looked at, and never handed out if it is not fit any more; only who has become fit waits.
pub struct Picker {
    pub(super) pool: Arc<Pool>,
    /// The members that it picks from, when they are only one level of the pool's.
    only: Option<Box<[Member]>>,
    /// The pool's levels, when it has more than one.
    levels: Option<Box<Levels>>,
    /// The pool's epoch that the candidates stand for.
    epoch: u64,
    /// Before this moment a large pool's candidates are not selected again.
    rests_until: Nanos,
    tier: Result<Tier, NoEndpoint>,
    candidates: Vec<Candidate>,
    span: Span,
    /// The candidates' endpoints once more, as this worker leases them.
    leasable: Vec<Leasable>,
    /// All members, for clients that belong to one.
    pub(super) residents: Residents,
    balancer: Box<dyn Balancer>,
    random: Random,
}

/// Members up to which candidates are selected again at once; it takes well under a millisecond.
const PROMPT: usize = 64;

/// Selecting and rebuilding takes up to about 1.5 µs a member (Maglev); this makes it less than a sixth of the time. With
/// 10,000 members an endpoint that has become healthy waits for up to 100 ms, a fraction of a check's interval.
const REST: Nanos = 10_000;

/// How often the balancer is asked for another candidate when one is not fit any more, before all are selected again.
const LOOKS: usize = 3;

impl Picker {
    /// A picker for `pool`, with random numbers of its own: workers with the same numbers would pick in step.
    pub fn new(pool: Arc<Pool>, random: Random) -> Self {
        let mut picker = Self::of_members(pool, None, random);
        picker.levels = Levels::of(&picker.pool, None, &mut picker.random);
        picker
    }

    fn of_members(pool: Arc<Pool>, only: Option<Box<[Member]>>, random: Random) -> Self {
        let mut picker = Self {
            only,
            levels: None,
            balancer: balancer::make(pool.balance, pool.hash_bound_percent),
            epoch: 0,
            rests_until: 0,
            tier: Err(NoEndpoint::Empty),
            candidates: Vec::new(),
            span: Span::default(),
            leasable: Vec::new(),
            residents: None,
            pool,
            random,
        };
        picker.refresh();
        picker
    }

    /// The pool, as of the last `new` or `update`.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Why the candidates are candidates, or why there are none.
    ///
    /// # Errors
    /// Why there are none.
    pub fn tier(&mut self, now: Nanos) -> Result<Tier, NoEndpoint> {
        if self.pool.epoch() != self.epoch {
            self.catch_up(now);
        }
        self.tier
    }

    /// Goes on with the pool of a new snapshot. The balancer keeps its position if the algorithm is still the same; its
    /// tables, too, if the candidates are.
    pub fn update(&mut self, pool: Arc<Pool>) {
        self.levels = Levels::of(&pool, self.levels.take(), &mut self.random);
        self.update_members(pool, None);
    }

    fn update_members(&mut self, pool: Arc<Pool>, only: Option<Box<[Member]>>) {
        self.only = only;
        let is_same =
            (pool.balance, pool.hash_bound_percent) == (self.pool.balance, self.pool.hash_bound_percent);
        self.pool = pool;
        self.residents = None;
        if !is_same {
            self.balancer = balancer::make(self.pool.balance, self.pool.hash_bound_percent);
            self.candidates.clear();
        }
        self.rests_until = 0;
        self.refresh();
    }

    /// Picks an endpoint and counts the request in.
    ///
    /// `key` is what the hash balancers go by, a hash from [`super::hash`]; without one they pick at random, the others
    /// never look at it. `exclude` is an endpoint that has just failed this request.
    ///
    /// # Errors
    /// Why no endpoint gets traffic now. [`NoEndpoint::OnlyExcluded`] if the one that does is the excluded one: the
    /// caller knows whether trying it again is better than giving up.
    #[inline]
    pub fn pick(
        &mut self,
        key: Option<u64>,
        exclude: Option<EndpointId>,
        now: Nanos,
    ) -> Result<Lease, NoEndpoint> {
        if self.levels.is_some() {
            return self.pick_by_level(key, exclude, now);
        }
        self.pick_member(key, exclude, now)
    }

    /// Picks by this picker's own candidates.
    #[inline]
    fn pick_member(
        &mut self,
        key: Option<u64>,
        exclude: Option<EndpointId>,
        now: Nanos,
    ) -> Result<Lease, NoEndpoint> {
        if self.pool.epoch() != self.epoch && !self.catch_up(now) {
            return self.pick_warily(key, exclude, now);
        }
        self.tier?;
        let place = self.place(exclude);
        let index = self.choose(key, place, now)?;
        match self.leasable[index].lease() {
            Some(lease) => Ok(lease),
            None => self.pick_with_room(key, place, index, now),
        }
    }

    /// Picks while the candidates may be out of date: what is picked must still be fit.
    #[cold]
    fn pick_warily(
        &mut self,
        key: Option<u64>,
        exclude: Option<EndpointId>,
        now: Nanos,
    ) -> Result<Lease, NoEndpoint> {
        let tier = self.tier?;
        let mut place = self.place(exclude);
        // A balancer takes one exclusion only: if the caller has one, there is no second look.
        let looks = if place.is_none() { LOOKS } else { 1 };
        for _ in 0..looks {
            let Ok(index) = self.choose(key, place, now) else { break };
            if tier.still_admits(&self.candidates[index].endpoint)
                && let Some(lease) = self.leasable[index].lease()
            {
                return Ok(lease);
            }
            place = Some(index);
        }
        self.rests_until = now;
        self.catch_up(now);
        self.pick_member(key, exclude, now)
    }

    /// Picks when the balancer's choice, the candidate at `full`, holds as many requests as it may: the balancer's
    /// second choice, and then anyone with room, from a random one on, so that no neighbour gets all of it.
    #[cold]
    fn pick_with_room(
        &mut self,
        key: Option<u64>,
        exclude: Option<usize>,
        full: usize,
        now: Nanos,
    ) -> Result<Lease, NoEndpoint> {
        if exclude.is_none()
            && let Ok(index) = self.choose(key, Some(full), now)
            && let Some(lease) = self.leasable[index].lease()
        {
            return Ok(lease);
        }
        let start = self.random.index(self.leasable.len());
        let order = (start..self.leasable.len()).chain(0..start).filter(|index| Some(*index) != exclude);
        let with_room = order.map(|index| &self.leasable[index]).filter(|leasable| leasable.has_room());
        with_room.filter_map(Leasable::lease).next().ok_or_else(|| self.pool.why_full())
    }

    /// Selects the candidates again, unless that is too soon; whether they are up to date.
    #[cold]
    fn catch_up(&mut self, now: Nanos) -> bool {
        if self.tier.is_ok() && now < self.rests_until {
            return false;
        }
        let members = self.members().len();
        self.rests_until = if members > PROMPT { now.saturating_add(REST * members as u64) } else { 0 };
        self.refresh();
        true
    }

    /// Whom it picks from.
    fn members(&self) -> &[Member] {
        self.only.as_deref().unwrap_or(&self.pool.members)
    }

    /// Where among the candidates an endpoint is.
    #[inline]
    fn place(&self, endpoint: Option<EndpointId>) -> Option<usize> {
        endpoint.and_then(|id| self.candidates.iter().position(|one| one.endpoint.id() == id))
    }

    /// Asks the balancer.
    #[inline]
    fn choose(&mut self, key: Option<u64>, exclude: Option<usize>, now: Nanos) -> Result<usize, NoEndpoint> {
        match (self.candidates.len(), exclude) {
            (1, Some(_)) => Err(NoEndpoint::OnlyExcluded),
            (1, None) => Ok(0),
            _ => {
                let mut request = PickRequest { key, exclude, now, random: &mut self.random };
                Ok(self.balancer.pick(&self.candidates, &mut request))
            }
        }
    }

    /// Selects the candidates anew. If they are the same as before, the balancer need not know.
    fn refresh(&mut self) {
        // Before the states are read: a change while they are moves the epoch on and leads here again.
        self.epoch = self.pool.epoch();
        // Panic is about the whole pool: one level that is down has others beside it.
        let selected = match &self.only {
            Some(members) => candidates::select_level(members),
            None => candidates::select(&self.pool.members, self.pool.panic_threshold_percent),
        };
        let Selection { tier, chosen, span } = match selected {
            Ok(selection) => selection,
            Err(why) => {
                // The candidates stay as they are, unused: most likely they are back soon.
                self.tier = Err(why);
                return;
            }
        };
        self.tier = Ok(tier);
        let members = self.only.as_deref().unwrap_or(&self.pool.members);
        let endpoint_of = |index: usize| &members[index].endpoint;
        // A reload may have changed a limit, which no balancer knows of.
        let leasable =
            |(index, _): &(usize, u32)| Leasable::of(&members[*index], &self.pool, tier.obeys_circuits());
        self.leasable = chosen.iter().map(leasable).collect();
        let is_same = span == self.span
            && chosen.len() == self.candidates.len()
            && chosen.iter().zip(&self.candidates).all(|((index, weight), candidate)| {
                *weight == candidate.weight && Arc::ptr_eq(endpoint_of(*index), &candidate.endpoint)
            });
        if is_same {
            return;
        }
        self.candidates = chosen
            .iter()
            .map(|(index, weight)| {
                let endpoint = Arc::clone(endpoint_of(*index));
                Candidate { is_reduced: endpoint.share() < FULL_SHARE, endpoint, weight: *weight }
            })
            .collect();
        self.span = span;
        self.balancer.rebuild(&self.candidates, &self.span, &mut self.random);
    }
}

impl std::fmt::Debug for Picker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Picker")
            .field("pool", &self.pool.name)
            .field("tier", &self.tier)
            .field("candidates", &self.candidates.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
