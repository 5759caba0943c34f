//! Picks from pools of several zones and priorities, in any state: they follow the shares, and reach everybody who has one.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a test fails by panicking, and counts little"
)]

mod sample;

use evenly_core::document::{self, Balance, HashKey, HashSource};
use evenly_core::ids::Ids;
use evenly_core::pool::{AdminState, EndpointState, Evacuations, Health, Level, NoEndpoint, Picker, Pool};
use evenly_core::random::Random;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

const PICKS: usize = 4_000;

/// One endpoint: its zone, priority, whether it is a backup, its weight, health and what the operator says.
type Placed = (usize, u8, bool, u16, usize, usize);

const ZONES: [Option<&str>; 3] = [None, Some("a"), Some("b")];

fn document(endpoints: &[Placed], balance: Balance) -> document::Pool {
    let endpoint = |(last, placed): (u8, &Placed)| document::Endpoint {
        weight: placed.3,
        backup: placed.2,
        zone: ZONES[placed.0].map(str::to_owned),
        priority: if placed.2 { 0 } else { placed.1 },
        ..sample::endpoint(last)
    };
    let takes_key = matches!(balance, Balance::RingHash | Balance::Maglev);
    document::Pool {
        balance,
        hash_key: takes_key.then_some(HashKey { source: HashSource::Uri, name: None }),
        endpoints: (1..).zip(endpoints).map(endpoint).collect(),
        ..sample::pool()
    }
}

fn pool(endpoints: &[Placed], balance: Balance) -> Arc<Pool> {
    let pool = Pool::build(&document(endpoints, balance), None, &mut Ids::default()).unwrap();
    for (member, placed) in pool.members.iter().zip(endpoints) {
        member.endpoint.set_health(Health::ALL[placed.4]);
        member.endpoint.set_admin(AdminState::ALL[placed.5]);
    }
    pool.changed();
    Arc::new(pool.seen_from(Some("a")))
}

fn placed() -> impl Strategy<Value = Placed> {
    // Most are healthy and ready, so that levels differ by degrees.
    let health = prop_oneof![4 => Just(1_usize), 1 => Just(0), 2 => Just(2)];
    let admin = prop_oneof![6 => Just(0_usize), 1 => Just(1), 1 => Just(2)];
    (0..3_usize, 0..3_u8, prop::bool::weighted(0.2), 0..4_u16, health, admin)
}

fn balances() -> impl Strategy<Value = Balance> {
    prop::sample::select(evenly_core::balancer::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn picks_follow_the_shares_of_the_levels(
        endpoints in prop::collection::vec(placed(), 0..12),
        balance in balances(),
        evacuated in prop::sample::select(vec![None, Some("a"), Some("b")]),
        seed in any::<u64>(),
    ) {
        let pool = pool(&endpoints, balance);
        let mut evacuations = Evacuations::default();
        if let Some(zone) = evacuated {
            evacuations.begin(zone, 1);
            evacuations.mark(std::slice::from_ref(&pool));
        }
        let mut picker = Picker::new(Arc::clone(&pool), Random::new(seed));
        let mut keys = Random::new(seed);
        let level_of: BTreeMap<_, _> =
            pool.members.iter().map(|member| (member.endpoint.id(), member.level)).collect();
        let mut counts: BTreeMap<Level, usize> = BTreeMap::new();
        for _ in 0..PICKS {
            match picker.pick(Some(keys.next()), None, 0) {
                Ok(lease) => {
                    let state = lease.endpoint().state();
                    prop_assert!(matches!(state, EndpointState::Healthy | EndpointState::Starting), "{state:?}");
                    *counts.entry(level_of[&lease.endpoint().id()]).or_default() += 1;
                }
                Err(why) => {
                    prop_assert_ne!(why, NoEndpoint::OnlyExcluded);
                    let usable = pool.members.iter().any(|member| {
                        let state = member.endpoint.state();
                        member.weight > 0 && matches!(state, EndpointState::Healthy | EndpointState::Starting)
                    });
                    prop_assert!(!usable, "{why:?}, and there is one");
                    return Ok(());
                }
            }
        }
        for one in pool.level_shares() {
            let found = *counts.get(&one.level).unwrap_or(&0) as f64;
            let expected = one.share * PICKS as f64;
            // Six standard deviations: 400 cases of a handful of levels, and never a false alarm.
            let deviation = (expected * (1.0 - one.share)).sqrt();
            prop_assert!((found - expected).abs() <= 6.0 * deviation + 1.0, "{one:?}: {found} of {PICKS}");
        }
    }

    #[test]
    fn nobody_with_a_share_starves(endpoints in prop::collection::vec(placed(), 1..10), seed in any::<u64>()) {
        let pool = pool(&endpoints, Balance::RoundRobin);
        let mut picker = Picker::new(Arc::clone(&pool), Random::new(seed));
        let mut counts: BTreeMap<_, usize> = BTreeMap::new();
        for _ in 0..PICKS {
            let Ok(lease) = picker.pick(None, None, 0) else { return Ok(()) };
            *counts.entry(lease.endpoint().id()).or_default() += 1;
        }
        let is_healthy = |state| state == EndpointState::Healthy;
        let shares = pool.level_shares();
        for member in pool.members.iter().filter(|member| member.weight > 0) {
            let share = shares.iter().find(|one| one.level == member.level).map_or(0.0, |one| one.share);
            // A twentieth of 4,000 is 200 requests, and the lightest of nine endpoints has a share of 1 / 25 of them.
            if share > 0.05 && is_healthy(member.endpoint.state()) {
                prop_assert!(counts.contains_key(&member.endpoint.id()), "{:?} of {share}", member.level);
            }
        }
    }
}

#[test]
fn keys_stay_on_their_level_while_the_shares_do() {
    let endpoints: Vec<Placed> = (0..8).map(|i| (1 + i / 4, 0, false, 1, 1, 0)).collect();
    let pool = pool(&endpoints, Balance::RingHash);
    let mut picker = Picker::new(Arc::clone(&pool), Random::new(1));
    let keys: Vec<u64> = (1..=PICKS as u64).map(evenly_core::pool::hash::mix).collect();
    let place = |picker: &mut Picker| -> Vec<SocketAddr> {
        keys.iter().map(|key| picker.pick(Some(*key), None, 0).unwrap().endpoint().address()).collect()
    };
    let before = place(&mut picker);
    assert_eq!(before, place(&mut picker), "a key has one place");
    pool.members[0].endpoint.set_admin(AdminState::Maintenance);
    pool.members[1].endpoint.set_admin(AdminState::Maintenance);
    pool.changed();
    let after = place(&mut picker);
    let lost = [pool.members[0].endpoint.address(), pool.members[1].endpoint.address()];
    let moved = before.iter().zip(&after).filter(|(old, new)| !lost.contains(old) && old != new).count();
    // 30 % of all keys go to the other zone; of those of the two that stay that is 30 % as well, and no more than that.
    let stayed = before.iter().filter(|old| !lost.contains(old)).count();
    assert!(moved * 100 <= stayed * 33, "{moved} of {stayed} moved");
    pool.members[0].endpoint.set_admin(AdminState::Ready);
    pool.members[1].endpoint.set_admin(AdminState::Ready);
    pool.changed();
    assert_eq!(before, place(&mut picker), "and back");
}

#[test]
fn the_excluded_one_has_others_behind_its_level() {
    let pool =
        pool(&[(1, 0, false, 1, 1, 0), (2, 0, false, 1, 1, 0), (0, 0, true, 1, 1, 0)], Balance::RoundRobin);
    let mut picker = Picker::new(Arc::clone(&pool), Random::new(1));
    let ids: Vec<_> = pool.members.iter().map(|member| member.endpoint.id()).collect();
    assert_eq!(picker.pick(None, None, 0).unwrap().endpoint().id(), ids[0]);
    assert_eq!(picker.pick(None, Some(ids[0]), 0).unwrap().endpoint().id(), ids[1]);
    pool.members[1].endpoint.set_health(Health::Unhealthy);
    pool.changed();
    assert_eq!(picker.pick(None, Some(ids[0]), 0).unwrap().endpoint().id(), ids[2], "the backup");
    pool.members[2].endpoint.set_health(Health::Unhealthy);
    pool.changed();
    assert_eq!(picker.pick(None, Some(ids[0]), 0).unwrap_err(), NoEndpoint::OnlyExcluded);
}

#[test]
fn tries_go_through_one_level_after_the_other() {
    let here = (1, 0, false, 1, 1, 0);
    let pool = pool(&[here, here, here, (2, 0, false, 1, 1, 0), (2, 1, false, 1, 1, 0)], Balance::RoundRobin);
    let mut picker = Picker::new(Arc::clone(&pool), Random::new(1));
    let ids: Vec<_> = pool.members.iter().map(|member| member.endpoint.id()).collect();
    for _ in 0..50 {
        let mut tried = Vec::new();
        while let Ok(lease) = picker.pick_another(None, &tried, 0) {
            tried.push(lease.endpoint().id());
        }
        tried[..3].sort_unstable();
        assert_eq!(tried, ids);
    }
}

#[test]
fn a_full_level_overflows_and_an_evacuated_one_takes_nobody() {
    let mut document = document(&[(1, 0, false, 1, 1, 0), (2, 0, false, 1, 1, 0)], Balance::RoundRobin);
    document.endpoints.iter_mut().for_each(|endpoint| endpoint.max_connections = Some(2));
    let pool = Pool::build(&document, None, &mut Ids::default()).unwrap();
    pool.members.iter().for_each(|member| member.endpoint.set_health(Health::Healthy));
    let pool = Arc::new(pool.seen_from(Some("a")));
    let mut picker = Picker::new(Arc::clone(&pool), Random::new(1));
    let ids: Vec<_> = pool.members.iter().map(|member| member.endpoint.id()).collect();
    let mut evacuations = Evacuations::default();
    for (is_evacuated, expected) in [(false, vec![0, 0, 1, 1]), (true, vec![0, 0])] {
        if is_evacuated {
            evacuations.begin("b", 1);
            evacuations.mark(std::slice::from_ref(&pool));
        }
        let leases: Vec<_> = std::iter::from_fn(|| picker.pick(None, None, 0).ok()).take(9).collect();
        let places =
            |lease: &evenly_core::pool::Lease| ids.iter().position(|id| *id == lease.endpoint().id());
        assert_eq!(leases.iter().map(|lease| places(lease).unwrap()).collect::<Vec<_>>(), expected);
        assert_eq!(picker.pick(None, None, 0).unwrap_err(), NoEndpoint::AllFull);
    }
    let lease = picker.pick(None, None, 0).unwrap();
    let tried = [lease.endpoint().id()];
    assert_eq!(picker.pick_another(None, &tried, 0).unwrap_err(), NoEndpoint::OnlyExcluded);
}

#[test]
fn a_reload_moves_endpoints_between_levels() {
    let mut endpoints = vec![(1, 0, false, 1, 1, 0), (2, 0, false, 1, 1, 0)];
    let first = pool(&endpoints, Balance::RoundRobin);
    let mut picker = Picker::new(Arc::clone(&first), Random::new(1));
    let picks = |picker: &mut Picker| -> Vec<SocketAddr> {
        (0..10).map(|_| picker.pick(None, None, 0).unwrap().endpoint().address()).collect()
    };
    assert_eq!(picks(&mut picker), vec![first.members[0].endpoint.address(); 10]);
    endpoints[0].0 = 2;
    endpoints[1].0 = 1;
    let second = pool(&endpoints, Balance::RoundRobin);
    picker.update(Arc::clone(&second));
    assert_eq!(picks(&mut picker), vec![second.members[1].endpoint.address(); 10]);
    endpoints[0].0 = 1;
    picker.update(pool(&endpoints, Balance::RoundRobin));
    assert_eq!(
        picks(&mut picker).iter().filter(|one| **one == first.members[0].endpoint.address()).count(),
        5
    );
}
