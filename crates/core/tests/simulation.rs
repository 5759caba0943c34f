//! A pool's life in virtual time: two workers, endpoints that are slow, fail, flap, drain, join and leave; and after
//! each step the rules that hold whatever happens. Ten thousand lives; every fifth also has a long calm after the storm.
//!
//! Everything follows from the seed. A failure names its seed; `EVENLY_SIMULATION_SEED=17 cargo test --test simulation`
//! runs that one alone, and `EVENLY_SIMULATION_SEEDS=100000` so many for each balancer.

mod sample;
mod simulation_support;

use evenly_core::document::Balance;
use simulation_support::World;

/// Runs for each of the eight balancers, unless the environment wants more.
const SEEDS: u64 = 1_250;

/// Of so many runs one has a calm.
const CALM_EVERY: u64 = 5;

/// Requests while things change.
const STORM: usize = 250;

/// Requests while everything is healthy: long enough for the watch to call an endpoint starved (`rules.rs`).
const CALM: usize = 1_250;

fn simulate(balance: Balance) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a whole number"));
    let seeds = number("EVENLY_SIMULATION_SEEDS").unwrap_or(SEEDS);
    for seed in number("EVENLY_SIMULATION_SEED").map_or(0..seeds, |seed| seed..seed + 1) {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(balance, seed);
            (0..STORM).for_each(|_| world.step());
            if seed.is_multiple_of(CALM_EVERY) {
                world.calm_down();
                (0..CALM).for_each(|_| world.step());
            }
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
