//! Leases for clients that belong to an endpoint, whether or not the balancer may pick it.

use super::candidates::keeps;
use super::lease::Leasable;
use super::{Lease, Nanos, Picker};
use crate::affinity::Place;
use rustc_hash::FxHashMap;

/// A pool's members by place, as this worker leases them; made when the first client asks for its endpoint.
pub(super) type Residents = Option<Box<FxHashMap<Place, (usize, Leasable)>>>;

/// What became of a client's wish for the endpoint that it belongs to.
#[derive(Debug)]
pub enum Resident {
    /// It can have it.
    Lease(Lease),
    /// The endpoint holds as many requests as it may. It is alive, so the client goes on belonging to it.
    Full,
    /// The endpoint has gone or cannot serve any more.
    Gone,
}

impl Picker {
    /// Leases the endpoint that a client belongs to.
    ///
    /// A draining endpoint serves those who belong to it: that is what it waits for.
    pub fn lease(&mut self, place: Place, now: Nanos) -> Resident {
        let tier = self.tier(now);
        let members = &self.pool.members;
        let residents = self.residents.get_or_insert_with(|| {
            let leasable = members.iter().enumerate().map(|(index, member)| {
                let leasable = Leasable::of(member, &self.pool);
                (Place::of(&member.endpoint), (index, leasable))
            });
            Box::new(leasable.collect())
        });
        match residents.get(&place) {
            Some((index, leasable)) if keeps(&members[*index], tier) => {
                leasable.lease().map_or(Resident::Full, Resident::Lease)
            }
            _ => Resident::Gone,
        }
    }
}
