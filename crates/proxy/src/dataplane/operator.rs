//! What an operator changes while the process runs, beside the configuration: endpoints and zones.

use super::Dataplane;
use crate::service::{Event, Level, Subject};
use evenly_core::pool::AdminState;
use std::net::SocketAddr;
use std::time::Duration;

/// All that an operator wants of an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct EndpointChange {
    /// Ready, draining or maintenance.
    pub state: AdminState,
    /// The weight in place of the configuration's; `None` for that one.
    pub weight: Option<u16>,
}

impl Dataplane {
    /// Sets what the operator wants of an endpoint; false when there is none of that pool and address.
    pub fn set_endpoint(&self, pool: &str, address: SocketAddr, change: EndpointChange) -> bool {
        let control = self.control();
        let Some(pool) = control.snapshot.pools.iter().find(|known| &*known.name == pool) else {
            return false;
        };
        let Some(member) = pool.member(address) else { return false };
        let endpoint = &member.endpoint;
        let before = endpoint.state();
        endpoint.set_admin(change.state);
        endpoint.set_weight_override(change.weight);
        pool.changed();
        let after = endpoint.state();
        if before != after {
            control.service().checks().state_changed(endpoint.id());
            let subject = Subject::Endpoint {
                pool: pool.name.to_string(),
                endpoint: address.to_string(),
                from: before.name(),
                to: after.name(),
                reason: "set by the operator".into(),
            };
            self.events.push(Event::new(Level::Info, subject));
        }
        true
    }

    /// Evacuates a zone for so long, or with `None` takes it back; false when no endpoint is in it, or when it is to be
    /// taken back and is not evacuated.
    pub fn evacuate(&self, zone: &str, time: Option<Duration>) -> bool {
        let control = self.control();
        let (pools, zones) = (&control.snapshot.pools, control.service().zones());
        let Some(time) = time else { return zones.restore(zone, pools) };
        let members = &mut pools.iter().flat_map(|pool| &pool.members);
        let is_known = members.any(|member| member.zone.as_deref() == Some(zone));
        if is_known {
            zones.evacuate(zone, time, pools);
        }
        is_known
    }
}
