//! A seeded simulation of five endpoints of which one turns slow, and is fast again: what the balancers make of it.
//!
//! ```text
//! cargo test -p evenly-core --test slow_endpoint
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking, and counts little"
)]

mod sample;

use evenly_core::document::{self, Balance};
use evenly_core::ids::Ids;
use evenly_core::pool::{Lease, Nanos, Picker, Pool};
use evenly_core::random::Random;
use std::collections::BTreeMap;
use std::sync::Arc;

const MS: Nanos = 1_000_000;
const SECOND: Nanos = 1_000 * MS;
const ENDPOINTS: usize = 5;
/// The one that turns slow.
const SLOW: usize = ENDPOINTS - 1;
/// What an endpoint usually takes.
const USUAL: Nanos = 2 * MS;

/// How endpoints take their time.
#[derive(Clone, Copy)]
enum Manner {
    /// Exactly [`USUAL`], and one of them so many times that.
    Exact,
    /// [`USUAL`] and some more, now and then much more; and every two seconds the whole machine stands still for some
    /// milliseconds.
    Scattered,
    /// Anything from 1 to 10 ms, one response in a hundred ten times that: pauses of a runtime, which meet all alike.
    Spiky,
}

/// A steady load on two workers.
#[derive(Clone)]
struct Settings {
    balance: Balance,
    manner: Manner,
    /// Requests a second.
    rate: u64,
    /// How much slower the slow one is, from when and until when.
    slower: (u64, Nanos, Nanos),
    /// How long it goes on.
    time: Nanos,
}

/// One request.
struct Asked {
    at: Nanos,
    endpoint: usize,
    took: Nanos,
}

fn settings(balance: Balance) -> Settings {
    Settings {
        balance,
        manner: Manner::Scattered,
        rate: 500,
        slower: (20, 5 * SECOND, Nanos::MAX),
        time: 30 * SECOND,
    }
}

/// A time of which the next event is `mean` away on average.
fn wait(random: &mut Random, mean: Nanos) -> Nanos {
    let draw = (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
    (-(1.0 - draw).ln() * mean as f64) as Nanos
}

fn run(settings: &Settings, seed: u64) -> Vec<Asked> {
    let endpoints = (0..ENDPOINTS as u8).map(sample::endpoint).collect();
    let document = document::Pool { balance: settings.balance, endpoints, ..sample::pool() };
    let pool = Arc::new(Pool::build(&document, None, &mut Ids::default()).unwrap());
    let mut random = Random::new(seed);
    let mut pickers = [1, 2].map(|worker| Picker::new(Arc::clone(&pool), Random::new(seed ^ (worker << 32))));
    let mut under_way: BTreeMap<(Nanos, usize), (Nanos, Lease)> = BTreeMap::new();
    let mut asked = Vec::new();
    let mut now = 0;
    // The machine's next pause: from when until when.
    let mut pause = (0, 0);
    while now < settings.time {
        now += wait(&mut random, SECOND / settings.rate);
        while let Some(entry) = under_way.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((ends, _), (took, lease)) = entry.remove_entry();
            lease.endpoint().observe_latency(took, ends);
        }
        let lease = pickers[random.index(2)].pick(None, None, now).unwrap();
        let endpoint =
            pool.members.iter().position(|one| Arc::ptr_eq(&one.endpoint, lease.endpoint())).unwrap();
        let (times, from, until) = settings.slower;
        let times = if endpoint == SLOW && (from..until).contains(&now) { times } else { 1 };
        let took = match settings.manner {
            Manner::Exact => USUAL * times,
            Manner::Spiky => (MS + random.below(9 * MS)) * if random.below(100) == 0 { 10 } else { 1 },
            Manner::Scattered => {
                let spike = if random.below(100) == 0 { wait(&mut random, 5 * MS) } else { 0 };
                let ends = now + USUAL * times + wait(&mut random, MS / 2) + spike;
                if pause.1 < now {
                    let from = now + wait(&mut random, 2 * SECOND);
                    pause = (from, from + 5 * MS + random.below(10 * MS));
                }
                if (pause.0..pause.1).contains(&ends) { pause.1 - now } else { ends - now }
            }
        };
        asked.push(Asked { at: now, endpoint, took });
        under_way.insert((now + took, asked.len()), (took, lease));
    }
    asked
}

/// The p99 and the slow one's share of what was asked in a time.
fn figures(asked: &[Asked], from: Nanos, until: Nanos) -> (Nanos, f64) {
    let within = || asked.iter().filter(|one| (from..until).contains(&one.at));
    let mut took: Vec<Nanos> = within().map(|one| one.took).collect();
    took.sort_unstable();
    let slow = within().filter(|one| one.endpoint == SLOW).count();
    (took[took.len() * 99 / 100], slow as f64 / took.len() as f64)
}

/// Of the requests of a pool, what an endpoint that costs `times` the others gets at most, by what `peak_ewma.rs` says.
fn most(times: f64, rate: u64) -> f64 {
    2.0 / (1.0 + (times / 0.5_f64.exp()).powi(3)) / ENDPOINTS as f64 + 0.2 / rate as f64
}

#[test]
fn one_of_five_turns_twenty_times_slower() {
    for seed in 0..20 {
        let of = |balance| figures(&run(&settings(balance), seed), 6 * SECOND, 30 * SECOND);
        let (p99, share) = of(Balance::PeakEwma);
        for other in [Balance::RoundRobin, Balance::LeastRequests] {
            let (theirs, _) = of(other);
            assert!(theirs >= 5 * p99, "seed {seed}: {p99} ns, {other:?} {theirs} ns");
        }
        assert!(share < 0.005, "seed {seed}: {share}");
    }
}

#[test]
fn it_is_avoided_after_a_few_responses() {
    for seed in 0..100 {
        let asked = run(&Settings { time: 7 * SECOND, ..settings(Balance::PeakEwma) }, seed);
        let second = asked.iter().filter(|one| (5 * SECOND..6 * SECOND).contains(&one.at));
        let slow = second.filter(|one| one.endpoint == SLOW).count();
        // In turn it would be 100.
        assert!(slow < 25, "seed {seed}: {slow} of the first 500 requests");
    }
}

/// With exact latencies the bound holds as it is stated, less what requests under way add to the others' costs; and where
/// latencies scatter, as for half as slow an endpoint.
#[test]
fn a_slow_one_gets_no_more_than_is_stated() {
    for (times, rate, minutes) in
        [(5, 100, 4), (10, 100, 4), (20, 100, 4), (20, 500, 2), (50, 500, 2), (20, 2_000, 1)]
    {
        let time = minutes * 60 * SECOND;
        let slower = (times, 0, Nanos::MAX);
        for (manner, margin) in [(Manner::Exact, 1.0), (Manner::Scattered, 2.0)] {
            let asked =
                run(&Settings { manner, rate, slower, time, ..settings(Balance::PeakEwma) }, times + rate);
            let (_, share) = figures(&asked, 5 * SECOND, time);
            // Requests of the others under way at a moment, for each of the four.
            let under_way = rate as f64 * (USUAL as f64 / 1e9) / (ENDPOINTS - 1) as f64;
            let most = most(times as f64 / (1.0 + under_way) / margin, rate);
            // Four standard deviations of a count.
            let count = asked.len() as f64;
            let noise = 4.0 * (most * count).sqrt() / count;
            assert!(share < most + noise, "{times} × at {rate}/s: {share}, at most {most} + {noise}");
        }
    }
}

#[test]
fn it_has_its_share_back_within_the_stated_time() {
    // 10 s × ln 20.
    let back = 30 * SECOND;
    for (rate, seeds) in [(20, 20), (100, 10), (500, 10), (2_000, 2)] {
        for seed in 0..seeds {
            let until = 30 * SECOND;
            let time = until + back + 20 * SECOND;
            let slower = (20, 5 * SECOND, until);
            let asked = run(&Settings { rate, slower, time, ..settings(Balance::PeakEwma) }, seed);
            let (_, share) = figures(&asked, until + back, time);
            assert!(share > 0.1, "{rate}/s, seed {seed}: {share} of a fifth");
        }
    }
}

#[test]
fn no_healthy_one_starves() {
    for seed in 0..50 {
        let slower = (1, 0, 0);
        let settings = Settings { manner: Manner::Spiky, slower, ..settings(Balance::PeakEwma) };
        let mut picks = [[0_u32; ENDPOINTS]; 10];
        for one in run(&settings, seed).into_iter().filter(|one| one.at < 30 * SECOND) {
            picks[(one.at / (3 * SECOND)) as usize][one.endpoint] += 1;
        }
        // Of 300 that are due in three seconds.
        assert!(picks.as_flattened().iter().all(|picks| *picks > 30), "seed {seed}: {picks:?}");
    }
}
