use super::*;
use crate::document::{
    CircuitBreaker, EndpointCircuitBreaker, HashKey, HashSource, HealthCheck, StatusRange,
};
use crate::pool::{AdminState, EndpointState};
use crate::sample::{self, endpoint};

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 80))
}

fn pool(endpoints: impl IntoIterator<Item = u8>) -> document::Pool {
    document::Pool { endpoints: endpoints.into_iter().map(endpoint).collect(), ..sample::pool() }
}

fn health_check() -> HealthCheck {
    HealthCheck {
        probe: Probe::Tcp { send: None, expect: None },
        interval_ms: 2_000,
        unhealthy_interval_ms: 1_000,
        jitter_percent: 10,
        timeout_ms: 500,
        unhealthy_after: 3,
        healthy_after: 2,
        port: None,
    }
}

fn http_check(expected_status: Vec<StatusRange>) -> HealthCheck {
    let probe = Probe::Http {
        method: "GET".into(),
        path: "/".into(),
        host: None,
        expected_status,
        expected_body: None,
        reuse_connection: true,
    };
    HealthCheck { probe, ..health_check() }
}

fn built(document: &document::Pool, previous: Option<&Pool>, ids: &mut Ids) -> Pool {
    let pool = Pool::build(document, previous, ids).unwrap();
    ids.retain();
    pool
}

#[test]
fn endpoints_and_epoch_are_carried_over() {
    let mut ids = Ids::default();
    let old = built(&pool([1, 2]), None, &mut ids);
    old.members[1].endpoint.set_admin(AdminState::Draining);
    old.members[1].endpoint.set_weight_override(Some(9));
    old.changed();
    let new = built(&pool([3, 2]), Some(&old), &mut ids);
    assert!(Arc::ptr_eq(&new.members[1].endpoint, &old.members[1].endpoint));
    assert_eq!(new.members[1].effective_weight(), 9);
    assert_eq!(new.id, old.id);
    assert_eq!(new.epoch(), 1);
    new.changed();
    assert_eq!(old.epoch(), 2, "pickers of the older snapshot hear of it too");
    assert_eq!(new.member(address(2)).unwrap().endpoint.state(), EndpointState::Draining);
    assert!(new.member(address(1)).is_none());
}

#[test]
fn health_follows_the_check() {
    let mut ids = Ids::default();
    let plain = built(&pool([1]), None, &mut ids);
    assert_eq!(plain.members[0].endpoint.health(), Health::Healthy);

    let checked =
        built(&document::Pool { health_check: Some(health_check()), ..pool([1, 2]) }, Some(&plain), &mut ids);
    checked.activate();
    let healths: Vec<Health> = checked.members.iter().map(|member| member.endpoint.health()).collect();
    assert_eq!(healths, [Health::Healthy, Health::Starting], "a known one stays healthy, a new one starts");
    assert_eq!((checked.health_summary().healthy, checked.health_summary().starting), (1, 1));

    checked.members[0].endpoint.set_health(Health::Unhealthy);
    let unchecked = built(&pool([1, 2]), Some(&checked), &mut ids);
    assert_eq!(
        unchecked.members[0].endpoint.health(),
        Health::Unhealthy,
        "building changes nothing that runs"
    );
    let before = unchecked.epoch();
    unchecked.activate();
    assert_eq!(unchecked.health_summary().healthy, 2);
    assert_eq!(unchecked.epoch(), before + 1);
    unchecked.activate();
    assert_eq!(unchecked.epoch(), before + 1, "nothing left to change");
}

fn circuit_breaker() -> CircuitBreaker {
    CircuitBreaker {
        failure_rate_percent: 50,
        window_ms: 10_000,
        minimum_requests: 20,
        base_open_time_ms: 5_000,
        max_open_time_ms: 60_000,
        half_open_requests: 5,
        max_requests: None,
    }
}

fn endpoint_circuit_breaker() -> EndpointCircuitBreaker {
    EndpointCircuitBreaker {
        failure_rate_percent: 50,
        window_ms: 10_000,
        minimum_requests: 20,
        base_open_time_ms: 5_000,
        max_open_time_ms: 60_000,
        half_open_requests: 5,
        max_requests: None,
        max_pending: None,
        max_open_percent: 50,
    }
}

#[test]
fn what_no_endpoints_circuit_may_have() {
    let with = |circuit| document::Pool { endpoint_circuit_breaker: Some(circuit), ..pool([1]) };
    for (document, path) in [
        (with(EndpointCircuitBreaker { window_ms: 0, ..endpoint_circuit_breaker() }), "window_ms"),
        (
            with(EndpointCircuitBreaker { max_requests: Some(0), ..endpoint_circuit_breaker() }),
            "max_requests",
        ),
        (with(EndpointCircuitBreaker { max_pending: Some(0), ..endpoint_circuit_breaker() }), "max_pending"),
        (
            with(EndpointCircuitBreaker { max_open_percent: 101, ..endpoint_circuit_breaker() }),
            "max_open_percent",
        ),
    ] {
        let error = Pool::build(&document, None, &mut Ids::default()).unwrap_err();
        assert_eq!(error.path, format!("endpoint_circuit_breaker.{path}"));
    }
}

#[test]
fn what_no_pool_may_have() {
    let key = Some(HashKey { source: HashSource::Uri, name: None });
    let with_check = |check| document::Pool { health_check: Some(check), ..pool([1]) };
    let with_circuit = |circuit| document::Pool { circuit_breaker: Some(circuit), ..pool([1]) };
    let ring = document::Pool { balance: Balance::RingHash, ..pool([1]) };
    let range = |first, last| StatusRange { first, last };
    let no_room = document::Endpoint { max_connections: Some(0), ..endpoint(1) };
    let port_0 = document::Endpoint { address: SocketAddr::from(([10, 0, 0, 1], 0)), ..endpoint(1) };
    for (document, path) in [
        (pool([1, 2, 1]), "endpoints[2].address"),
        (document::Pool { endpoints: vec![port_0], ..pool([]) }, "endpoints[0].address"),
        (document::Pool { endpoints: vec![no_room], ..pool([]) }, "endpoints[0].max_connections"),
        (document::Pool { endpoints: vec![endpoint(1); MAX_ENDPOINTS + 1], ..pool([]) }, "endpoints"),
        (ring.clone(), "hash_key"),
        (document::Pool { hash_key: key.clone(), ..pool([1]) }, "hash_key"),
        (document::Pool { hash_bound_percent: Some(150), ..pool([1]) }, "hash_bound_percent"),
        (document::Pool { hash_key: key, hash_bound_percent: Some(100), ..ring }, "hash_bound_percent"),
        (document::Pool { panic_threshold_percent: 101, ..pool([1]) }, "panic_threshold_percent"),
        (
            with_circuit(CircuitBreaker { failure_rate_percent: 101, ..circuit_breaker() }),
            "circuit_breaker.failure_rate_percent",
        ),
        (with_circuit(CircuitBreaker { window_ms: 0, ..circuit_breaker() }), "circuit_breaker.window_ms"),
        (
            with_circuit(CircuitBreaker { max_open_time_ms: 1, ..circuit_breaker() }),
            "circuit_breaker.max_open_time_ms",
        ),
        (
            with_circuit(CircuitBreaker { half_open_requests: 0, ..circuit_breaker() }),
            "circuit_breaker.half_open_requests",
        ),
        (
            with_circuit(CircuitBreaker { max_requests: Some(0), ..circuit_breaker() }),
            "circuit_breaker.max_requests",
        ),
        (with_check(HealthCheck { healthy_after: 0, ..health_check() }), "health_check.healthy_after"),
        (with_check(HealthCheck { jitter_percent: 51, ..health_check() }), "health_check.jitter_percent"),
        (with_check(HealthCheck { port: Some(0), ..health_check() }), "health_check.port"),
        (with_check(http_check(vec![])), "health_check.probe.expected_status"),
        (
            with_check(http_check(vec![range(200, 299), range(304, 300)])),
            "health_check.probe.expected_status[1]",
        ),
    ] {
        let error = Pool::build(&document, None, &mut Ids::default()).unwrap_err();
        assert_eq!(error.path, path, "{error}");
    }
    assert!(Pool::build(&with_check(http_check(vec![range(200, 299)])), None, &mut Ids::default()).is_ok());
    assert!(Pool::build(&pool([]), None, &mut Ids::default()).is_ok(), "an empty pool is allowed");
}
