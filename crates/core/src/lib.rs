//! Decides. The configuration document becomes a [`snapshot::Snapshot`]; a snapshot answers which route a request
//! takes, which endpoint serves it, what its header fields become, and how a failure is told.
//!
//! Nothing here reads a clock, a socket, an environment or a random device: `now` and random numbers are arguments,
//! so every decision can be tested and replayed. The `proxy` crate asks and acts.
//!
//! Where to start:
//! * [`document`] — what Python hands over, as it is written.
//! * [`snapshot`] — the document checked, resolved and indexed; immutable, replaced as a whole.
//! * [`route`] — request → [`route::Route`]; [`target`], [`template`], [`rules`], [`max_forwards`], [`trust`] serve
//!   it.
//! * [`pool`] and [`balancer`] — route → endpoint; [`affinity`] comes before them, [`health`] and [`outlier`] judge
//!   endpoints.
//! * [`circuit`] — when a pool is spared requests, and how many it gets at once; [`concurrency`] — how many it can take.
//! * [`queue`] — whose turn it is when a pool is full.
//! * [`retry`] — what follows a try that failed; [`hedge`] — when a second one begins beside the first.
//! * [`proxy_protocol`], [`client_hello`] and [`passthrough`] — who a connection's client is, and which pool it goes to;
//!   [`sessions`] — the same for datagrams.
//! * [`certificates`] and [`client_rate`] — what a TLS client is shown, and how often one may come.
//! * [`access`] — who may use a route; [`compression`] — how a response is compressed.
//! * [`error`] — every way a request ends without an endpoint's answer, with its status, in one table.

#![forbid(unsafe_code)]

pub mod access;
pub mod affinity;
pub mod answer;
pub mod balancer;
pub mod buckets;
pub mod certificates;
pub mod circuit;
pub mod client_hello;
pub mod client_rate;
pub mod client_tls;
pub mod compression;
pub mod concurrency;
pub mod dns;
pub mod document;
pub mod error;
pub mod hash_key;
pub mod health;
pub mod hedge;
pub mod ids;
pub mod listener;
pub mod max_forwards;
pub mod nearest;
pub mod outlier;
pub mod passthrough;
pub mod pool;
pub mod proxy_protocol;
pub mod queue;
pub mod random;
pub mod retry;
pub mod route;
pub mod rules;
pub mod sessions;
pub mod slow_start;
pub mod snapshot;
pub mod target;
pub mod template;
pub mod trust;

/// The tests in this crate and those beside it share their samples, which name the crate as the latter see it.
#[cfg(test)]
extern crate self as evenly_core;
#[cfg(test)]
#[path = "../tests/sample/mod.rs"]
mod sample;
