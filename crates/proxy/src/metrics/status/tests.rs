use super::*;
use crate::clock::Clock;
use crate::metrics::counts::Lost;
use crate::metrics::sample::{self, record};
use crate::metrics::{NONE, Record};
use crate::service::{Events, Service as ServiceThreads};
use crate::tls::Targets;
use evenly_core::error::Failure;
use evenly_http2::Reason;
use evenly_http3::Code;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn the_status_has_the_fields_that_the_native_stub_promises() {
    let endpoints = [SocketAddr::from(([10, 0, 0, 1], 80)), SocketAddr::from(([10, 0, 0, 2], 80))];
    let mut snapshot = sample::snapshot(&["shop"], &endpoints, &Value::Null, None);
    let app = Arc::get_mut(&mut Arc::get_mut(&mut snapshot).unwrap().pools[0]).unwrap();
    app.queue = Some(evenly_core::document::Queue { size: 5, timeout_ms: 1 });
    let drained = &snapshot.pools[0].members[1].endpoint;
    drained.set_admin(AdminState::Draining);
    drained.set_weight_override(Some(7));
    let service = ServiceThreads::start(Arc::<Events>::default(), Clock::start()).unwrap();
    service.apply(Arc::clone(&snapshot), Targets::default());
    let mut stats = WorkerStats::default();
    stats.connection_opened(0);
    stats.endpoint_failure(0, Failure::ResponseBad);
    stats.record(&Record { grpc_status: Some(14), ..record(0, 200) });
    (0..3).for_each(|_| stats.queue_entered(0));
    stats.queue_left(0, true);
    stats.queue_left(0, false);
    stats.queue_full(0);
    stats.h2_opened(0);
    stats.h2_failed(0, Reason::RapidReset, true);
    stats.record(&Record { listener: 1, route: NONE, pool: 1, endpoint: NONE, ..record(0, 0) });
    let scene = Scene {
        snapshot: &snapshot,
        snapshots: 1,
        targets: &Targets::default(),
        terminations: &[],
        service: Some(&service),
        connections: 5,
        workers: 2,
        uptime: Duration::ZERO,
        is_draining: false,
        local: &|bind| SocketAddr::new(bind.ip(), 8080),
    };
    let mut status = status(&scene, &stats);
    service.stop();
    for endpoint in status["pools"][0]["endpoints"].as_array_mut().unwrap() {
        assert!(endpoint["since"].as_f64().unwrap() > 1.6e9);
        endpoint["since"] = json!(0);
    }
    let no_retries = json!({
        "causes": {"connect-failure": 0, "reset": 0, "timeout": 0, "status": 0}, "refused": 0,
    });
    let http2 = json!({"connections": 1, "ended_streams": {}, "ended_connections": {"rapid_reset": 1}});
    let queue = json!({"waiting": 1, "size": 5, "waited": 3, "timeouts": 1, "full": 1});
    let endpoints = json!([
        {"address": "10.0.0.1:80", "weight": 1, "backup": false, "zone": null, "priority": 0, "evacuated": false,
            "share": 100, "state": "healthy", "reason": "", "circuit": null, "since": 0,
            "in_flight": 0, "requests": 1, "failures": 1, "tls": null},
        {"address": "10.0.0.2:80", "weight": 7, "backup": false, "zone": null, "priority": 0, "evacuated": false,
            "share": 100, "state": "draining",
            "reason": "set by the operator", "circuit": null, "since": 0, "in_flight": 0, "requests": 0, "failures": 0, "tls": null},
    ]);
    let expected = json!({
        "generation": 1, "workers": 2, "connections": 5, "requests": 2,
        "zone": null, "zones": [], "mirrors": [],
        "listeners": [
            {"name": "web", "protocol": "http", "bind": ["127.0.0.1:8080"], "connections": 1, "accepted": 1, "requests": 1, "tls": null, "http2": http2, "http3": null},
            {"name": "db", "protocol": "tcp", "bind": ["127.0.0.1:8080"], "connections": 0, "accepted": 0, "requests": 1, "tls": null, "http2": null, "http3": null},
        ],
        "pools": [
            {"name": "app", "balance": "round-robin", "affinity": null, "fallback": null, "serving": "healthy", "levels": [], "circuit": null,
                "concurrency": null, "queue": queue, "grpc": {"UNAVAILABLE": 1}, "retries": no_retries, "hedge": null, "endpoints": endpoints},
            {"name": "db", "balance": "round-robin", "affinity": null, "fallback": null, "serving": "no-endpoint-empty", "levels": [], "circuit": null,
                "concurrency": null, "queue": null, "grpc": null, "retries": no_retries, "hedge": null, "endpoints": []},
        ],
    });
    assert_eq!(status, expected);
}

#[test]
fn http3_says_what_clients_did_and_what_was_lost() {
    let mut stats = WorkerStats::default();
    stats.h3_opened(0);
    stats.quic_retried(0);
    stats.quic_migrated(0);
    stats.quic_lost(0, Lost::Unsent);
    stats.h3_failed(0, Code::FRAME_ERROR, false);
    let mut snapshot = sample::snapshot(&["shop"], &[], &Value::Null, None);
    let counted = &stats.listeners.get(0).unwrap().h3;
    assert_eq!(protocols::http3(&snapshot.listeners[0], counted), Value::Null);
    let listener = Arc::get_mut(&mut Arc::get_mut(&mut snapshot).unwrap().listeners[0]).unwrap();
    listener.http3 = true;
    assert_eq!(
        protocols::http3(listener, counted),
        json!({"connections": 1, "migrations": 1, "retries": 1, "lost_packets": 1,
            "ended_streams": {"frame_error": 1}, "ended_connections": {}})
    );
}

#[test]
fn balancers_are_called_as_in_the_configuration() {
    let all = [
        Balance::RoundRobin,
        Balance::LeastRequests,
        Balance::Random,
        Balance::TwoChoices,
        Balance::PeakEwma,
        Balance::IpHash,
        Balance::RingHash,
        Balance::Maglev,
    ];
    let names: BTreeSet<_> = all.into_iter().map(balance_name).collect();
    assert_eq!(names.len(), all.len());
    for balance in all {
        let read: Balance = serde_json::from_value(json!(balance_name(balance))).unwrap();
        assert_eq!(read, balance);
    }
}

#[test]
fn a_circuit_says_where_it_is_and_why() {
    let report = Report {
        phase: evenly_core::circuit::Phase::Open,
        reason: "a probe failed, for 10 s".into(),
        left: 2_500_000_000,
        reading: evenly_core::circuit::Reading { ended: 7, failed: 4 },
        under_way: Some(3),
        max_requests: Some(9),
        transitions: [0, 1, 2],
    };
    assert_eq!(
        circuit(&report),
        json!({"state": "open", "reason": "a probe failed, for 10 s", "open_for": 2.5, "requests": 7, "failed": 4,
            "in_flight": 3, "max_requests": 9})
    );
}
