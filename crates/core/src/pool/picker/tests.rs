use super::*;
use crate::document::{self, Balance};
use crate::ids::Ids;
use crate::pool::{AdminState, Health};
use crate::sample;

fn document(endpoints: u8) -> document::Pool {
    document::Pool { endpoints: (1..=endpoints).map(sample::endpoint).collect(), ..sample::pool() }
}

fn pool(document: &document::Pool, previous: Option<&Pool>) -> Arc<Pool> {
    Arc::new(Pool::build(document, previous, &mut Ids::default()).unwrap())
}

fn picker(endpoints: u8) -> Picker {
    Picker::new(pool(&document(endpoints), None), Random::new(1))
}

fn picks(picker: &mut Picker, count: usize) -> Vec<u32> {
    (0..count).map(|_| picker.pick(None, None, 0).unwrap().endpoint().id().0).collect()
}

#[test]
fn a_lease_counts_in_and_out() {
    let mut picker = picker(1);
    let endpoint = Arc::clone(&picker.pool().members[0].endpoint);
    let leases: Vec<Lease> = (0..3).map(|_| picker.pick(None, None, 0).unwrap()).collect();
    assert_eq!(endpoint.in_flight(), 3);
    drop(picker);
    assert_eq!(endpoint.in_flight(), 3, "a lease outlives its picker");
    drop(leases);
    assert_eq!(endpoint.in_flight(), 0);
}

#[test]
fn a_change_is_seen_by_the_next_pick() {
    let mut picker = picker(3);
    let pool = Arc::clone(picker.pool());
    for (index, admin) in [(0, AdminState::Draining), (1, AdminState::Maintenance)] {
        pool.members[index].endpoint.set_admin(admin);
    }
    pool.members[2].endpoint.set_weight_override(Some(5));
    pool.changed();
    assert_eq!(picks(&mut picker, 4), [2; 4]);
    assert_eq!(picker.tier(0), Ok(Tier::Healthy));
    pool.members[2].endpoint.set_health(Health::Unhealthy);
    pool.changed();
    assert_eq!(picker.pick(None, None, 0).unwrap_err(), NoEndpoint::AllUnhealthy);
    assert_eq!(picker.tier(0), Err(NoEndpoint::AllUnhealthy));
    pool.members[2].endpoint.set_health(Health::Healthy);
    pool.changed();
    assert_eq!(picks(&mut picker, 2), [2; 2]);
}

#[test]
fn weights_that_are_swapped_count_at_once() {
    let mut picker = picker(2);
    let pool = Arc::clone(picker.pool());
    for weights in [[1, 3], [3, 1]] {
        for (member, weight) in pool.members.iter().zip(weights) {
            member.endpoint.set_weight_override(Some(weight));
        }
        pool.changed();
        let picks = picks(&mut picker, 8);
        let counts = [0, 1].map(|id| picks.iter().filter(|picked| **picked == id).count());
        assert_eq!(counts, weights.map(|weight| usize::from(weight) * 2));
    }
}

#[test]
fn tables_follow_the_weights_of_those_that_get_no_traffic_too() {
    let key = document::HashKey { source: document::HashSource::Uri, name: None };
    let document = document::Pool { balance: Balance::Maglev, hash_key: Some(key), ..document(3) };
    let mut old = Picker::new(pool(&document, None), Random::new(1));
    let pool = Arc::clone(old.pool());
    pool.members[2].endpoint.set_health(Health::Unhealthy);
    pool.changed();
    assert!(old.pick(None, None, 0).is_ok());
    pool.members[2].endpoint.set_weight_override(Some(30));
    pool.changed();
    let mut new = Picker::new(pool, Random::new(2));
    for key in (0..200).map(crate::pool::hash::mix) {
        let [old, new] = [&mut old, &mut new].map(|picker| picker.pick(Some(key), None, 0).unwrap());
        assert_eq!(old.endpoint().id(), new.endpoint().id(), "a worker that came later agrees");
    }
}

#[test]
fn exclusion() {
    let mut two = picker(2);
    assert!((0..20).all(|_| two.pick(None, Some(EndpointId(0)), 0).unwrap().endpoint().id().0 == 1));
    assert!(two.pick(None, Some(EndpointId(77)), 0).is_ok(), "gone since: nothing to exclude");
    let mut one = picker(1);
    assert_eq!(one.pick(None, Some(EndpointId(0)), 0).unwrap_err(), NoEndpoint::OnlyExcluded);
    assert_eq!(picker(0).pick(None, Some(EndpointId(0)), 0).unwrap_err(), NoEndpoint::Empty);
}

#[test]
fn no_endpoint_gets_more_than_its_connections() {
    for balance in crate::balancer::ALL {
        let takes_key = matches!(balance, Balance::RingHash | Balance::Maglev);
        let hash_key =
            takes_key.then_some(document::HashKey { source: document::HashSource::Uri, name: None });
        let mut document = document::Pool { balance, hash_key, ..document(3) };
        for (endpoint, most) in document.endpoints.iter_mut().zip([Some(2), Some(5), None]) {
            endpoint.max_connections = most;
        }
        let mut picker = Picker::new(pool(&document, None), Random::new(1));
        let held: Vec<Lease> = (0..50).map(|_| picker.pick(Some(7), None, 0).unwrap()).collect();
        let counts = [0, 1, 2].map(|index: usize| picker.pool().members[index].endpoint.in_flight());
        assert!(
            counts[0] <= 2 && counts[1] <= 5 && counts.iter().sum::<u32>() == 50,
            "{balance:?} {counts:?}"
        );
        let excluded = picker.pick(Some(7), Some(EndpointId(2)), 0);
        assert_eq!(excluded.is_err(), counts == [2, 5, 43], "{balance:?} {excluded:?}");
        drop((held, excluded));
        document.endpoints[2].max_connections = Some(1);
        let next = pool(&document, Some(picker.pool()));
        picker.update(next);
        let held: Vec<Lease> = (0..8).map(|_| picker.pick(None, None, 0).unwrap()).collect();
        assert_eq!(picker.pick(None, None, 0).unwrap_err(), NoEndpoint::AllFull, "{balance:?}");
        drop(held);
        assert!(picker.pick(None, None, 0).is_ok());
    }
}

#[test]
fn no_pool_gets_more_than_its_requests() {
    for balance in crate::balancer::ALL {
        let takes_key = matches!(balance, Balance::RingHash | Balance::Maglev);
        let hash_key =
            takes_key.then_some(document::HashKey { source: document::HashSource::Uri, name: None });
        let circuit = |max_requests| {
            Some(document::CircuitBreaker {
                failure_rate_percent: 0,
                window_ms: 1,
                minimum_requests: 1,
                base_open_time_ms: 1,
                max_open_time_ms: 1,
                half_open_requests: 1,
                max_requests,
            })
        };
        let mut document =
            document::Pool { balance, hash_key, circuit_breaker: circuit(Some(4)), ..document(3) };
        let built = pool(&document, None);
        let mut pickers = [1, 2].map(|seed| Picker::new(Arc::clone(&built), Random::new(seed)));
        let mut held: Vec<Lease> =
            (0..4).map(|turn: usize| pickers[turn % 2].pick(Some(7), None, 0).unwrap()).collect();
        for picker in &mut pickers {
            assert_eq!(picker.pick(Some(7), None, 0).unwrap_err(), NoEndpoint::PoolFull, "{balance:?}");
            assert_eq!(picker.pick_another(None, &[EndpointId(0)], 0).unwrap_err(), NoEndpoint::PoolFull);
        }
        let in_flight = built.members.iter().map(|member| member.endpoint.in_flight()).sum::<u32>();
        assert_eq!(in_flight, 4, "who was refused is counted nowhere");
        held.pop();
        held.push(pickers[1].pick(None, None, 0).unwrap());
        document.circuit_breaker = circuit(Some(5));
        pickers[0].update(pool(&document, Some(&built)));
        held.push(pickers[0].pick(None, None, 0).unwrap());
        assert_eq!(pickers[0].pick(None, None, 0).unwrap_err(), NoEndpoint::PoolFull, "with those of before");
        document.circuit_breaker = circuit(None);
        pickers[0].update(pool(&document, Some(&built)));
        assert!(pickers[0].pick(None, None, 0).is_ok());
    }
}

#[test]
fn an_update_keeps_the_position() {
    let mut picker = picker(3);
    let last = picks(&mut picker, 1)[0];
    let next = pool(&document(3), Some(picker.pool()));
    picker.update(Arc::clone(&next));
    assert!(Arc::ptr_eq(picker.pool(), &next));
    assert_eq!(picks(&mut picker, 2), [(last + 1) % 3, (last + 2) % 3]);
    picker.update(pool(&document(4), Some(&next)));
    assert_eq!(picks(&mut picker, 4), [1, 2, 3, 4].map(|turn| ((last + 2) % 3 + turn) % 4));
}

#[test]
fn an_update_can_change_the_algorithm() {
    let mut picker = picker(3);
    let hashed = document::Pool { balance: Balance::IpHash, ..document(3) };
    let next = pool(&hashed, Some(picker.pool()));
    picker.update(next);
    let first = picker.pick(Some(5), None, 0).unwrap().endpoint().id();
    assert!((0..20).all(|_| picker.pick(Some(5), None, 0).unwrap().endpoint().id() == first));
}

#[test]
fn an_endpoint_that_went_and_came_is_a_new_one() {
    let mut picker = picker(2);
    let gone = pool(&document(1), Some(picker.pool()));
    picker.update(Arc::clone(&gone));
    let back = pool(&document(2), Some(&gone));
    picker.update(Arc::clone(&back));
    for _ in 0..4 {
        let lease = picker.pick(None, None, 0).unwrap();
        assert!(back.members.iter().any(|member| Arc::ptr_eq(&member.endpoint, lease.endpoint())));
    }
}

#[test]
fn a_large_pool_rests_between_selections_but_hands_out_nobody_unfit() {
    for balance in crate::balancer::ALL {
        let takes_key = matches!(balance, Balance::RingHash | Balance::Maglev);
        let hash_key =
            takes_key.then_some(document::HashKey { source: document::HashSource::Uri, name: None });
        let document = document::Pool { balance, hash_key, ..document(200) };
        let mut picker = Picker::new(pool(&document, None), Random::new(1));
        let pool = Arc::clone(picker.pool());
        let mut random = Random::new(2);
        for step in 0..500 {
            let endpoint = &pool.members[random.index(200)].endpoint;
            match random.below(3) {
                0 => endpoint.set_health(Health::Healthy),
                1 => endpoint.set_health(Health::Unhealthy),
                _ => endpoint.set_weight_override([None, Some(0)][random.index(2)]),
            }
            pool.changed();
            let now = step * 100_000;
            let lease = picker.pick(Some(random.next()), None, now).unwrap();
            assert_eq!(lease.endpoint().health(), Health::Healthy, "{balance:?}");
            assert_ne!(lease.endpoint().weight_override(), Some(0), "{balance:?}");
            let other = picker.pick(Some(random.next()), Some(lease.endpoint().id()), now).unwrap();
            assert_ne!(other.endpoint().id(), lease.endpoint().id());
            assert_eq!(other.endpoint().health(), Health::Healthy, "{balance:?}");
        }
    }
}

#[test]
fn in_a_large_pool_an_endpoint_that_became_fit_waits_for_a_moment() {
    let mut picker = picker(100);
    let pool = Arc::clone(picker.pool());
    let set = |index: usize, health| {
        pool.members[index].endpoint.set_health(health);
        pool.changed();
    };
    (1..100).for_each(|index| set(index, Health::Unhealthy));
    assert_eq!(picker.pick(None, None, 0).unwrap().endpoint().id().0, 0);
    set(1, Health::Healthy);
    let picked = |picker: &mut Picker, now| {
        (0..10).any(|_| picker.pick(None, None, now).unwrap().endpoint().id().0 == 1)
    };
    assert!(!picked(&mut picker, 100 * REST - 1));
    assert!(picked(&mut picker, 100 * REST));
    set(0, Health::Unhealthy);
    set(1, Health::Unhealthy);
    assert_eq!(picker.pick(None, None, 101 * REST).unwrap_err(), NoEndpoint::AllUnhealthy);
    set(5, Health::Healthy);
    assert!(
        picker.pick(None, None, 101 * REST).is_ok(),
        "without any candidate there is nothing to wait for"
    );
}
