//! Trying again: whether, when, and how much of it a pool can afford.
//!
//! ```text
//! a try fails ── Policy::judge ──> no: the failure is the answer
//!                     │ yes, at this Price
//!                     ├ Budget::withdraw ──> no: the failure is the answer
//!                     └ Policy::pause, then another endpoint (or the same, if there is no other)
//! ```
//!
//! * [`Policy`] belongs to a pool or a route: after what, how often, which methods, how long to wait ([`Backoff`]).
//! * [`Budget`] belongs to a pool and bounds the sends of all its requests together.
//! * [`retry_after`] and [`Pushback`] read what an endpoint asks for.

mod after;
mod backoff;
mod budget;
mod policy;
mod pushback;

pub use after::retry_after;
pub use backoff::Backoff;
pub use budget::Budget;
pub use policy::{Cause, Policy, Price, Refusal, Try};
pub use pushback::Pushback;
