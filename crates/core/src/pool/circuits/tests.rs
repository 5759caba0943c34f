use super::*;
use crate::document::{self, EndpointCircuitBreaker, OutlierDetection};
use crate::ids::Ids;
use crate::outlier::{Judge, Outcome};
use crate::pool::{Lease, NoEndpoint, Picker, Tier};
use crate::random::Random;
use crate::sample;
use proptest::prelude::*;

const SECOND: Nanos = 1_000_000_000;
const TENTH: Nanos = SECOND / 10;

fn policy() -> EndpointCircuitBreaker {
    EndpointCircuitBreaker {
        failure_rate_percent: 50,
        window_ms: 10_000,
        minimum_requests: 4,
        base_open_time_ms: 1_000,
        max_open_time_ms: 4_000,
        half_open_requests: 2,
        max_requests: None,
        max_pending: None,
        max_open_percent: 50,
    }
}

fn document(endpoints: u8, policy: EndpointCircuitBreaker) -> document::Pool {
    document::Pool {
        endpoints: (1..=endpoints).map(sample::endpoint).collect(),
        endpoint_circuit_breaker: Some(policy),
        ..sample::pool()
    }
}

fn built(document: &document::Pool, previous: Option<&Pool>) -> Arc<Pool> {
    Arc::new(Pool::build(document, previous, &mut Ids::default()).unwrap())
}

fn pool(endpoints: u8) -> Arc<Pool> {
    built(&document(endpoints, policy()), None)
}

fn picker(pool: &Arc<Pool>) -> Picker {
    Picker::new(Arc::clone(pool), Random::new(1))
}

/// So many requests in a row, of which those to `bad` fail; how often each endpoint was asked.
fn serve(picker: &mut Picker, count: usize, bad: &[usize], now: Nanos) -> Vec<usize> {
    let pool = Arc::clone(picker.pool());
    let mut asked = vec![0; pool.members.len()];
    for _ in 0..count {
        let lease = picker.pick(None, None, now).unwrap();
        let index = lease.endpoint().id().0 as usize;
        let outcome = if bad.contains(&index) { Outcome::GatewayFailure } else { Outcome::Success };
        pool.observe(&lease, outcome, 1);
        asked[index] += 1;
    }
    asked
}

/// Index and phase of what changed.
fn sweep(pool: &Pool, now: Nanos) -> Vec<(u32, Phase)> {
    let changes = pool.sweep_circuits(now).into_iter();
    changes.map(|(endpoint, transition)| (endpoint.id().0, transition.to)).collect()
}

#[test]
fn one_that_fails_is_spared_tried_and_taken_back() {
    let pool = pool(3);
    let mut picker = picker(&pool);
    assert_eq!(serve(&mut picker, 12, &[1], 0), [4, 4, 4]);
    assert_eq!(sweep(&pool, 0), [(1, Phase::Open)]);
    assert_eq!(serve(&mut picker, 12, &[], 0), [6, 0, 6]);
    assert_eq!(pool.members[1].endpoint.state().name(), "healthy", "no word about health");
    assert_eq!(sweep(&pool, SECOND), [(1, Phase::HalfOpen)]);
    let asked = serve(&mut picker, 30, &[], SECOND);
    assert_eq!((asked[1], asked[0] + asked[2]), (2, 28), "so many probes and no more");
    assert!(pool.members[1].circuit.as_ref().unwrap().rejected() > 0);
    assert_eq!(sweep(&pool, SECOND), [(1, Phase::Closed)]);
    assert_eq!(serve(&mut picker, 12, &[], SECOND), [4, 4, 4]);
}

#[test]
fn a_probe_that_fails_opens_it_and_one_without_an_end_frees_its_place() {
    let pool = pool(2);
    let mut picker = picker(&pool);
    serve(&mut picker, 8, &[0], 0);
    sweep(&pool, 0);
    assert_eq!(sweep(&pool, SECOND), [(0, Phase::HalfOpen)]);
    let held: Vec<Lease> = (0..10).map(|_| picker.pick(None, None, SECOND).unwrap()).collect();
    let probes = |held: &[Lease]| held.iter().filter(|lease| lease.endpoint().id().0 == 0).count();
    assert_eq!(probes(&held), 2);
    drop(held);
    assert_eq!(serve(&mut picker, 10, &[0], SECOND), [1, 9], "the places are free, until one fails");
    assert_eq!(sweep(&pool, SECOND), [(0, Phase::Open)]);
    assert_eq!(sweep(&pool, 2 * SECOND), [], "twice as long");
    assert_eq!(sweep(&pool, 3 * SECOND), [(0, Phase::HalfOpen)]);
}

#[test]
fn what_began_before_it_opened_does_not_count_after() {
    let pool = pool(2);
    let mut picker = picker(&pool);
    let old: Vec<Lease> = (0..8).map(|_| picker.pick(None, None, 0).unwrap()).collect();
    serve(&mut picker, 8, &[0], 0);
    sweep(&pool, 0);
    sweep(&pool, SECOND);
    old.iter().for_each(|lease| pool.observe(lease, Outcome::LocalOriginFailure, 0));
    assert_eq!(sweep(&pool, SECOND), []);
    serve(&mut picker, 8, &[], SECOND);
    assert_eq!(sweep(&pool, SECOND), [(0, Phase::Closed)]);
}

#[test]
fn no_more_than_its_share_is_open_and_never_the_last() {
    let pool = pool(4);
    let mut picker = picker(&pool);
    serve(&mut picker, 32, &[0, 1, 2, 3], 0);
    assert_eq!(sweep(&pool, 0), [(0, Phase::Open), (1, Phase::Open)]);
    let alone = built(&document(1, policy()), None);
    serve(&mut self::picker(&alone), 32, &[0], 0);
    assert_eq!(sweep(&alone, 0), []);
    let all = built(&document(3, EndpointCircuitBreaker { max_open_percent: 100, ..policy() }), None);
    serve(&mut self::picker(&all), 32, &[0, 1, 2], 0);
    assert_eq!(sweep(&all, 0).len(), 2);
}

#[test]
fn when_the_others_go_it_closes_and_is_picked_until_then() {
    let pool = pool(2);
    let mut picker = picker(&pool);
    serve(&mut picker, 8, &[0], 0);
    assert_eq!(sweep(&pool, 0), [(0, Phase::Open)]);
    pool.members[1].endpoint.set_health(Health::Unhealthy);
    pool.changed();
    assert_eq!(serve(&mut picker, 3, &[], 0), [3, 0], "at once");
    assert_eq!(picker.tier(0), Ok(Tier::Open));
    assert_eq!(sweep(&pool, TENTH), [(0, Phase::Closed)]);
    assert_eq!(serve(&mut picker, 30, &[0], TENTH), [30, 0]);
    assert_eq!(sweep(&pool, 2 * TENTH), [], "the last one stays");
}

#[test]
fn a_retry_goes_to_one_whose_circuit_is_closed() {
    let pool = pool(3);
    let mut picker = picker(&pool);
    serve(&mut picker, 12, &[2], 0);
    sweep(&pool, 0);
    let ids = [0, 1].map(|index: usize| pool.members[index].endpoint.id());
    for tried in ids {
        let other = picker.pick_another(None, &[tried], 0).unwrap().endpoint().id();
        assert!(other != tried && ids.contains(&other));
    }
    assert_eq!(picker.pick_another(None, &ids, 0).unwrap_err(), NoEndpoint::OnlyExcluded);
}

#[test]
fn outlier_detection_and_the_circuit_do_not_judge_the_same_endpoint() {
    let outlier = OutlierDetection {
        interval_ms: 1_000,
        consecutive_5xx: 5,
        consecutive_gateway_failure: 0,
        consecutive_local_origin_failure: 0,
        success_rate_stdev_factor_percent: 0,
        success_rate_minimum_hosts: 3,
        success_rate_request_volume: 50,
        latency_factor_percent: 0,
        latency_minimum_ms: 20,
        base_ejection_time_ms: 30_000,
        max_ejection_time_ms: 30_000,
        max_ejection_percent: 50,
        probation_ms: 10_000,
    };
    let document = document::Pool { outlier_detection: Some(outlier), ..document(4, policy()) };
    let pool = built(&document, None);
    let (mut picker, mut judge) = (picker(&pool), Judge::default());
    // Ejected first: its circuit stays closed, whatever it has counted.
    serve(&mut picker, 20, &[0], 0);
    assert_eq!(judge.sweep(&pool, 0).len(), 1);
    assert_eq!(sweep(&pool, 0), []);
    // Open first: what its probes bring ejects nobody.
    serve(&mut picker, 18, &[1], 0);
    assert_eq!(sweep(&pool, 0), [(1, Phase::Open)]);
    assert!(judge.sweep(&pool, 0).is_empty());
    sweep(&pool, SECOND);
    let tries = (0..30).filter(|_| serve(&mut picker, 1, &[1], SECOND)[1] > 0).count();
    assert!(tries > 0 && judge.sweep(&pool, SECOND).is_empty());
    // Both count as out: half of four are.
    serve(&mut picker, 40, &[2], SECOND);
    assert_eq!(sweep(&pool, SECOND), [(1, Phase::Open)]);
    assert!(judge.sweep(&pool, SECOND).is_empty());
    assert_eq!(pool.members[2].endpoint.standing().spared, 1);
}

#[test]
fn its_limits_hold_over_all_workers() {
    let limits = EndpointCircuitBreaker { max_requests: Some(4), max_pending: Some(2), ..policy() };
    let mut document = document(2, limits);
    document.endpoints[1].max_connections = Some(1);
    let pool = built(&document, None);
    let mut pickers = [1, 2].map(|seed| Picker::new(Arc::clone(&pool), Random::new(seed)));
    let mut take = |turn: usize| pickers[turn % 2].pick(None, None, 0);
    let mut held: Vec<Lease> = (0..3).map(|turn| take(turn).unwrap()).collect();
    assert_eq!(take(0).unwrap_err(), NoEndpoint::AllFull, "two wait at one, and the other may have one");
    held.iter().for_each(Lease::connected);
    held.extend((0..2).map(|turn| take(turn).unwrap()));
    assert_eq!(take(1).unwrap_err(), NoEndpoint::AllFull);
    held.iter().for_each(Lease::connected);
    assert_eq!(take(0).unwrap_err(), NoEndpoint::AllFull, "four are under way");
    let in_flight = pool.members.iter().map(|member| member.endpoint.in_flight());
    assert_eq!(in_flight.collect::<Vec<u32>>(), [4, 1]);
    assert!(pool.members[0].circuit.as_ref().unwrap().rejected() >= 2);
    drop(held);
    let free: Vec<Lease> = (0..3).map(|turn| take(turn).unwrap()).collect();
    assert_eq!(free.len(), 3, "who never had a connection waits no longer");
}

#[test]
fn a_reload_goes_on_where_it_was() {
    let before = pool(2);
    serve(&mut picker(&before), 8, &[0], 0);
    sweep(&before, 0);
    let after = built(&document(3, policy()), Some(&before));
    assert_eq!(after.members[0].phase(), Phase::Open);
    assert_eq!(serve(&mut picker(&after), 4, &[], 0), [0, 2, 2]);
    let off = document::Pool { endpoint_circuit_breaker: None, ..document(2, policy()) };
    let off = built(&off, Some(&after));
    assert_eq!(serve(&mut picker(&off), 4, &[], 0), [2, 2]);
    let never = document(2, EndpointCircuitBreaker { failure_rate_percent: 0, ..policy() });
    let never = built(&never, Some(&after));
    assert_eq!(serve(&mut picker(&never), 4, &[], 0), [2, 2], "at once");
}

/// What may befall the pool.
#[derive(Debug, Clone)]
enum Event {
    Request(usize),
    End(usize, bool),
    Gone(usize),
    Health(usize, bool),
    Admin(usize, bool),
    Eject(usize, bool),
    Sweep(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0_usize..2).prop_map(Event::Request),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(which, good)| Event::End(which, good)),
        1 => any::<usize>().prop_map(Event::Gone),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, good)| Event::Health(which, good)),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, good)| Event::Admin(which, good)),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, good)| Event::Eject(which, good)),
        3 => (0_u64..3).prop_map(Event::Sweep),
    ]
}

proptest! {
    /// Whatever happens, in whatever order: while an endpoint could serve, somebody is picked; nobody is picked whose circuit
    /// is open while another one's is closed; no circuit opens beyond the share or at the last one that is left; probes are
    /// never too many.
    #[test]
    fn it_keeps_its_promises(
        endpoints in 1_u8..6,
        percent in 0_u8..=100,
        events in prop::collection::vec(event(), 1..300),
    ) {
        let pool = built(&document(endpoints, EndpointCircuitBreaker { max_open_percent: percent, ..policy() }), None);
        let mut pickers = [1, 2].map(|seed| Picker::new(Arc::clone(&pool), Random::new(seed)));
        let (mut now, mut held): (Nanos, Vec<(Lease, [u64; 3])>) = (0, Vec::new());
        let member = |which: usize| &pool.members[which % pool.members.len()];
        let trials = |member: &Member| member.circuit.as_ref().unwrap().transitions();
        for event in events {
            match event {
                Event::Request(worker) => {
                    let is_able = pool.members.iter().any(Member::is_able);
                    let has_closed = pool.members.iter().any(Member::is_left);
                    match pickers[worker].pick(None, None, now) {
                        Ok(lease) => {
                            let place = lease.endpoint().id().0 as usize;
                            let phase = member(place).phase();
                            prop_assert!(phase != Phase::Open || !has_closed);
                            held.push((lease, trials(member(place))));
                        }
                        Err(why) => prop_assert!(!is_able, "{why:?}"),
                    }
                }
                Event::End(which, good) if !held.is_empty() => {
                    let (lease, _) = held.swap_remove(which % held.len());
                    pool.observe(&lease, if good { Outcome::Success } else { Outcome::ServerError }, 1);
                }
                Event::Gone(which) if !held.is_empty() => drop(held.swap_remove(which % held.len())),
                Event::End(..) | Event::Gone(_) => {}
                Event::Health(which, good) => {
                    member(which).endpoint.set_health(if good { Health::Healthy } else { Health::Unhealthy });
                    pool.changed();
                }
                Event::Admin(which, good) => {
                    let admin = if good { AdminState::Ready } else { AdminState::Maintenance };
                    member(which).endpoint.set_admin(admin);
                    pool.changed();
                }
                Event::Eject(which, is_ejected) => {
                    member(which).endpoint.set_ejected(is_ejected);
                    pool.changed();
                }
                Event::Sweep(tenths) => {
                    now += tenths * 5 * TENTH;
                    let before: Vec<Phase> = pool.members.iter().map(Member::phase).collect();
                    let changes = sweep(&pool, now);
                    let most = (usize::from(endpoints) * usize::from(percent) / 100).max(1);
                    let out = pool.members.iter().filter(|member| member.is_out()).count();
                    let opened = changes.iter().any(|(id, to)| {
                        *to == Phase::Open && before[*id as usize] == Phase::Closed
                    });
                    prop_assert!(!opened || out <= most, "{out} of {most}");
                    let is_able = pool.members.iter().any(Member::is_able);
                    prop_assert!(!is_able || pool.members.iter().any(Member::is_left), "one is left");
                }
            }
            for place in 0..pool.members.len() {
                let one = member(place);
                if one.phase() == Phase::HalfOpen && pool.members.iter().any(Member::is_left) {
                    let probes = held.iter().filter(|(lease, began)| {
                        Arc::ptr_eq(lease.endpoint(), &one.endpoint) && *began == trials(one) && lease.is_probe()
                    });
                    prop_assert!(probes.count() <= 2);
                }
            }
        }
    }
}
