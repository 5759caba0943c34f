use super::*;
use crate::document;
use crate::ids::Ids;
use crate::outlier::consecutive::Trip;
use crate::outlier::{FULL_SHARE, Outcome, Verdict};
use crate::sample;

const SECOND: Nanos = 1_000 * MS;

fn policy() -> OutlierDetection {
    OutlierDetection {
        interval_ms: 1_000,
        consecutive_5xx: 5,
        consecutive_gateway_failure: 5,
        consecutive_local_origin_failure: 5,
        success_rate_stdev_factor_percent: 190,
        success_rate_minimum_hosts: 3,
        success_rate_request_volume: 50,
        latency_factor_percent: 300,
        latency_minimum_ms: 20,
        base_ejection_time_ms: 30_000,
        max_ejection_time_ms: 300_000,
        max_ejection_percent: 10,
        probation_ms: 10_000,
    }
}

/// A pool with its judge, in virtual time.
struct Court {
    pool: Pool,
    judge: Judge,
    now: Nanos,
}

impl Court {
    fn new(endpoints: u8, policy: OutlierDetection) -> Self {
        let document = document::Pool {
            endpoints: (1..=endpoints).map(sample::endpoint).collect(),
            outlier_detection: Some(policy),
            ..sample::pool()
        };
        let pool = Pool::build(&document, None, &mut Ids::default()).unwrap();
        Self { pool, judge: Judge::default(), now: 0 }
    }

    fn serve(&self, index: usize, outcomes: impl IntoIterator<Item = Outcome>, millis: u64) {
        let endpoint = &self.pool.members[index].endpoint;
        let Some(policy) = &self.pool.outlier_detection else { return };
        let traffic = endpoint.traffic();
        outcomes.into_iter().for_each(|outcome| traffic.observe(outcome, millis * MS, policy));
    }

    /// A sweep after so long: index, state and reason of what changed.
    fn sweep(&mut self, after: Nanos) -> Vec<(usize, &'static str, String)> {
        self.now += after;
        let place = |change: &Change| {
            self.pool
                .members
                .iter()
                .position(|member| Arc::ptr_eq(&member.endpoint, &change.endpoint))
                .unwrap()
        };
        let changes = self.judge.sweep(&self.pool, self.now);
        changes.iter().map(|change| (place(change), change.to, change.reason.clone())).collect()
    }

    fn verdict(&self, index: usize) -> Verdict {
        self.pool.members[index].endpoint.standing().verdict()
    }
}

#[test]
fn failures_in_a_row_eject_and_the_time_grows_and_is_forgotten() {
    let mut court = Court::new(3, policy());
    court.serve(0, [Outcome::GatewayFailure; 4], 1);
    court.serve(0, [Outcome::Success], 1);
    court.serve(0, [Outcome::GatewayFailure; 4], 1);
    assert_eq!(court.sweep(MS), []);
    court.serve(0, [Outcome::GatewayFailure, Outcome::Success], 1);
    let ejected = |why: &str| vec![(0, "ejected", why.to_owned())];
    assert_eq!(court.sweep(MS), ejected("5 consecutive gateway errors, for 30 s"), "a success hides no run");
    assert_eq!(court.pool.members[0].endpoint.state(), EndpointState::Ejected);
    assert_eq!(court.sweep(29 * SECOND), []);
    assert_eq!(court.sweep(SECOND)[0].1, "probation");
    assert_eq!(court.pool.members[0].endpoint.share(), FULL_SHARE / 10);
    court.serve(0, [Outcome::LocalOriginFailure; 2], 1);
    assert_eq!(court.sweep(MS), ejected("2 of 2 requests failed in probation, for 60 s"));
    assert_eq!(court.sweep(60 * SECOND)[0].1, "probation");
    court.serve(0, [Outcome::Success; 9], 1);
    court.serve(0, [Outcome::ServerError], 1);
    assert_eq!(court.sweep(10 * SECOND), [(0, "healthy", String::new())], "one failure is no evidence");
    assert_eq!(court.pool.members[0].endpoint.share(), FULL_SHARE);
    for _ in 0..60 {
        assert_eq!(court.sweep(SECOND), []);
    }
    court.serve(0, [Outcome::LocalOriginFailure; 5], 1);
    assert_eq!(court.sweep(MS), ejected("5 consecutive connect failures, resets or timeouts, for 30 s"));
}

#[test]
fn an_ejection_never_lasts_longer_than_the_maximum() {
    let mut court = Court::new(2, OutlierDetection { max_ejection_time_ms: 70_000, ..policy() });
    let mut lengths = Vec::new();
    for _ in 0..4 {
        court.serve(0, [Outcome::ServerError; 5], 1);
        court.sweep(MS);
        let Verdict::Ejected { until } = court.verdict(0) else { panic!("{:?}", court.verdict(0)) };
        lengths.push((until - court.now) / SECOND);
        court.sweep(until - court.now);
    }
    assert_eq!(lengths, [30, 60, 70, 70]);
    assert_eq!(court.pool.members[0].endpoint.standing().ejections[Trip::ServerErrors as usize], 4);
}

#[test]
fn no_more_than_the_share_is_ejected_and_one_is_always_left() {
    let mut court = Court::new(10, OutlierDetection { max_ejection_percent: 30, ..policy() });
    (0..10).for_each(|index| court.serve(index, [Outcome::GatewayFailure; 5], 1));
    assert_eq!(court.sweep(MS).len(), 3);
    assert_eq!(court.pool.members[9].endpoint.standing().spared, 1);
    let mut two = Court::new(2, OutlierDetection { max_ejection_percent: 100, ..policy() });
    (0..2).for_each(|index| two.serve(index, [Outcome::GatewayFailure; 5], 1));
    assert_eq!(two.sweep(MS).len(), 1, "the other one is left");
    two.pool.members[1].endpoint.set_health(Health::Unhealthy);
    assert_eq!(two.sweep(MS)[0].1, "probation", "nobody else is left");
}

#[test]
fn a_success_rate_below_the_others_ejects() {
    let mut court = Court::new(5, policy());
    let mixed = |failures: usize| {
        (0..100).map(move |n| if n % 100 < failures { Outcome::ServerError } else { Outcome::Success })
    };
    let off = OutlierDetection { consecutive_5xx: 0, ..policy() };
    court.pool.outlier_detection = Some(off);
    (0..5).for_each(|index| court.serve(index, mixed(if index == 3 { 9 } else { 0 }), 1));
    assert_eq!(court.sweep(SECOND), [], "less than a tenth is chance");
    (0..5).for_each(|index| court.serve(index, mixed(if index > 2 { 50 } else { 1 }), 1));
    let why = "success rate 50 %, the others' 99 %, for 30 s";
    assert_eq!(court.sweep(SECOND), [(3, "ejected", why.to_owned())], "a second bad one does not hide it");
    (0..5).for_each(|index| court.serve(index, mixed(100), 1));
    assert_eq!(court.sweep(SECOND), [], "when all fail alike nobody is an outlier");
}

#[test]
fn a_slow_endpoint_loses_weight_step_by_step_before_it_is_ejected() {
    let mut court = Court::new(4, policy());
    let serve = |court: &mut Court, millis| {
        (0..4).for_each(|index| {
            court.serve(index, [Outcome::Success; 20], if index == 1 { millis } else { 10 })
        });
        let changes = court.sweep(SECOND);
        (changes.first().map(|(_, to, _)| *to), court.pool.members[1].endpoint.share())
    };
    assert_eq!(serve(&mut court, 29), (None, FULL_SHARE), "2.9 times");
    assert_eq!(serve(&mut court, 210), (Some("degraded"), FULL_SHARE / 2));
    assert_eq!(
        court.pool.members[1].endpoint.standing().explain(0),
        "latency 210 ms, the others' 10 ms, gets 50 % of its traffic"
    );
    assert_eq!(serve(&mut court, 210), (None, FULL_SHARE / 4));
    assert_eq!(serve(&mut court, 10), (None, FULL_SHARE / 2));
    assert_eq!(serve(&mut court, 210), (None, FULL_SHARE / 4));
    assert_eq!(serve(&mut court, 210), (None, FULL_SHARE / 10));
    assert_eq!(serve(&mut court, 210).0, Some("ejected"));
    court.pool.outlier_detection = None;
    assert_eq!(court.sweep(SECOND), [(1, "healthy", String::new())]);
}

#[test]
fn the_last_one_that_gets_traffic_stays() {
    for prepare in [
        |endpoint: &Endpoint| endpoint.set_weight_override(Some(0)),
        |endpoint: &Endpoint| assert!(!endpoint.set_evacuated(true), "it was not before"),
    ] {
        let mut court = Court::new(2, OutlierDetection { max_ejection_percent: 100, ..policy() });
        prepare(&court.pool.members[1].endpoint);
        court.serve(0, [Outcome::GatewayFailure; 5], 1);
        assert_eq!(court.sweep(MS), [], "the other one gets none");
    }
}

#[test]
fn a_degraded_endpoint_that_nobody_asks_recovers() {
    let mut court = Court::new(3, policy());
    (0..3).for_each(|index| court.serve(index, [Outcome::Success; 20], if index == 1 { 500 } else { 1 }));
    assert_eq!(court.sweep(SECOND)[0].1, "degraded");
    for _ in 0..9 {
        assert_eq!(court.sweep(SECOND), []);
    }
    assert_eq!(court.sweep(SECOND), [(1, "healthy", String::new())]);
}
