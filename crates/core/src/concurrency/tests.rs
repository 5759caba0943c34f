//! A pool in virtual time that carries so many requests at once without a queue, under more load than that.

use super::*;
use crate::random::Random;
use proptest::prelude::*;

const TENTH: Nanos = 100_000_000;

fn policy() -> AdaptiveConcurrency {
    AdaptiveConcurrency { min_limit: 4, max_limit: 1_000, tolerance_percent: 150 }
}

/// A pool that works on `carries` requests at once, each of which takes `micros`; what is above waits, so that with n
/// under way responses take n / carries times as long. Times scatter by a tenth.
struct Model {
    carries: f64,
    micros: f64,
    gradient: Gradient,
    random: Random,
    now: Nanos,
    /// Responses that no window has taken yet.
    waiting: f64,
}

impl Model {
    fn new(carries: f64, micros: f64) -> Self {
        let gradient = Gradient::new(&policy());
        Self { carries, micros, gradient, random: Random::new(11), now: 0, waiting: 0.0 }
    }

    /// So many seconds in which clients would have `offered` requests under way; the mean limit of the last of them.
    fn run(&mut self, seconds: u64, offered: f64) -> f64 {
        let mut limits = 0.0;
        for sweep in 0..seconds * 10 {
            self.now += TENTH;
            let under_way = offered.min(f64::from(self.gradient.limit()));
            let slower = (under_way / self.carries).max(1.0);
            let scatter = 0.95 + self.random.below(100) as f64 / 1_000.0;
            let median = whole(self.micros * slower * scatter).into();
            self.waiting += self.carries.min(under_way) / (self.micros / 1e5);
            let is_enough = self.waiting >= 20.0;
            let window = is_enough.then(|| Window { count: 100, median, under_way: whole(under_way) });
            self.waiting *= f64::from(u8::from(!is_enough));
            let limit = self.gradient.sweep(window, &policy(), self.now);
            if sweep >= (seconds - 1) * 10 {
                limits += f64::from(limit);
            }
        }
        limits / 10.0
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test's numbers are small")]
fn whole(number: f64) -> u32 {
    number.round() as u32
}

#[test]
fn it_finds_what_a_pool_carries() {
    for carries in [10.0, 50.0, 300.0] {
        let mut model = Model::new(carries, 10_000.0);
        let limit = model.run(60, 10_000.0);
        assert!(limit >= carries, "{limit} of {carries}: nothing is wasted");
        assert!(limit <= carries * 2.4 + 10.0, "{limit} of {carries}: responses take at most so much longer");
    }
}

#[test]
fn under_load_that_never_ceases_it_does_not_creep_up() {
    let mut model = Model::new(50.0, 10_000.0);
    let after_a_minute = model.run(60, 10_000.0);
    let after_an_hour = model.run(3_540, 10_000.0);
    assert!(after_an_hour <= after_a_minute * 1.3, "{after_a_minute}, then {after_an_hour}");
}

#[test]
fn it_follows_a_pool_that_loses_half_and_gets_it_back() {
    let mut model = Model::new(100.0, 10_000.0);
    model.run(60, 10_000.0);
    model.carries = 50.0;
    let half = model.run(20, 10_000.0);
    assert!((45.0..130.0).contains(&half), "{half}");
    model.carries = 100.0;
    let whole = model.run(60, 10_000.0);
    assert!((95.0..250.0).contains(&whole), "{whole}");
}

#[test]
fn what_is_slower_for_good_is_normal_within_two_periods() {
    let mut model = Model::new(100.0, 10_000.0);
    model.run(60, 10_000.0);
    model.micros = 40_000.0;
    assert!(model.run(5, 10_000.0) < 100.0, "at first it looks like a queue");
    let limit = model.run(115, 10_000.0);
    assert!(limit >= 95.0, "{limit}");
}

#[test]
fn without_load_it_stays_where_it_is() {
    let mut model = Model::new(100.0, 10_000.0);
    let limit = model.run(120, 5.0);
    assert!((limit - f64::from(FIRST)).abs() < 0.5, "{limit}");
    assert_eq!(model.gradient.sweep(None, &policy(), model.now), FIRST, "few responses change nothing");
}

#[test]
fn one_pause_costs_little() {
    let mut model = Model::new(100.0, 10_000.0);
    let before = model.run(50, 10_000.0);
    let pause = Window { count: 100, median: 5_000_000, under_way: 200 };
    model.gradient.sweep(Some(pause), &policy(), model.now + TENTH);
    assert!(f64::from(model.gradient.limit()) >= before * 0.85);
}

const FIRST: u32 = 20;

#[test]
fn what_cannot_be_meant_is_refused() {
    let refused = |change: fn(&mut AdaptiveConcurrency)| {
        let mut policy = policy();
        change(&mut policy);
        Concurrency::check(&policy).unwrap_err().path
    };
    assert_eq!(refused(|policy| policy.min_limit = 0), "min_limit");
    assert_eq!(refused(|policy| policy.max_limit = 3), "max_limit");
    assert_eq!(refused(|policy| policy.tolerance_percent = 104), "tolerance_percent");
}

#[test]
fn its_room_follows_the_limit_and_survives_reloads() {
    let first = Concurrency::new(&AdaptiveConcurrency { max_limit: 4, ..policy() }, None);
    let room = first.room();
    (0..4).for_each(|_| assert!(room.count_in()));
    assert!(!room.count_in() && first.is_full());
    assert_eq!(first.report().limit, 4);
    let next = Concurrency::new(&AdaptiveConcurrency { min_limit: 6, ..policy() }, Some(&first));
    next.sweep(TENTH);
    assert!(!next.is_full() && room.count_in(), "the other bounds hold, and who is under way still counts");
    assert_eq!(next.report().under_way, 5);
}

proptest! {
    /// Whatever comes, the limit keeps its bounds.
    #[test]
    fn it_keeps_its_bounds(
        windows in prop::collection::vec((0_u64..10_000_000, 0_u32..2_000, 0_u64..40_000_000_000), 1..300),
        min_limit in 1_u32..100,
        more in 0_u32..1_000,
        tolerance_percent in LEAST_TOLERANCE..1_000,
    ) {
        let policy = AdaptiveConcurrency { min_limit, max_limit: min_limit + more, tolerance_percent };
        let (mut gradient, mut now) = (Gradient::new(&policy), 0);
        for (median, under_way, pause) in windows {
            now += pause;
            let window = (median % 7 != 0).then_some(Window { count: 20, median, under_way });
            let limit = gradient.sweep(window, &policy, now);
            prop_assert!((min_limit..=min_limit + more).contains(&limit), "{limit}");
        }
    }
}
