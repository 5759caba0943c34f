use super::super::counts::Series;
use super::*;
use crate::metrics::sample::{self, record};
use evenly_core::affinity::{Ignored, Outcome};
use evenly_core::snapshot::Snapshot;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;

fn snapshot(routes: &[&str], ports: &[u16], previous: Option<&Snapshot>) -> Arc<Snapshot> {
    let endpoints: Vec<_> = ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect();
    sample::snapshot(routes, &endpoints, &Value::Null, previous)
}

#[test]
fn a_request_counts_wherever_it_took_part() {
    let mut stats = WorkerStats::default();
    stats.record(&record(0, 200));
    stats.record(&Record {
        failure: Some(Failure::ConnectFailed),
        connect_nanos: 1,
        attempts: 2,
        affinity: Told { outcome: Outcome::Moved, ignored: Ignored::Tampered },
        ..record(0, 502)
    });
    stats.record(&Record {
        route: NONE,
        pool: NONE,
        endpoint: NONE,
        failure: Some(Failure::RouteNone),
        ..record(0, 404)
    });
    let listener = stats.listeners.get(0).unwrap();
    assert_eq!((listener.requests, listener.bytes_in, listener.bytes_out), (3, 300, 6000));
    assert_eq!(
        listener.failures.iter().collect::<Vec<_>>(),
        [(Failure::RouteNone, 1), (Failure::ConnectFailed, 1)]
    );
    let route = stats.routes.get(1).unwrap();
    let counts = |route: &RouteStats| {
        let mut counts: Vec<_> = route.series.iter().map(|series| (series.status, series.requests)).collect();
        counts.sort_unstable();
        counts
    };
    assert_eq!(counts(route), [(200, 1), (502, 1)]);
    assert_eq!(counts(stats.routes.get(0).unwrap()), [(404, 1)]);
    let phases = &route.phases[0];
    assert_eq!((phases.total.count(), phases.connect.count(), phases.upstream.count()), (2, 1, 2));
    let affinity = &stats.pools.get(0).unwrap().affinity;
    assert_eq!((affinity.moved, affinity.tampered, affinity.hits), (1, 1, 0));
    assert_eq!((stats.pools.get(0).unwrap().resends, stats.endpoints.get(0).unwrap().requests()), (1, 2));
}

#[test]
fn the_most_frequent_status_comes_first() {
    let mut stats = WorkerStats::default();
    for status in [404, 500, 200, 200, 200] {
        stats.record(&record(0, status));
    }
    let series = &stats.routes.get(1).unwrap().series;
    assert_eq!(series[0].status, 200);
    assert_eq!(series.iter().map(|series| series.requests).sum::<u64>(), 5);
}

#[test]
fn workers_add_up() {
    let (mut one, mut other) = (WorkerStats::default(), WorkerStats::default());
    one.record(&record(0, 200));
    one.connection_opened(0);
    other.record(&record(0, 200));
    other.record(&record(1, 404));
    other.endpoint_failure(0, Failure::ConnectTimeout);
    other.upstream_opened(0);
    other.upstream_reused(0);
    other.slow_client(0);
    other.accept_limited();
    other.accept_error(&std::io::Error::other("x"));
    one.connection_closed(0);
    one.merge(&other);
    assert_eq!(one.listeners.get(0).unwrap().requests, 3);
    assert_eq!((one.listeners.get(0).unwrap().opened, one.listeners.get(0).unwrap().open()), (1, 0));
    assert_eq!(
        one.routes.get(1).unwrap().series,
        [Series { listener: 0, pool: 0, status: 200, requests: 2 }]
    );
    assert_eq!(one.routes.get(1).unwrap().phases[0].total.count(), 2);
    let endpoint = one.endpoints.get(0).unwrap();
    assert_eq!(
        (endpoint.requests(), endpoint.failures.total(), endpoint.opened, endpoint.reused),
        (3, 1, 1, 1)
    );
    assert_eq!((one.process.accept_errors, one.process.accept_limited), (1, 1));
}

#[test]
fn a_reload_keeps_what_stays_and_starts_what_is_new_from_zero() {
    let first = snapshot(&["a", "b"], &[1, 2], None);
    let mut stats = WorkerStats::default();
    stats.record(&record(0, 200));
    stats.record(&Record { endpoint: 1, ..record(1, 200) });
    let second = snapshot(&["b"], &[2], Some(&first));
    stats.retain(&second);
    assert!(stats.routes.get(1).is_none() && stats.endpoints.get(0).is_none());
    assert_eq!(stats.routes.get(2).unwrap().series[0].requests, 1);
    // A request of the first snapshot ends only now; its route's number is then given to another one.
    stats.record(&record(0, 200));
    let third = snapshot(&["b", "c"], &[2, 3], Some(&second));
    assert_eq!((third.routes[1].id.0, third.pools[0].members[1].endpoint.id().0), (0, 0));
    stats.retain(&third);
    assert!(stats.routes.get(1).is_none() && stats.endpoints.get(0).is_none());
    assert_eq!(
        (stats.listeners.get(0).unwrap().requests, stats.endpoints.get(1).unwrap().requests()),
        (3, 1)
    );
}
