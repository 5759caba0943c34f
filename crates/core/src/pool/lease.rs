//! A lease: the right to send one request (or open one connection) to an endpoint.

use super::{Endpoint, Member, Pool};
use crate::circuit::{Circuit, Room};
use crate::concurrency::Concurrency;
use std::rc::Rc;
use std::sync::Arc;

/// Counts itself in on creation and out on drop, so that no way out of a request can forget it.
///
/// It stays on its worker, see `Leasable`.
#[derive(Debug)]
pub struct Lease {
    endpoint: Leasable,
}

/// An endpoint as a worker leases it: each lease holds on to the worker's own reference count instead of the `Arc`'s,
/// which all workers would write to twice a request.
#[derive(Debug, Clone)]
pub(crate) struct Leasable(Rc<Shared>);

/// A name for what the `Rc` points at; the second allocation is the point of it.
#[derive(Debug)]
struct Shared {
    endpoint: Arc<Endpoint>,
    /// Leases that may be held on it, over all workers.
    most: u32,
    /// The pool's own room, where that is limited.
    room: Option<Room>,
    /// The same, where it is found out.
    measured: Option<Room>,
}

impl Leasable {
    /// `most`: leases that may be held on it at once, over all workers; `u32::MAX` for no limit.
    #[cfg(test)]
    pub(crate) fn new(endpoint: Arc<Endpoint>, most: u32) -> Self {
        Self(Rc::new(Shared { endpoint, most, room: None, measured: None }))
    }

    /// A member as its pool leases it.
    pub(crate) fn of(member: &Member, pool: &Pool) -> Self {
        let room = pool.circuit.as_ref().and_then(Circuit::room);
        let measured = pool.concurrency.as_ref().map(Concurrency::room);
        let endpoint = Arc::clone(&member.endpoint);
        Self(Rc::new(Shared { endpoint, most: member.max_connections, room, measured }))
    }

    /// Leases the endpoint; `None` when as many leases are held on it, or on its pool, as may be.
    #[inline]
    pub(crate) fn lease(&self) -> Option<Lease> {
        let Shared { endpoint, most, room, measured } = &*self.0;
        if room.as_ref().is_some_and(|room| !room.count_in()) {
            return None;
        }
        if measured.as_ref().is_none_or(Room::count_in) {
            if endpoint.count_in(*most) {
                return Some(Lease { endpoint: self.clone() });
            }
            measured.as_ref().inspect(|room| room.count_out());
        }
        room.as_ref().inspect(|room| room.count_out());
        None
    }

    /// Whether one more lease would fit at this moment.
    pub(crate) fn has_room(&self) -> bool {
        let Shared { endpoint, most, room, measured } = &*self.0;
        endpoint.in_flight() < *most && room.iter().chain(measured).all(Room::has_room)
    }
}

impl Lease {
    /// The endpoint that was picked.
    #[inline]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint.0.endpoint
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        self.endpoint().count_out();
        if let Some(room) = &self.endpoint.0.room {
            room.count_out();
        }
        if let Some(room) = &self.endpoint.0.measured {
            room.count_out();
        }
    }
}
