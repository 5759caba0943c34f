use super::*;
use crate::clock::Clock;
use crate::metrics::Record;
use crate::metrics::sample::{self, record};
use crate::service::{Events, Service};
use crate::tls::Targets;
use evenly_core::error::Failure;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn rendered(snapshot: &Arc<Snapshot>, stats: &WorkerStats) -> String {
    let service = Service::start(Arc::<Events>::default(), Clock::start()).unwrap();
    service.apply(Arc::clone(snapshot), Targets::default());
    let mut out = String::new();
    let scene = Scene {
        snapshot,
        snapshots: 3,
        targets: &Targets::default(),
        terminations: &[],
        service: Some(&service),
        connections: 1,
        workers: 2,
        uptime: Duration::from_millis(1500),
        is_draining: false,
        local: &|bind| bind,
    };
    render(&mut out, &scene, stats);
    service.stop();
    out
}

/// Reads the text as Prometheus does: samples by name with labels. Panics where the format is broken.
fn parse(text: &str) -> HashMap<&str, f64> {
    let (mut types, mut family, mut samples) = (HashMap::new(), "", HashMap::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            assert!(types.insert(name, kind).is_none(), "{name} has two families");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            family = name;
        } else if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(name.starts_with("evenly_") && help.ends_with('.'), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let of_family = match types[family] {
                "histogram" => {
                    name.strip_prefix(family).is_some_and(|end| ["_bucket", "_sum", "_count"].contains(&end))
                }
                _ => name == family,
            };
            assert!(of_family, "{line} stands in {family}");
            assert!(series.ends_with('}') || !series.contains('{'), "{line}");
            assert!(samples.insert(series, value.parse().unwrap()).is_none(), "{series} comes twice");
        }
    }
    samples
}

#[test]
fn everything_counted_is_told_with_its_names() {
    let endpoint = SocketAddr::from(([10, 0, 0, 1], 80));
    let snapshot = sample::snapshot(&["shop"], &[endpoint], &Value::Null, None);
    let mut stats = WorkerStats::default();
    stats.record(&record(0, 200));
    stats.record(&Record {
        failure: Some(Failure::ConnectTimeout),
        connect_nanos: 5_000_000,
        attempts: 2,
        ..record(0, 504)
    });
    stats.record(&Record { route: NONE, pool: NONE, endpoint: NONE, ..record(0, 404) });
    stats.record(&Record { listener: 1, route: NONE, pool: 1, endpoint: NONE, ..record(0, 0) });
    stats.endpoint_failure(0, Failure::ConnectTimeout);
    stats.connection_opened(0);
    stats.upstream_reused(0);
    let text = rendered(&snapshot, &stats);
    let samples = parse(&text);
    for (series, value) in [
        ("evenly_uptime_seconds", 1.5),
        ("evenly_generation", 1.0),
        ("evenly_snapshots", 3.0),
        ("evenly_connections{listener=\"web\"}", 1.0),
        ("evenly_bytes_total{listener=\"web\",direction=\"out\"}", 6000.0),
        ("evenly_requests_total{listener=\"web\",route=\"shop\",pool=\"app\",code=\"200\"}", 1.0),
        ("evenly_requests_total{listener=\"web\",route=\"\",pool=\"\",code=\"404\"}", 1.0),
        ("evenly_requests_total{listener=\"db\",route=\"\",pool=\"db\",code=\"\"}", 1.0),
        ("evenly_terminations_total{listener=\"web\",reason=\"connect-timeout\"}", 1.0),
        ("evenly_request_duration_seconds_bucket{route=\"shop\",pool=\"app\",le=\"0.0025\"}", 0.0),
        ("evenly_request_duration_seconds_bucket{route=\"shop\",pool=\"app\",le=\"0.005\"}", 2.0),
        ("evenly_request_duration_seconds_sum{route=\"shop\",pool=\"app\"}", 0.006),
        ("evenly_request_phase_duration_seconds_count{route=\"shop\",pool=\"app\",phase=\"connect\"}", 1.0),
        ("evenly_resends_total{pool=\"app\"}", 1.0),
        ("evenly_endpoint_up{pool=\"app\",endpoint=\"10.0.0.1:80\"}", 1.0),
        ("evenly_endpoint_state{pool=\"app\",endpoint=\"10.0.0.1:80\",state=\"healthy\"}", 1.0),
        ("evenly_endpoint_requests_total{pool=\"app\",endpoint=\"10.0.0.1:80\",code=\"5xx\"}", 1.0),
        (
            "evenly_endpoint_failures_total{pool=\"app\",endpoint=\"10.0.0.1:80\",reason=\"connect-timeout\"}",
            1.0,
        ),
        ("evenly_upstream_connections_total{pool=\"app\",endpoint=\"10.0.0.1:80\",reused=\"true\"}", 1.0),
        ("evenly_endpoint_health_checks_total{pool=\"app\",endpoint=\"10.0.0.1:80\",result=\"passed\"}", 0.0),
        ("evenly_access_log_dropped_lines_total", 0.0),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series}\n{text}");
    }
}

#[test]
fn every_state_has_one_sample() {
    let endpoints: Vec<_> = (1..=3).map(|n| SocketAddr::from(([10, 0, 0, n], 80))).collect();
    let snapshot = sample::snapshot(&[], &endpoints, &Value::Null, None);
    snapshot.pools[0].members[1].endpoint.set_admin(evenly_core::pool::AdminState::Draining);
    let text = rendered(&snapshot, &WorkerStats::default());
    let states: HashSet<&str> =
        text.lines().filter(|line| line.starts_with("evenly_endpoint_state{")).collect();
    assert_eq!(states.len(), 3);
    assert!(
        states.contains("evenly_endpoint_state{pool=\"app\",endpoint=\"10.0.0.2:80\",state=\"draining\"} 1")
    );
    assert_eq!(parse(&text)["evenly_endpoint_up{pool=\"app\",endpoint=\"10.0.0.2:80\"}"], 0.0);
}

/// The bound is for a release build; this one only shows the order of magnitude. `--nocapture` prints the time.
#[test]
fn ten_thousand_routes_are_told_at_once() {
    let names: Vec<String> = (0..10_000).map(|n| format!("route-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let snapshot = sample::snapshot(&names, &[], &Value::Null, None);
    let mut stats = WorkerStats::default();
    (0..10_000).for_each(|route| stats.record(&Record { endpoint: NONE, ..record(route, 200) }));
    let began = Instant::now();
    let text = rendered(&snapshot, &stats);
    let took = began.elapsed();
    assert_eq!(text.lines().filter(|line| line.starts_with("evenly_requests_total{")).count(), 10_000);
    assert!(took < Duration::from_secs(5), "{took:?}");
}
