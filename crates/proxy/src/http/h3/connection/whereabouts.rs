//! Where a client is, as far as that is certain.
//!
//! With the first packet from somewhere else `quinn_proto` sends there, and asks whether the client can be reached there
//! (RFC 9000 §8.2). What comes of that it does not tell; if nothing does, it goes back within three probe timeouts. Anybody can
//! write any address on a packet, so a request counts as one from the address before until it cannot go back any more.

use crate::quic::Link;
use crate::worker::deadlines::Deadline;
use std::net::SocketAddr;
use std::time::Duration;

/// Three times the longest delay of acknowledgements that a client may announce, 2^14 ms, and some more.
const DELAYS: Duration = Duration::from_secs(60);

/// Three probe timeouts are at most so many round trips, and the delays: three of three, one and twice its deviation being the
/// first.
const ROUND_TRIPS: u32 = 16;

/// Never, as a tick.
const NEVER: u64 = u64::MAX;

/// See the module.
pub(super) struct Whereabouts {
    /// Its address.
    pub peer: SocketAddr,
    /// Round trips there.
    round_trip: Duration,
    /// From where packets come now, and when that is certain.
    next: Option<(SocketAddr, u64)>,
}

impl Whereabouts {
    /// Of a client whose first packet came from there.
    pub fn new(peer: SocketAddr) -> Self {
        Self { peer, round_trip: Duration::ZERO, next: None }
    }

    /// Takes note of where packets come from; whether the client has moved.
    pub fn follow(&mut self, link: &Link, deadline: &Deadline) -> bool {
        let (remote, round_trip) = link.remote();
        if remote == self.peer {
            (self.round_trip, self.next) = (round_trip, None);
            return false;
        }
        // Another port alone is another mapping of a NAT, and gives no rights.
        if remote.ip() != self.peer.ip() {
            let certain = match self.next {
                Some((next, certain)) if next == remote => certain,
                _ => deadline.at(DELAYS + ROUND_TRIPS * self.round_trip.max(round_trip)),
            };
            self.next = Some((remote, certain));
            if !deadline.is_past(certain) {
                return false;
            }
        }
        (self.peer, self.next) = (remote, None);
        true
    }

    /// When more is certain, as a tick.
    pub fn due(&self) -> u64 {
        self.next.map_or(NEVER, |(_, certain)| certain)
    }
}
