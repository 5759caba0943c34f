//! Mirroring: a copy of some requests to a second pool, whose answers nobody gets. Decides who is copied, and what two
//! answers have in common.

use super::{PoolIndex, duration};
use crate::document::{self, DocumentError};
use std::time::Duration;

/// What a route mirrors, checked.
#[derive(Debug)]
pub struct Mirror {
    /// Where the copies go.
    pub pool: PoolIndex,
    /// Of how many requests in a hundred.
    pub percent: u8,
    /// Bytes of a request's body up to which it is copied, and of a response's up to which its contents are compared.
    pub body_bytes: u64,
    /// Copies of this route under way at once, for each worker.
    pub in_flight: u32,
    /// For a copy, from its pick to the last byte of its answer.
    pub timeout: Duration,
    /// Whether the answers are compared.
    pub compare: bool,
}

/// What became of a request that was drawn for mirroring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mirrored {
    /// The copy was answered.
    Answered,
    /// The copy was sent or was to be, and no whole answer came in time.
    Failed,
    /// No endpoint of the second pool could be picked.
    NoEndpoint,
    /// Not copied: as many copies as allowed were under way.
    DroppedInFlight,
    /// Not copied: its body is larger than allowed.
    DroppedBody,
    /// Not copied: the client did not bring its whole body.
    DroppedIncomplete,
}

/// What two answers to the same request have in common. The first difference counts, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Status, length and contents; only status and length for bodies above the bound.
    Same,
    /// Their statuses differ.
    Status,
    /// Their bodies' lengths differ.
    Length,
    /// Their bodies' contents differ.
    Body,
    /// One of them did not come whole.
    Incomplete,
}

/// What is compared of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The status.
    pub status: u16,
    /// Bytes of the body, without its framing.
    pub length: u64,
    /// A hash of the body; `None` when it is larger than what is compared.
    pub hash: Option<u64>,
}

/// Hashes a body that comes in pieces: FNV-1a, which gives the same for any pieces. Accidental differences are what it is
/// for; nobody gains anything by making two bodies collide.
#[derive(Debug, Clone, Copy)]
pub struct BodyHash(u64);

impl Default for BodyHash {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl BodyHash {
    /// Takes the next piece.
    pub fn take(&mut self, piece: &[u8]) {
        self.0 =
            piece.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3));
    }

    /// The hash of all pieces so far.
    pub fn value(self) -> u64 {
        self.0
    }
}

impl Mirror {
    /// Checks. Error paths are relative to the mirror: "percent". `pool` is where its pool's name leads.
    ///
    /// # Errors
    /// A share above 100 %, no copy allowed at all, a deadline that is none.
    pub fn build(document: &document::Mirror, pool: PoolIndex) -> Result<Self, DocumentError> {
        if document.percent > 100 {
            return Err(DocumentError::new("percent", "must be between 0 and 100"));
        }
        if document.in_flight == 0 {
            return Err(DocumentError::new("in_flight", "must be at least 1"));
        }
        if document.body_bytes > MOST_BODY {
            return Err(DocumentError::new("body_bytes", format!("must be at most {MOST_BODY}")));
        }
        Ok(Self {
            pool,
            percent: document.percent,
            body_bytes: document.body_bytes,
            in_flight: document.in_flight,
            timeout: duration("timeout_ms", document.timeout_ms)?,
            compare: document.compare,
        })
    }
}

/// A body is kept in memory until its copy is sent; a worker's copies together must not take it all.
const MOST_BODY: u64 = 16 << 20;

impl Mirrored {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 6] = [
        Self::Answered,
        Self::Failed,
        Self::NoEndpoint,
        Self::DroppedInFlight,
        Self::DroppedBody,
        Self::DroppedIncomplete,
    ];

    /// As the metrics write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::NoEndpoint => "no-endpoint",
            Self::DroppedInFlight => "dropped-in-flight",
            Self::DroppedBody => "dropped-body",
            Self::DroppedIncomplete => "dropped-incomplete",
        }
    }
}

impl Comparison {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 5] = [Self::Same, Self::Status, Self::Length, Self::Body, Self::Incomplete];

    /// As the metrics write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Status => "status",
            Self::Length => "length",
            Self::Body => "body",
            Self::Incomplete => "incomplete",
        }
    }

    /// Compares two answers; `None` for one that did not come whole.
    pub fn of(first: Option<Outcome>, second: Option<Outcome>) -> Self {
        match (first, second) {
            (Some(a), Some(b)) if a.status != b.status => Self::Status,
            (Some(a), Some(b)) if a.length != b.length => Self::Length,
            (Some(a), Some(b)) if a.hash.is_some() && b.hash.is_some() && a.hash != b.hash => Self::Body,
            (Some(_), Some(_)) => Self::Same,
            _ => Self::Incomplete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_counts() {
        let one = Outcome { status: 200, length: 5, hash: Some(1) };
        for (other, expected) in [
            (Some(one), Comparison::Same),
            (Some(Outcome { status: 500, length: 9, hash: Some(2) }), Comparison::Status),
            (Some(Outcome { length: 9, hash: Some(2), ..one }), Comparison::Length),
            (Some(Outcome { hash: Some(2), ..one }), Comparison::Body),
            (Some(Outcome { hash: None, ..one }), Comparison::Same),
            (None, Comparison::Incomplete),
        ] {
            assert_eq!(Comparison::of(Some(one), other), expected, "{other:?}");
            assert_eq!(Comparison::of(other, Some(one)), expected, "{other:?}");
        }
    }

    #[test]
    fn a_body_hashes_the_same_in_any_pieces() {
        let text = b"the same in any pieces";
        let mut whole = BodyHash::default();
        whole.take(text);
        for cut in 0..text.len() {
            let mut pieces = BodyHash::default();
            pieces.take(&text[..cut]);
            pieces.take(&text[cut..]);
            assert_eq!(pieces.value(), whole.value());
        }
        // The published test vector of FNV-1a 64 for "foobar".
        let mut vector = BodyHash::default();
        vector.take(b"foobar");
        assert_eq!(vector.value(), 0x8594_4171_F739_67E8);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let document = document::Mirror {
            pool: "shadow".into(),
            percent: 10,
            body_bytes: 1,
            in_flight: 1,
            timeout_ms: 1,
            compare: true,
        };
        assert!(Mirror::build(&document, PoolIndex(0)).is_ok());
        for (change, path) in [
            (document::Mirror { percent: 101, ..document.clone() }, "percent"),
            (document::Mirror { in_flight: 0, ..document.clone() }, "in_flight"),
            (document::Mirror { body_bytes: u64::MAX, ..document.clone() }, "body_bytes"),
            (document::Mirror { timeout_ms: 0, ..document }, "timeout_ms"),
        ] {
            assert_eq!(Mirror::build(&change, PoolIndex(0)).unwrap_err().path, path);
        }
    }
}
