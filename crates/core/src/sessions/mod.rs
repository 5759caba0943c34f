//! UDP sessions: which datagrams belong together, when that ends, and through which socket they reach an endpoint.
//!
//! UDP has no connections. A session is what has the same client address and port and came to the same local address:
//! its datagrams go to one endpoint, and that endpoint's answers go back. It ends after silence, or after a number of
//! answers. [`Sessions`] finds it by the client's datagrams; [`Sources`] by the endpoint's. Both belong to one worker
//! and one bound address; the kernel keeps a client's datagrams on one worker.
//!
//! How many there may be is the caller's to say, by the permit that each holds: tables grow with what is in them and
//! have no bound of their own.

mod sources;

pub use sources::{Claim, Sources};

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};

/// A moment in the caller's ticks.
pub type Tick = u64;

/// A session's place in the table; given to another one once it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(u32);

/// What the datagrams of a session have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The client.
    pub client: SocketAddr,
    /// The local address that it sent to, where the socket is bound to all of them; answers must come from it.
    pub local: Option<IpAddr>,
}

/// One session; `T` is what the caller keeps with it.
#[derive(Debug)]
pub struct Session<T> {
    /// Which datagrams are its.
    pub flow: Flow,
    /// The endpoint that they go to.
    pub endpoint: SocketAddr,
    /// The socket that they go through.
    pub source: u32,
    /// When the last datagram came, from either side.
    pub last: Tick,
    /// Since when the endpoint has it and has answered nothing; `None` once that is settled.
    pub unanswered: Option<Tick>,
    /// Answers that it may still have; `None`: any number.
    pub answers_left: Option<u32>,
    /// The caller's.
    pub with: T,
}

/// Moments before which sessions are due.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    /// Of the last datagram: then a session ends.
    pub silent: Tick,
    /// Since when nothing was answered: then its endpoint is judged.
    pub unanswered: Tick,
}

impl<T> Session<T> {
    /// Whether it is to end.
    pub fn is_silent(&self, due: Due) -> bool {
        self.last < due.silent
    }

    /// Whether its endpoint is to be judged.
    pub fn is_unanswered(&self, due: Due) -> bool {
        self.unanswered.is_some_and(|since| since < due.unanswered)
    }
}

/// The sessions of one worker at one address. `S` hashes what clients choose, so it needs a key they cannot know.
#[derive(Debug)]
pub struct Sessions<T, S> {
    by_flow: HashMap<Flow, u32, S>,
    slots: Vec<Option<Session<T>>>,
    free: Vec<u32>,
    /// Where the next look for silent sessions begins.
    swept: usize,
}

/// Slots looked at in one sweep at least, so that a small table is looked at as a whole each time.
const SWEEP_SLOTS: usize = 512;

/// Sweeps that look at every slot of a large table once.
const SWEEPS: usize = 20;

impl<T, S: BuildHasher> Sessions<T, S> {
    /// No session yet.
    pub fn new(hasher: S) -> Self {
        Self { by_flow: HashMap::with_hasher(hasher), slots: Vec::new(), free: Vec::new(), swept: 0 }
    }

    /// Sessions that there are.
    pub fn len(&self) -> usize {
        self.by_flow.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_flow.is_empty()
    }

    /// The session of a client's datagram.
    pub fn find(&self, flow: &Flow) -> Option<SessionId> {
        self.by_flow.get(flow).copied().map(SessionId)
    }

    /// A session by its place.
    pub fn get(&mut self, id: SessionId) -> Option<&mut Session<T>> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }

    /// The place that the next [`Sessions::open`] gives.
    pub fn next(&self) -> SessionId {
        let end = u32::try_from(self.slots.len()).expect("sessions are bounded by the descriptor limit");
        SessionId(self.free.last().copied().unwrap_or(end))
    }

    /// Adds a session.
    pub fn open(&mut self, session: Session<T>) -> SessionId {
        let id = self.next();
        let known = self.by_flow.insert(session.flow, id.0);
        debug_assert!(known.is_none(), "a flow has one session");
        match self.free.pop() {
            Some(index) => self.slots[index as usize] = Some(session),
            None => self.slots.push(Some(session)),
        }
        id
    }

    /// Ends a session.
    pub fn close(&mut self, id: SessionId) -> Option<Session<T>> {
        let session = self.slots.get_mut(id.0 as usize)?.take()?;
        self.by_flow.remove(&session.flow);
        self.free.push(id.0);
        Some(session)
    }

    /// Sessions in a part of the table that are due: nothing came since `due.silent`, or their endpoint has not answered
    /// since before `due.unanswered`. All parts are seen in `SWEEPS` calls.
    pub fn due(&mut self, due: Due) -> Vec<SessionId> {
        let slots = self.slots.len();
        let share = (slots / SWEEPS).max(SWEEP_SLOTS).min(slots);
        let mut found = Vec::new();
        for _ in 0..share {
            self.swept = if self.swept + 1 < slots { self.swept + 1 } else { 0 };
            if let Some(session) = &self.slots[self.swept]
                && (session.is_silent(due) || session.is_unanswered(due))
            {
                found.push(SessionId(u32::try_from(self.swept).unwrap_or(u32::MAX)));
            }
        }
        if self.by_flow.is_empty() && slots > SWEEP_SLOTS {
            // A burst is over: its memory goes back.
            self.slots = Vec::new();
            self.free = Vec::new();
            self.by_flow.shrink_to_fit();
        }
        found
    }

    /// Every session there is.
    pub fn ids(&self) -> Vec<SessionId> {
        self.by_flow.values().copied().map(SessionId).collect()
    }

    /// Bytes that the tables take now, for their measurement.
    pub fn bytes(&self) -> usize {
        let flows = self.by_flow.capacity() * (size_of::<Flow>() + size_of::<u32>() + 1);
        flows + self.slots.capacity() * size_of::<Option<Session<T>>>() + self.free.capacity() * 4
    }
}

#[cfg(test)]
mod tests;
