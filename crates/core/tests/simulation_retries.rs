//! Requests in virtual time that fail and are tried again: what endpoints get is bounded whatever fails, and an outage
//! ends when it ends.
//!
//! Everything follows from the seed. A failure names its seed; `EVENLY_SIMULATION_SEED=17 cargo test --test
//! simulation_retries` runs that one alone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod sample;
mod simulation_retries_support;

use simulation_retries_support::{Fate, SECOND, Settings, World};

/// Scenarios with chance settings.
const SEEDS: u64 = 1_000;

fn seeds() -> std::ops::Range<u64> {
    let only = std::env::var("EVENLY_SIMULATION_SEED").ok().map(|seed| seed.parse().expect("a whole number"));
    only.map_or(0..SEEDS, |seed: u64| seed..seed + 1)
}

/// The rules hold after each step of every scenario; `World` checks them.
#[test]
fn endpoints_fail_by_chance() {
    for seed in seeds() {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed, Settings::by_chance(seed));
            for _ in 0..8 {
                world.befall();
                world.run(SECOND);
            }
            world.end();
        });
        assert!(run.is_ok(), "fails with EVENLY_SIMULATION_SEED={seed}");
    }
}

/// Everything is down for 30 s and comes back: endpoints get at most 1.2 × what clients send, and within a moment every
/// client has its answer.
#[test]
fn an_outage_is_not_followed_by_a_storm() {
    for fate in [Fate::Refuses, Fate::Resets, Fate::Unavailable, Fate::Silent] {
        for seed in 0..20 {
            let mut world = World::new(seed, Settings::with_attempts(4));
            world.run(10 * SECOND);
            world.all_become(fate);
            world.run(30 * SECOND);
            world.all_become(Fate::Works);
            let before = world.counted;
            let mut recovered = None;
            for tenth in 1..=50 {
                let failed = world.counted.failed;
                world.run(SECOND / 10);
                if world.counted.failed == failed {
                    recovered.get_or_insert(tenth);
                } else {
                    recovered = None;
                }
            }
            let offered = world.counted.requests - before.requests;
            let sent = world.counted.sent - before.sent;
            assert!(sent * 10 <= offered * 12 + 120, "{fate:?}, {seed}: {sent} sends for {offered} requests");
            let recovered = recovered.unwrap_or(99);
            assert!(recovered <= 30, "{fate:?}, {seed}: recovered after {recovered} tenths of a second");
            world.end();
        }
    }
}

/// The same without a bound: the test above can fail.
#[test]
fn without_a_budget_there_is_a_storm() {
    let mut world =
        World::new(1, Settings { percent: 100, minimum: 1_000_000, ..Settings::with_attempts(4) });
    world.all_become(Fate::Unavailable);
    world.run(10 * SECOND);
    assert!(world.counted.sent > 3 * world.counted.requests, "{:?}", world.counted);
}
