//! What the streams of a connection share.

use crate::error::{Code, Error};
use crate::frame::{kind, write_header, write_varint};
use evenly_http2::fields::{Budget, Budgets, Rooms};
use std::cell::Cell;
use std::rc::Rc;

/// Bounds of one connection. All sizes are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests at once, which QUIC holds; so much larger is what a peer may do at once to all of them.
    pub streams: u32,
    /// A field section: names, values, and 32 for each field and each cookie crumb (RFC 9114 §4.2.2). Announced as
    /// SETTINGS_MAX_FIELD_SECTION_SIZE; a request beyond it is [`crate::Piece::TooLarge`] or [`crate::Head::TooLarge`].
    pub head_bytes: u32,
    /// Fields of a section, each cookie crumb counted.
    pub fields: u32,
    /// Field sections of which a part is missing, and what those of live streams take beyond ten times what they took
    /// on the wire, of all streams together. Streams beyond it are refused.
    pub held_head_bytes: u32,
    /// Whether WebSocket and other protocols may be asked for (RFC 9220).
    pub extended_connect: bool,
}

/// The state that a connection's streams share.
pub struct Connection {
    pub(crate) limits: Limits,
    pub(crate) budgets: Budgets,
    pub(crate) rooms: Rooms,
    /// See [`Limits::held_head_bytes`].
    pub(crate) held: Rc<Cell<usize>>,
    /// The client's control stream and its two for QPACK, as far as they have begun.
    pub(crate) critical: [bool; 3],
    /// The largest push that the client would take.
    pub(crate) most_pushes: Option<u64>,
    /// The push from which on it takes none.
    pub(crate) goaway: Option<u64>,
}

/// SETTINGS (RFC 9114 §11.2.2, RFC 9204 §8.1, RFC 9220 §3).
pub(crate) mod setting {
    pub const MAX_FIELD_SECTION_SIZE: u64 = 0x06;
    pub const ENABLE_CONNECT_PROTOCOL: u64 = 0x08;

    /// Those of HTTP/2, which HTTP/3 must not have (RFC 9114 §7.2.4.1).
    pub const fn is_of_http2(identifier: u64) -> bool {
        matches!(identifier, 0x00 | 0x02..=0x05)
    }
}

impl Connection {
    /// A connection that begins at `now`, in milliseconds.
    #[must_use]
    pub fn new(limits: Limits, now: u64) -> Self {
        Self {
            limits,
            budgets: Budgets::new(now, limits.streams),
            rooms: Rooms::default(),
            held: Rc::default(),
            critical: [false; 3],
            most_pushes: None,
            goaway: None,
        }
    }

    /// The client gave a stream up before its response was complete.
    ///
    /// # Errors
    /// It does so too often (CVE-2023-44487 is HTTP/2's).
    pub fn given_up(&mut self, now: u64) -> Result<(), Error> {
        self.spend(Budget::RapidReset, now)
    }

    /// A stream was ended because of what the client did on it.
    ///
    /// # Errors
    /// That happens too often.
    pub fn broken(&mut self, now: u64) -> Result<(), Error> {
        self.spend(Budget::MadeYouReset, now)
    }

    /// A request has got its response: that allows for one that does not.
    pub fn answered(&mut self) {
        for budget in [Budget::RapidReset, Budget::MadeYouReset] {
            self.budgets.refund(budget, 1);
        }
    }

    pub(crate) fn spend(&mut self, budget: Budget, now: u64) -> Result<(), Error> {
        let spent = self.budgets.spend(budget, now);
        spent.map_err(|error| Error::connection(Code::EXCESSIVE_LOAD, error.what))
    }
}

/// The first bytes of the server's control stream: its type, and SETTINGS.
pub fn write_greeting(out: &mut Vec<u8>, limits: &Limits) {
    const CONTROL: u64 = 0x00;
    let mut settings = Vec::new();
    for (identifier, value) in [
        (setting::MAX_FIELD_SECTION_SIZE, u64::from(limits.head_bytes)),
        (setting::ENABLE_CONNECT_PROTOCOL, u64::from(limits.extended_connect)),
    ] {
        write_varint(&mut settings, identifier);
        write_varint(&mut settings, value);
    }
    write_varint(out, CONTROL);
    write_header(out, kind::SETTINGS, settings.len());
    out.extend_from_slice(&settings);
}

/// Says on the control stream that requests from the stream `first` on are not answered any more (RFC 9114 §5.2).
pub fn write_goaway(out: &mut Vec<u8>, first: u64) {
    let mut payload = Vec::new();
    write_varint(&mut payload, first);
    write_header(out, kind::GOAWAY, payload.len());
    out.extend_from_slice(&payload);
}
