//! What a process leaves to its successor besides its sockets, as a JSON text that only this module writes and reads.

use crate::service::Zones;
use evenly_core::pool::{AdminState, Health};
use evenly_core::snapshot::Snapshot;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Inheritance {
    endpoints: Vec<EndpointState>,
    evacuations: Vec<Evacuation>,
}

#[derive(Debug, Serialize, Deserialize)]
struct EndpointState {
    pool: String,
    endpoint: SocketAddr,
    health: String,
    admin: String,
    weight: Option<u16>,
}

/// The time that is left, not the moment of its end: the two processes' clocks begin at different times.
#[derive(Debug, Serialize, Deserialize)]
struct Evacuation {
    zone: String,
    left_ms: u64,
}

/// Writes it down.
pub(super) fn leave(snapshot: &Snapshot, zones: &Zones) -> String {
    let members =
        snapshot.pools.iter().flat_map(|pool| pool.members.iter().map(move |member| (pool, member)));
    let endpoints = members.map(|(pool, member)| EndpointState {
        pool: pool.name.to_string(),
        endpoint: member.endpoint.address(),
        health: member.endpoint.health().name().into(),
        admin: member.endpoint.admin().name().into(),
        weight: member.endpoint.weight_override(),
    });
    let left_ms = |left: Duration| u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    let evacuations =
        zones.evacuated().into_iter().map(|(zone, left)| Evacuation { zone, left_ms: left_ms(left) });
    let inheritance = Inheritance { endpoints: endpoints.collect(), evacuations: evacuations.collect() };
    serde_json::to_string(&inheritance).expect("plain structures become JSON")
}

/// Takes it over. What cannot be read is as good as unknown.
pub(super) fn restore(snapshot: &Snapshot, zones: &Zones, text: &str) {
    let Inheritance { endpoints, evacuations } = serde_json::from_str(text).unwrap_or_default();
    for state in endpoints {
        let pool = snapshot.pools.iter().find(|pool| *pool.name == *state.pool);
        let Some(pool) = pool else { continue };
        let Some(member) = pool.member(state.endpoint) else { continue };
        if let Some(health) = Health::from_name(&state.health).filter(|_| pool.health_check.is_some()) {
            member.endpoint.set_health(health);
        }
        if let Some(admin) = AdminState::from_name(&state.admin) {
            member.endpoint.set_admin(admin);
        }
        member.endpoint.set_weight_override(state.weight);
        pool.changed();
    }
    for Evacuation { zone, left_ms } in evacuations {
        zones.evacuate(&zone, Duration::from_millis(left_ms), &snapshot.pools);
    }
}
