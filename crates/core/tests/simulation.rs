//! A pool's life in virtual time: two workers, endpoints that are slow, fail, flap, drain, join and leave; and after
//! each step the rules that hold whatever happens.
//!
//! Everything follows from the seed. A failure names its seed; `EVENLY_SIMULATION_SEED=17 cargo test --test simulation`
//! runs that one alone.

mod simulation_support;

use evenly_core::document::Balance;
use simulation_support::World;

/// Runs for each balancer.
const SEEDS: u64 = 500;

/// Requests while things change.
const STORM: usize = 400;

/// Requests while everything is healthy: long enough for the watch to call an endpoint starved (`rules.rs`).
const CALM: usize = 1_250;

fn simulate(balance: Balance) {
    let only = std::env::var("EVENLY_SIMULATION_SEED").ok().map(|seed| seed.parse().expect("a whole number"));
    for seed in only.map_or(0..SEEDS, |seed: u64| seed..seed + 1) {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(balance, seed);
            (0..STORM).for_each(|_| world.step());
            world.calm_down();
            (0..CALM).for_each(|_| world.step());
            world.end();
        });
        assert!(run.is_ok(), "{balance:?} fails with EVENLY_SIMULATION_SEED={seed}");
    }
}

#[test]
fn round_robin() {
    simulate(Balance::RoundRobin);
}

#[test]
fn least_requests() {
    simulate(Balance::LeastRequests);
}

#[test]
fn random() {
    simulate(Balance::Random);
}

#[test]
fn two_choices() {
    simulate(Balance::TwoChoices);
}

#[test]
fn peak_ewma() {
    simulate(Balance::PeakEwma);
}

#[test]
fn ip_hash() {
    simulate(Balance::IpHash);
}

#[test]
fn ring_hash() {
    simulate(Balance::RingHash);
}

#[test]
fn maglev() {
    simulate(Balance::Maglev);
}
