//! Which socket carries which session.
//!
//! An endpoint's answer says which socket it came to and from which address, and no more. So one socket (one source port)
//! can carry one session to each endpoint, and sessions to other endpoints beside it: a worker needs as many sockets as
//! its busiest endpoint has sessions, not as many as there are sessions. A socket of its own for each session would cost
//! a descriptor and some 3 KiB in the kernel each.

use super::SessionId;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Sockets that rest between two sessions to the same endpoint, as long as others are to be had: what the endpoint
/// still sends to the former client must not reach the next one. Ports are used again in the order in which they
/// became free.
pub(super) const RESTING: usize = 64;

/// Sockets that are kept although hardly any is used.
const KEPT: u32 = 64;

/// A socket for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// One that is open.
    Open(u32),
    /// The next one, to be opened first; [`Sources::opened`] says that it was.
    New(u32),
}

/// Endpoints from which on those are forgotten that have no session: their sockets need not rest for ever.
const ENDPOINTS: usize = 1024;

/// The sockets of one address family.
#[derive(Debug)]
pub struct Sources {
    open: u32,
    most: u32,
    by_endpoint: FxHashMap<SocketAddr, Ledger>,
    /// By socket and endpoint.
    sessions: FxHashMap<(u32, SocketAddr), SessionId>,
}

/// The sockets as one endpoint sees them.
#[derive(Debug, Default)]
struct Ledger {
    /// Sockets from here on never carried a session to it.
    next: u32,
    /// Sockets that did, the one that rests longest first.
    free: VecDeque<u32>,
}

impl Sources {
    /// None open, and never more than `most`.
    pub fn new(most: u32) -> Self {
        Self { open: 0, most, by_endpoint: FxHashMap::default(), sessions: FxHashMap::default() }
    }

    /// Sockets that are open.
    pub fn len(&self) -> u32 {
        self.open
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// A socket for a session to `endpoint`; `None` if all that there may be carry one. It must be taken or, if it
    /// cannot be opened, asked for again with [`Sources::claim_open`].
    pub fn claim(&mut self, endpoint: SocketAddr) -> Option<Claim> {
        let ledger = self.by_endpoint.entry(endpoint).or_default();
        if ledger.free.len() < RESTING {
            if ledger.next < self.open {
                ledger.next += 1;
                return Some(Claim::Open(ledger.next - 1));
            }
            if self.open < self.most {
                return Some(Claim::New(self.open));
            }
        }
        self.claim_open(endpoint).map(Claim::Open)
    }

    /// The same among those that are open.
    pub fn claim_open(&mut self, endpoint: SocketAddr) -> Option<u32> {
        let ledger = self.by_endpoint.entry(endpoint).or_default();
        while let Some(source) = ledger.free.pop_front() {
            if source < self.open {
                return Some(source);
            }
        }
        if ledger.next < self.open {
            ledger.next += 1;
            return Some(ledger.next - 1);
        }
        None
    }

    /// The socket that [`Sources::claim`] asked for is open, and taken for `endpoint`.
    pub fn opened(&mut self, endpoint: SocketAddr) {
        self.open += 1;
        let open = self.open;
        // All others below it are in use for this endpoint, or rest.
        self.by_endpoint.entry(endpoint).or_default().next = open;
    }

    /// The socket carries this session from here on.
    pub fn take(&mut self, source: u32, endpoint: SocketAddr, session: SessionId) {
        self.sessions.insert((source, endpoint), session);
    }

    /// Whose answer comes from `endpoint` to this socket.
    pub fn session(&self, source: u32, endpoint: SocketAddr) -> Option<SessionId> {
        self.sessions.get(&(source, endpoint)).copied()
    }

    /// The session is over, or goes to another endpoint.
    pub fn release(&mut self, source: u32, endpoint: SocketAddr) {
        if self.sessions.remove(&(source, endpoint)).is_some() && source < self.open {
            self.by_endpoint.entry(endpoint).or_default().free.push_back(source);
        }
    }

    /// Closes sockets after a burst, from the last one on, as long as less than a quarter is needed: how many are left.
    pub fn shrink(&mut self) -> u32 {
        if self.by_endpoint.len() > ENDPOINTS {
            self.forget_endpoints();
        }
        let in_use = self.sessions.len();
        if self.open <= KEPT || in_use * 4 >= self.open as usize {
            return self.open;
        }
        let highest = self.sessions.keys().map(|(source, _)| source + 1).max().unwrap_or(0);
        self.open = highest.max(KEPT).min(self.open);
        let open = self.open;
        for ledger in self.by_endpoint.values_mut() {
            ledger.next = ledger.next.min(open);
            ledger.free.retain(|source| *source < open);
        }
        self.forget_endpoints();
        open
    }

    /// Those that no session is at: they are perhaps long gone.
    fn forget_endpoints(&mut self) {
        self.by_endpoint.retain(|_, ledger| ledger.free.len() < ledger.next as usize);
    }

    /// Bytes that the tables take now, for their measurement.
    pub fn bytes(&self) -> usize {
        let rested: usize = self.by_endpoint.values().map(|ledger| ledger.free.capacity() * 4).sum();
        rested + self.sessions.capacity() * (size_of::<((u32, SocketAddr), SessionId)>() + 1)
    }
}
