//! A table against a plain model, and the rules for sockets.

use super::sources::RESTING;
use super::*;
use crate::random::Random;
use std::collections::BTreeMap;
use std::hash::RandomState;

fn address(n: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], n))
}

fn flow(n: u16) -> Flow {
    Flow { client: address(n), local: None }
}

fn session(n: u16, last: Tick) -> Session<u16> {
    Session {
        flow: flow(n),
        endpoint: address(1),
        source: 0,
        last,
        unanswered: None,
        answers_left: None,
        with: n,
    }
}

#[test]
fn a_table_does_what_a_map_does() {
    let mut random = Random::new(7);
    let mut table = Sessions::new(RandomState::new());
    let mut model: BTreeMap<u16, SessionId> = BTreeMap::new();
    for step in 0..20_000 {
        let n = u16::try_from(random.below(300)).unwrap() + 1;
        match (table.find(&flow(n)), model.get(&n)) {
            (None, None) => {
                let next = table.next();
                let id = table.open(session(n, step));
                assert_eq!(id, next);
                model.insert(n, id);
            }
            (Some(id), Some(known)) => {
                assert_eq!(id, *known);
                assert_eq!(table.get(id).unwrap().with, n);
                assert_eq!(table.close(id).unwrap().flow, flow(n));
                assert!(table.get(id).is_none() && table.close(id).is_none());
                model.remove(&n);
            }
            (found, known) => panic!("{found:?} {known:?}"),
        }
        assert_eq!(table.len(), model.len());
    }
}

#[test]
fn the_silent_are_found_within_one_round_and_nobody_else() {
    let mut table = Sessions::new(RandomState::new());
    for n in 1..=30_000 {
        table.open(session(n, Tick::from(n % 2) * 100));
    }
    let mut found = 0;
    for _ in 0..=SWEEPS {
        for id in table.due(Due { silent: 100, unanswered: 0 }) {
            assert_eq!(table.close(id).unwrap().with % 2, 0);
            found += 1;
        }
    }
    assert_eq!((found, table.len()), (15_000, 15_000));
}

#[test]
fn who_is_not_answered_is_found_though_its_client_goes_on_asking() {
    let mut table = Sessions::new(RandomState::new());
    for (n, unanswered) in [(1, Some(10)), (2, Some(50)), (3, None)] {
        table.open(Session { unanswered, ..session(n, 90) });
    }
    let mut due = |unanswered| {
        let ids = table.due(Due { silent: 80, unanswered });
        let mut clients: Vec<u16> = ids.into_iter().map(|id| table.get(id).unwrap().with).collect();
        clients.sort_unstable();
        clients
    };
    assert!(due(10).is_empty());
    assert_eq!(due(11), [1]);
    assert_eq!(due(51), [1, 2]);
}

#[test]
fn a_socket_carries_one_session_to_each_endpoint() {
    let mut sources = Sources::new(2);
    let (a, b) = (address(1), address(2));
    let claimed = |sources: &mut Sources, endpoint| match sources.claim(endpoint)? {
        Claim::New(source) => {
            sources.opened(endpoint);
            Some(source)
        }
        Claim::Open(source) => Some(source),
    };
    for (endpoint, source) in [(a, Some(0)), (b, Some(0)), (a, Some(1)), (b, Some(1)), (a, None), (b, None)] {
        let got = claimed(&mut sources, endpoint);
        assert_eq!(got, source, "{endpoint}");
        if let Some(source) = got {
            sources.take(source, endpoint, SessionId(u32::from(endpoint.port()) * 10 + source));
        }
    }
    assert_eq!(sources.session(1, a), Some(SessionId(11)));
    assert_eq!(sources.session(1, address(9)), None);
    sources.release(1, a);
    assert_eq!((sources.session(1, a), sources.session(1, b)), (None, Some(SessionId(21))));
    assert_eq!(claimed(&mut sources, a), Some(1));
}

#[test]
fn a_socket_rests_while_others_are_to_be_had() {
    let mut sources = Sources::new(1000);
    let mut used = Vec::new();
    for _ in 0..200 {
        let claim = sources.claim(address(1)).unwrap();
        let source = match claim {
            Claim::New(source) => {
                sources.opened(address(1));
                source
            }
            Claim::Open(source) => source,
        };
        sources.take(source, address(1), SessionId(0));
        sources.release(source, address(1));
        used.push(source);
    }
    for (i, source) in used.iter().enumerate() {
        let earlier = &used[i.saturating_sub(RESTING - 1)..i];
        assert!(!earlier.contains(source), "{source} at {i}");
    }
    assert_eq!(usize::try_from(sources.len()).unwrap(), RESTING);
}

#[test]
fn sockets_of_a_burst_are_given_back() {
    let mut sources = Sources::new(1000);
    for n in 0..500 {
        assert_eq!(sources.claim(address(1)), Some(Claim::New(n)));
        sources.opened(address(1));
        sources.take(n, address(1), SessionId(n));
    }
    assert_eq!(sources.shrink(), 500);
    (0..500).filter(|n| *n != 99).for_each(|n| sources.release(n, address(1)));
    assert_eq!(sources.shrink(), 100);
    assert_eq!(sources.claim(address(2)), Some(Claim::Open(0)));
    for _ in 0..=99 - RESTING {
        let Some(Claim::Open(source)) = sources.claim(address(1)) else { panic!() };
        assert!(source < 99);
    }
    assert_eq!(sources.claim(address(1)), Some(Claim::New(100)));
}
