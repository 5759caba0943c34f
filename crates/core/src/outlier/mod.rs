//! Outlier detection: endpoints judged by live traffic, and what follows from it.
//!
//! ```text
//! record, tcp ── Traffic::observe ──> counters on the endpoint ── Judge::sweep, ten times a second ──> Standing
//!                                                                  │ consecutive · success_rate · latency
//!                                                                  └ share of traffic, ejected or not ──> candidates
//! ```
//!
//! * [`Traffic`] is what requests write: padded atomics, no decision but "so many in a row".
//! * [`consecutive`], [`success_rate`] and [`latency`] each say who is an outlier; they know no state.
//! * [`Standing`] is an endpoint's state machine; its table stands in `standing.rs`.
//! * [`Judge`] goes over a pool, asks the detectors, keeps the share that may be ejected, and moves the standings.
//!
//! The names of the options, and what gateway and local-origin failures are, are those of Envoy's outlier detection.

pub mod consecutive;
mod judge;
pub mod latency;
mod reason;
mod standing;
pub mod success_rate;
mod traffic;

pub use judge::{Change, Judge};
pub use reason::Reason;
pub use standing::{FULL_SHARE, Standing, Verdict};
pub use traffic::{Outcome, Traffic};
