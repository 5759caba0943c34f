use super::*;
use crate::metrics::sample;
use crate::tls::Targets;
use evenly_core::pool::Health;
use serde_json::json;
use std::net::SocketAddr;

fn addresses(ports: std::ops::Range<u16>) -> Vec<SocketAddr> {
    ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect()
}

fn snapshot(ports: std::ops::Range<u16>, interval_ms: u64, previous: Option<&Snapshot>) -> Arc<Snapshot> {
    let check = sample::health_check(&json!({"type": "tcp", "send": null, "expect": null}), interval_ms);
    sample::snapshot(&[], &addresses(ports), &check, previous)
}

fn prober() -> Prober {
    Prober::new(Arc::default(), Arc::default())
}

fn target(prober: &Prober, snapshot: &Snapshot, member: usize) -> Rc<Target> {
    Rc::clone(&prober.targets.borrow()[&snapshot.pools[0].members[member].endpoint.id()])
}

#[test]
fn first_checks_come_at_once_but_not_together() {
    let prober = prober();
    let began = Instant::now();
    prober.apply(&snapshot(1..1001, 5000, None), &Targets::default());
    let ended = Instant::now();
    let due: Vec<Instant> = prober.due.borrow().iter().map(|Reverse(due)| due.at).collect();
    assert_eq!(due.len(), 1000);
    assert!(due.iter().all(|at| (began..ended + FIRST_GAP * 1000).contains(at)));
    let (first, last) = (due.iter().min().unwrap(), due.iter().max().unwrap());
    assert!(last.duration_since(*first) > FIRST_GAP * 500, "they are spread over the time they have");
}

#[test]
fn a_reload_keeps_what_is_the_same_and_replaces_what_is_not() {
    let prober = prober();
    let first = snapshot(1..4, 5000, None);
    prober.apply(&first, &Targets::default());
    let before = [target(&prober, &first, 0), target(&prober, &first, 1), target(&prober, &first, 2)];

    let fewer = snapshot(2..4, 5000, Some(&first));
    prober.apply(&fewer, &Targets::default());
    assert!(Rc::ptr_eq(&target(&prober, &fewer, 0), &before[1]), "its tracker and its next check are kept");
    assert!(Arc::ptr_eq(&before[1].pool.borrow(), &fewer.pools[0]));
    assert_eq!((before[0].is_removed.get(), before[1].is_removed.get()), (true, false));
    assert_eq!(prober.due.borrow().len(), 2, "what is gone is not due any more");

    let other = snapshot(2..4, 6000, Some(&fewer));
    prober.apply(&other, &Targets::default());
    assert!(before[1].is_removed.get(), "another check, another tracker");
    assert_eq!(prober.due.borrow().len(), 2);

    prober.apply(
        &sample::snapshot(&[], &addresses(2..4), &serde_json::Value::Null, Some(&other)),
        &Targets::default(),
    );
    assert!(prober.targets.borrow().is_empty() && prober.due.borrow().is_empty());
}

#[test]
fn the_port_of_a_check_replaces_the_endpoints() {
    let mut check = sample::health_check(&json!({"type": "tcp", "send": null, "expect": null}), 5000);
    check["port"] = json!(9000);
    let snapshot = sample::snapshot(&[], &addresses(1..2), &check, None);
    let prober = prober();
    prober.apply(&snapshot, &Targets::default());
    let target = target(&prober, &snapshot, 0);
    assert_eq!((target.address.port(), target.endpoint.address().port()), (9000, 1));
}

#[test]
fn a_shortage_of_this_node_is_told_once_and_judges_nobody() {
    let prober = prober();
    let snapshot = snapshot(1..2, 5000, None);
    prober.checks.retain([snapshot.pools[0].members[0].endpoint.id()].into_iter());
    prober.apply(&snapshot, &Targets::default());
    let target = target(&prober, &snapshot, 0);
    for _ in 0..5 {
        prober.conclude(&target, Err(CheckFailure::Connect(24)), Duration::ZERO);
    }
    assert_eq!(target.endpoint.health(), Health::Starting);
    assert_eq!(prober.events.wait(Duration::ZERO).len(), 1);
    prober.conclude(&target, Ok(()), Duration::ZERO);
    assert_eq!(target.endpoint.health(), Health::Healthy);
    let checks = prober.checks.of(target.endpoint.id()).unwrap();
    assert_eq!((checks.passed, checks.failed, checks.transitions), (1, 0, 1));
}

#[test]
fn the_operators_word_covers_the_health() {
    let prober = prober();
    let snapshot = snapshot(1..2, 5000, None);
    prober.apply(&snapshot, &Targets::default());
    let target = target(&prober, &snapshot, 0);
    target.endpoint.set_admin(evenly_core::pool::AdminState::Maintenance);
    prober.conclude(&target, Err(CheckFailure::Status(503)), Duration::ZERO);
    assert_eq!(target.endpoint.health(), Health::Unhealthy);
    assert!(prober.events.wait(Duration::ZERO).is_empty(), "the state is what it was");
}
