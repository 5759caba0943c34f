//! Leases for clients that belong to an endpoint, whether or not the balancer may pick it.

use super::candidates::keeps;
use super::lease::Leasable;
use super::{Lease, Nanos, Picker};
use crate::affinity::Place;
use crate::circuit::Phase;
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
                let leasable = Leasable::of(member, &self.pool, true);
                (Place::of(&member.endpoint), (index, leasable))
            });
            Box::new(leasable.collect())
        });
        let Some((index, leasable)) = residents.get(&place) else { return Resident::Gone };
        let member = &members[*index];
        if !keeps(member, tier) {
            return Resident::Gone;
        }
        let lease = match tier {
            Ok(tier) if member.circuit.is_some() && !tier.obeys_circuits() => {
                Leasable::of(member, &self.pool, false).lease()
            }
            // A client that belongs to an endpoint whose circuit is open moves once, as from one that is ejected.
            _ if member.phase() == Phase::Open => return Resident::Gone,
            _ => leasable.lease(),
        };
        lease.map_or(Resident::Full, Resident::Lease)
    }
}
