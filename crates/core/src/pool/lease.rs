//! A lease: the right to send one request (or open one connection) to an endpoint.

use super::{Endpoint, Member, Pool};
use crate::circuit::{Circuit, EndpointCircuit, Permit, Room};
use crate::concurrency::Concurrency;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// Counts itself in on creation and out on drop, so that no way out of a request can forget it.
///
/// It stays on its worker, see `Leasable`.
#[derive(Debug)]
pub struct Lease {
    endpoint: Leasable,
    /// What the endpoint's circuit breaker has let it in with, until that knows what came of it.
    permit: RefCell<Option<Permit>>,
    /// Whether it counts among those that wait for a connection.
    is_pending: Cell<bool>,
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
    /// What else limits them, if anything does.
    limits: Option<Limits>,
}

/// What most pools do without.
#[derive(Debug, Default)]
struct Limits {
    /// The pool's own room, where that is limited.
    room: Option<Room>,
    /// The same, where it is found out.
    measured: Option<Room>,
    /// The endpoint's circuit breaker.
    circuit: Option<EndpointCircuit>,
    /// Where requests wait for a connection to it, if that is limited.
    waiting: Option<Room>,
}

impl Leasable {
    /// `most`: leases that may be held on it at once, over all workers; `u32::MAX` for no limit.
    #[cfg(test)]
    pub(crate) fn new(endpoint: Arc<Endpoint>, most: u32) -> Self {
        Self(Rc::new(Shared { endpoint, most, limits: None }))
    }

    /// A member as its pool leases it. Unless `obeys_circuit`, whatever its circuit breaker makes of it: nobody is let in by it
    /// or told to it. Its limits hold in any case.
    pub(crate) fn of(member: &Member, pool: &Pool, obeys_circuit: bool) -> Self {
        let circuit = member.circuit.as_ref();
        let limits = Limits {
            room: pool.circuit.as_ref().and_then(Circuit::room),
            measured: pool.concurrency.as_ref().map(Concurrency::room),
            circuit: circuit.filter(|_| obeys_circuit).cloned(),
            waiting: circuit.and_then(EndpointCircuit::waiting_room),
        };
        let most = circuit.map_or(member.max_connections, |circuit| circuit.at_most(member.max_connections));
        let limits = limits.is_any().then_some(limits);
        Self(Rc::new(Shared { endpoint: Arc::clone(&member.endpoint), most, limits }))
    }

    /// Leases the endpoint; `None` when as many leases are held on it, or on its pool, as may be, or its circuit breaker lets
    /// nobody in.
    #[inline]
    pub(crate) fn lease(&self) -> Option<Lease> {
        let Shared { endpoint, most, limits } = &*self.0;
        let permit = match limits {
            None => endpoint.count_in(*most).then_some(None)?,
            Some(limits) => limits.count_in(endpoint, *most)?,
        };
        let is_pending = limits.as_ref().is_some_and(|limits| limits.waiting.is_some());
        Some(Lease {
            endpoint: self.clone(),
            permit: RefCell::new(permit),
            is_pending: Cell::new(is_pending),
        })
    }

    /// Whether one more lease would fit at this moment.
    pub(crate) fn has_room(&self) -> bool {
        let Shared { endpoint, most, limits } = &*self.0;
        endpoint.in_flight() < *most && limits.as_ref().is_none_or(Limits::has_room)
    }
}

impl Limits {
    fn is_any(&self) -> bool {
        let Self { room, measured, circuit, waiting } = self;
        room.is_some() || measured.is_some() || circuit.is_some() || waiting.is_some()
    }

    /// Counts a lease in everywhere, or nowhere; what the circuit breaker has let it in with.
    fn count_in(&self, endpoint: &Endpoint, most: u32) -> Option<Option<Permit>> {
        let permit = self.circuit.as_ref().map(|circuit| circuit.enter().ok_or(circuit)).transpose();
        let permit = permit.map_err(EndpointCircuit::reject).ok()?;
        let rooms = [&self.room, &self.measured, &self.waiting];
        for (place, room) in rooms.into_iter().enumerate() {
            if room.as_ref().is_some_and(|room| !room.count_in()) {
                rooms[..place].iter().copied().flatten().for_each(Room::count_out);
                if place + 1 == rooms.len() {
                    self.circuit.as_ref().inspect(|circuit| circuit.reject());
                }
                return None;
            }
        }
        if !endpoint.count_in(most) {
            rooms.into_iter().flatten().for_each(Room::count_out);
            self.circuit
                .as_ref()
                .filter(|circuit| circuit.limits_at(most))
                .inspect(|circuit| circuit.reject());
            return None;
        }
        Some(permit)
    }

    fn has_room(&self) -> bool {
        let Self { room, measured, circuit, waiting } = self;
        room.iter().chain(measured).chain(waiting).all(Room::has_room)
            && !circuit.as_ref().is_some_and(EndpointCircuit::refuses)
    }
}

impl Lease {
    /// The endpoint that was picked.
    #[inline]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint.0.endpoint
    }

    /// It has a connection, or will never have one: it waits no longer.
    #[inline]
    pub fn connected(&self) {
        if self.is_pending.replace(false)
            && let Some(Limits { waiting: Some(waiting), .. }) = &self.endpoint.0.limits
        {
            waiting.count_out();
        }
    }

    /// Whether it is one of those by which a half-open circuit is tried.
    #[cfg(test)]
    pub(crate) fn is_probe(&self) -> bool {
        self.permit.borrow().as_ref().is_some_and(Permit::is_probe)
    }

    /// Tells the endpoint's circuit breaker what came of it; only the first word counts.
    #[inline]
    pub fn tell(&self, is_success: bool) {
        if let Some(Limits { circuit: Some(circuit), .. }) = &self.endpoint.0.limits
            && let Some(permit) = self.permit.take()
        {
            circuit.leave(permit, is_success);
        }
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        self.endpoint().count_out();
        if let Some(Limits { room, measured, .. }) = &self.endpoint.0.limits {
            room.iter().chain(measured).for_each(Room::count_out);
            self.connected();
        }
    }
}
