//! A seeded simulation of a pool behind a circuit breaker: it fails for a while, and is well again. Requests take their
//! time, some of their clients go, and the circuit is swept ten times a second, as the service thread does.
//!
//! ```text
//! EVENLY_SEED=42 cargo test -p evenly-core --test circuit
//! ```

use evenly_core::circuit::{Circuit, Permit, Phase};
use evenly_core::document::CircuitBreaker;
use evenly_core::random::Random;

const MILLISECOND: u64 = 1_000_000;
const SEEDS: u64 = 200;

struct Request {
    permit: Permit,
    /// How often the circuit had been half-open.
    trial: u32,
    ends: u64,
    /// How; `None`: its client goes before that.
    verdict: Option<bool>,
}

struct World {
    circuit: Circuit,
    policy: CircuitBreaker,
    random: Random,
    under_way: Vec<Request>,
    /// What ended while the circuit was closed, with when.
    ended: Vec<(u64, bool)>,
    phase: Phase,
    /// How often it was half-open.
    trial: u32,
    /// Probes that ended with a verdict since it last became half-open.
    judged: usize,
    opened: Option<(u64, u64)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let policy = CircuitBreaker {
            failure_rate_percent: between(&mut random, 20, 80),
            window_ms: 1_000 * between::<u64>(&mut random, 1, 10),
            minimum_requests: between(&mut random, 5, 34),
            base_open_time_ms: between(&mut random, 200, 2_199),
            max_open_time_ms: 8_000,
            half_open_requests: between(&mut random, 1, 8),
            max_requests: None,
        };
        Self {
            circuit: Circuit::new(policy.clone(), None),
            policy,
            random,
            under_way: Vec::new(),
            ended: Vec::new(),
            phase: Phase::Closed,
            trial: 0,
            judged: 0,
            opened: None,
        }
    }

    /// A millisecond, in which the pool fails this share of its requests.
    fn step(&mut self, now: u64, failing_percent: usize) {
        for _ in 0..self.random.index(3) {
            let fails = self.random.index(100) < failing_percent;
            let verdict = (self.random.index(20) > 0).then_some(!fails);
            let ends = now + self.random.below(300) * MILLISECOND;
            match self.circuit.enter() {
                Some(permit) => {
                    assert_ne!(self.phase, Phase::Open, "an open circuit lets nobody in");
                    assert_eq!(permit.is_probe(), self.phase == Phase::HalfOpen);
                    self.under_way.push(Request { permit, trial: self.trial, ends, verdict });
                }
                None => assert_ne!(self.phase, Phase::Closed, "a closed circuit lets everybody in"),
            }
        }
        let is_probe = |request: &&Request| request.permit.is_probe() && request.trial == self.trial;
        let probes = self.under_way.iter().filter(is_probe).count();
        if self.phase == Phase::HalfOpen {
            assert!(probes + self.judged <= usize::from(self.policy.half_open_requests), "{probes} probes");
        }
        for Request { permit, trial, verdict, .. } in
            self.under_way.extract_if(.., |request| request.ends <= now)
        {
            let Some(is_success) = verdict else { continue };
            if permit.is_probe() && trial == self.trial && self.phase == Phase::HalfOpen {
                self.judged += 1;
            } else if self.phase == Phase::Closed {
                self.ended.push((now, is_success));
            }
            permit.tell(&self.circuit, is_success);
        }
        if now.is_multiple_of(100 * MILLISECOND) {
            self.sweep(now);
        }
    }

    fn sweep(&mut self, now: u64) {
        let Some(transition) = self.circuit.sweep(now) else { return };
        match (transition.from, transition.to) {
            (Phase::Closed, Phase::Open) => {
                let window = self.policy.window_ms * MILLISECOND;
                // It may hold what happened since a tenth less than the window; requests of before do not count.
                let most = self.ended.iter().filter(|(at, _)| at + window > now).count();
                let failed = self.ended.iter().filter(|(at, good)| at + window > now && !good).count();
                assert!(most >= self.policy.minimum_requests as usize, "{most} requests");
                assert!(failed > 0);
                self.opened = Some((now, self.policy.base_open_time_ms));
            }
            (Phase::HalfOpen, Phase::Open) => {
                let (_, before) = self.opened.expect("it was open");
                self.opened = Some((now, (before * 2).min(self.policy.max_open_time_ms)));
            }
            (Phase::Open, Phase::HalfOpen) => {
                let (at, time) = self.opened.expect("it was open");
                assert!((time..time + 100).contains(&((now - at) / MILLISECOND)), "open for its time");
                self.judged = 0;
                self.trial += 1;
            }
            (Phase::HalfOpen, Phase::Closed) => {
                assert_eq!(self.judged, usize::from(self.policy.half_open_requests), "all probes succeeded");
                self.ended.clear();
            }
            other => unreachable!("{other:?}"),
        }
        self.phase = transition.to;
    }
}

fn between<T: TryFrom<u64>>(random: &mut Random, least: u64, most: u64) -> T {
    let number = least + random.below(most - least + 1);
    T::try_from(number).ok().expect("bounds of this type")
}

fn simulate(seed: u64) {
    let mut world = World::new(seed);
    let mut milliseconds = 0_u64;
    let mut run = |world: &mut World, time: u64, failing_percent: usize| {
        for _ in 0..time {
            milliseconds += 1;
            world.step(milliseconds * MILLISECOND, failing_percent);
        }
    };
    run(&mut world, 5_000, 0);
    assert_eq!(world.circuit.report(0).transitions, [0, 0, 0], "nothing fails");
    run(&mut world, 15_000, 100);
    assert!(world.circuit.report(0).transitions[Phase::Open as usize] > 0, "it opens");
    run(&mut world, 25_000, 0);
    assert_eq!(world.phase, Phase::Closed, "it closes again");
}

#[test]
fn whatever_the_seed() {
    if let Ok(seed) = std::env::var("EVENLY_SEED") {
        return simulate(seed.parse().expect("a number"));
    }
    for seed in 0..SEEDS {
        if std::panic::catch_unwind(|| simulate(seed)).is_err() {
            panic!("EVENLY_SEED={seed} fails");
        }
    }
}

#[test]
fn threads_share_the_probes() {
    let policy = CircuitBreaker {
        failure_rate_percent: 50,
        window_ms: 1_000,
        minimum_requests: 1,
        base_open_time_ms: 1,
        max_open_time_ms: 1,
        half_open_requests: 3,
        max_requests: None,
    };
    let circuit = Circuit::new(policy, None);
    circuit.enter().expect("it is closed").tell(&circuit, false);
    assert_eq!(circuit.sweep(0).map(|transition| transition.to), Some(Phase::Open));
    assert_eq!(circuit.sweep(MILLISECOND).map(|transition| transition.to), Some(Phase::HalfOpen));
    let took: usize = std::thread::scope(|scope| {
        let ask = || (0..100).filter_map(|_| circuit.enter()).map(std::mem::forget).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum()
    });
    assert_eq!(took, 3);
}
