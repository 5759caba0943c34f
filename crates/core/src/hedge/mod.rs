//! Hedging: a request that takes longer than most is sent to a second endpoint as well, and the first answer counts.
//!
//! ```text
//! the first try is still waiting ── Delays::after ──> its time is not over, or nobody knows what "most" is: nothing
//!                                        │ over
//!                                        ├ another endpoint has room, and Budget::withdraw ──> no: nothing
//!                                        └ a second try beside the first; whoever answers later is cancelled
//! ```
//!
//! * [`Hedge`] is a pool's policy: later than which share of its requests, and never earlier than when.
//! * [`Delays`] is what a worker knows of a pool's response times; the delay follows it.
//!
//! The idea and its price are Dean and Barroso's ("The Tail at Scale", 2013): at the 95th percentile the load grows by
//! five in a hundred at most, and the slowest responses are those of two endpoints at once. What it may cost is bounded
//! a second time, by the retry budget, so that a pool that is slow altogether does not get twice its load.

mod delays;

pub use delays::Delays;

use crate::document::{self, DocumentError};
use crate::route::duration;
use std::ops::RangeInclusive;
use std::time::Duration;

/// When a pool's requests get a second try beside the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    permille: u32,
    least: Duration,
}

/// Below the median most requests would be sent twice; above 99.9 % a worker would have to see tens of thousands of
/// responses before it knew what that means.
const PERMILLE: RangeInclusive<u32> = 500..=999;

impl Hedge {
    /// Checks a document's policy. Error paths are relative to it.
    ///
    /// # Errors
    /// The first value that cannot be meant as it stands.
    pub fn build(document: &document::Hedge) -> Result<Self, DocumentError> {
        if !PERMILLE.contains(&document.permille) {
            let (low, high) = PERMILLE.into_inner();
            return Err(DocumentError::new("permille", format!("must be from {low} to {high}")));
        }
        let least = duration("min_delay_ms", document.min_delay_ms)?;
        Ok(Self { permille: document.permille, least })
    }
}
