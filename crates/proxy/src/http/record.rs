//! *Record*: counts what happened and writes the access-log line.

use super::bond::Bond;
use super::client::Client;
use super::exchange::{Exchange, Tally};
use crate::access_log::{Line, Names};
use crate::metrics::{NONE, Record};
use evenly_core::affinity::Told;
use evenly_core::error::Failure;
use evenly_core::pool::PoolId;
use evenly_core::route::{Route, RouteId};
use std::net::SocketAddr;

/// Records an exchange with an endpoint.
pub fn record(client: &Client, exchange: &mut Exchange) {
    let line = finished(&mut exchange.tally);
    let (route, pool) = (exchange.route(), exchange.pool());
    let names =
        Names { route: Some(&route.name), pool: Some(&pool.name), endpoint: endpoint(&exchange.tally) };
    let record = counted(client, &exchange.tally, route.id.0, pool.id.0);
    let record = Record { affinity: told(exchange), ..record };
    write(client, &exchange.tally, line, &names, &record);
}

/// By whom an exchange was served, for a record that is made when its configuration may be gone.
pub struct Served {
    route: (RouteId, Box<str>),
    pool: (PoolId, Box<str>),
    affinity: Told,
}

impl Served {
    /// As it is now.
    pub fn of(exchange: &Exchange) -> Self {
        let (route, pool) = (exchange.route(), exchange.pool());
        Self {
            route: (route.id, route.name.clone()),
            pool: (pool.id, pool.name.clone()),
            affinity: told(exchange),
        }
    }
}

/// Records an exchange that has become a tunnel, which has ended.
pub fn record_tunnel(client: &Client, served: &Served, tally: &mut Tally) {
    let line = finished(tally);
    let Served { route: (route, route_name), pool: (pool, pool_name), affinity } = served;
    let names = Names { route: Some(route_name), pool: Some(pool_name), endpoint: endpoint(tally) };
    let record = Record { affinity: *affinity, ..counted(client, tally, route.0, pool.0) };
    write(client, tally, line, &names, &record);
}

/// Records an answer of Evenly's own.
pub fn record_answer(client: &Client, route: Option<&Route>, tally: &mut Tally) {
    let line = tally.line.take();
    let names = Names { route: route.map(|route| &*route.name), pool: None, endpoint: None };
    let record = counted(client, tally, route.map_or(NONE, |route| route.id.0), NONE);
    write(client, tally, line, &names, &record);
}

/// The line, with what is known only at the end.
fn finished(tally: &mut Tally) -> Option<Line> {
    let mut line = tally.line.take();
    if let (Some(line), Some(word)) = (&mut line, tally.hedged.word()) {
        line.hedged(word);
    }
    if let (Some(line), Some(protocol)) = (&mut line, tally.spoken) {
        line.spoken(protocol);
    }
    line
}

fn told(exchange: &Exchange) -> Told {
    exchange.bond.as_ref().map(Bond::told).unwrap_or_default()
}

fn counted(client: &Client, tally: &Tally, route: u32, pool: u32) -> Record {
    Record {
        listener: client.listener.id.0,
        route,
        pool,
        endpoint: tally.endpoint.map_or(NONE, |(id, _)| id.0),
        status: tally.status,
        failure: tally.failure,
        bytes_in: tally.bytes_in,
        bytes_out: tally.bytes_out,
        queue_nanos: tally.queue,
        connect_nanos: tally.connect,
        upstream_nanos: tally.upstream,
        total_nanos: tally.ended.unwrap_or_else(|| client.worker.now()).saturating_sub(tally.started),
        attempts: tally.tries.count() + u32::from(tally.endpoint.is_some()),
        affinity: Told::default(),
        grpc_status: tally.call.as_ref().and_then(|call| call.status),
    }
}

fn write(client: &Client, tally: &Tally, line: Option<Line>, names: &Names<'_>, record: &Record) {
    let mut stats = client.worker.stats.borrow_mut();
    stats.record(record);
    if matches!(tally.failure, Some(Failure::ClientSlow | Failure::RequestTimeout | Failure::SendTimeout)) {
        stats.slow_client(client.listener.id.0);
    }
    drop(stats);
    if let Some(line) = line {
        line.finish(&client.worker, record, names);
    }
}

fn endpoint(tally: &Tally) -> Option<SocketAddr> {
    tally.endpoint.map(|(_, address)| address)
}
