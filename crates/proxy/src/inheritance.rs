//! What a process leaves to its successor beside its sockets: what is known of endpoints and of clients.

use evenly_core::affinity::SipKey;
use evenly_core::document::Secret;
use evenly_core::outlier::Verdict;
use evenly_core::pool::{AdminState, Endpoint, Health, Nanos};
use evenly_core::snapshot::Snapshot;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Clients that are handed over at most, those used last: as a text they take some 20 MB, a third of what the control
/// plane sends in one message.
const MOST_CLIENTS: usize = 500_000;

/// What is left.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Inheritance {
    endpoints: Vec<Left>,
    /// Signs affinity cookies where the configuration states no secret.
    #[serde(default)]
    secret: String,
    #[serde(default)]
    clients: Vec<Clients>,
    #[serde(default)]
    evacuations: Vec<Evacuation>,
    /// The successor's place in the line of processes with the same sockets.
    #[serde(default)]
    quic_generation: u8,
    /// What proves to clients of HTTP/3 that they deal with the same server; empty: `secret`.
    #[serde(default)]
    quic_secret: String,
}

/// An endpoint's state.
#[derive(Debug, Serialize, Deserialize)]
struct Left {
    pool: String,
    endpoint: SocketAddr,
    health: String,
    admin: String,
    weight: Option<u16>,
    /// Set while live traffic keeps it out; older processes do not know it.
    #[serde(default)]
    ejection: Option<Ejection>,
}

/// An ejection under way.
#[derive(Debug, Serialize, Deserialize)]
struct Ejection {
    left_nanos: u64,
    in_a_row: u32,
}

/// An evacuated zone. The time that is left, not the moment of its end: the two processes' clocks begin at different
/// times.
#[derive(Debug, Serialize, Deserialize)]
struct Evacuation {
    zone: String,
    left_ms: u64,
}

/// A pool's table of clients.
#[derive(Debug, Serialize, Deserialize)]
struct Clients {
    pool: String,
    /// By what they are known, as the configuration writes it.
    by: String,
    hash_key: (u64, u64),
    entries: Vec<(u64, u64)>,
    /// How many of them, the first ones, came back; older processes do not tell.
    #[serde(default)]
    kept: usize,
}

/// Either form: what the control plane writes of endpoints alone is a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Whole(Inheritance),
    Endpoints(Vec<Left>),
}

impl Inheritance {
    /// What the process that runs `snapshot` leaves at the moment `now`.
    pub fn of(snapshot: &Snapshot, secret: &Secret, now: Nanos) -> Self {
        let members = snapshot.pools.iter().flat_map(|pool| pool.members.iter().map(move |one| (pool, one)));
        let endpoints = members.map(|(pool, member)| Left {
            pool: pool.name.to_string(),
            endpoint: member.endpoint.address(),
            health: member.endpoint.health().name().into(),
            admin: member.endpoint.admin().name().into(),
            weight: member.endpoint.weight_override(),
            ejection: Ejection::of(&member.endpoint, now),
        });
        let tables = snapshot.pools.iter().zip(&snapshot.affinities).filter_map(|(pool, affinity)| {
            let affinity = affinity.as_ref()?;
            Some((pool, affinity.describe(), affinity.table()?.0))
        });
        let share = MOST_CLIENTS / tables.clone().count().max(1);
        let clients = tables.map(|(pool, by, table)| {
            let SipKey(first, second) = table.sip_key();
            let (entries, kept) = table.export(share);
            Clients { pool: pool.name.to_string(), by, hash_key: (first, second), entries, kept }
        });
        let secret = secret.0.clone();
        Self { endpoints: endpoints.collect(), secret, clients: clients.collect(), ..Self::default() }
    }

    /// With zones that are evacuated for so long yet.
    pub fn with_evacuated(mut self, zones: Vec<(String, Duration)>) -> Self {
        let left_ms = |left: Duration| u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        self.evacuations =
            zones.into_iter().map(|(zone, left)| Evacuation { zone, left_ms: left_ms(left) }).collect();
        self
    }

    /// For the successor of the process that has this place in the line, and this secret.
    pub fn behind(mut self, quic_generation: u8, quic_secret: &Secret) -> Self {
        self.quic_generation = quic_generation.wrapping_add(1);
        self.quic_secret.clone_from(&quic_secret.0);
        self
    }

    /// What identifiers and tokens of QUIC connections come of: what the predecessor had, whose connections go on; else what
    /// the configuration states, so that those of a process that was killed hear from the next one; else the process's own.
    pub fn quic_secret(&self, stated: Option<&Secret>, own: &Secret) -> Secret {
        match (self.quic_secret.is_empty(), self.secret.is_empty()) {
            (false, _) => Secret(self.quic_secret.clone()),
            (true, false) => own.clone(),
            (true, true) => stated.unwrap_or(own).clone(),
        }
    }

    /// The process's place in the line of those with the same sockets.
    pub fn quic_generation(&self) -> u8 {
        self.quic_generation
    }

    /// The zones that are evacuated, each with the time that is left.
    pub fn evacuated(&self) -> impl Iterator<Item = (&str, Duration)> {
        self.evacuations.iter().map(|one| (&*one.zone, Duration::from_millis(one.left_ms)))
    }

    /// Reads what a predecessor wrote. What cannot be read is as good as unknown.
    pub fn from_text(text: &str) -> Self {
        match serde_json::from_str(text) {
            Ok(Form::Whole(inheritance)) => inheritance,
            Ok(Form::Endpoints(endpoints)) => Self { endpoints, ..Self::default() },
            Err(_) => Self::default(),
        }
    }

    /// For [`Inheritance::from_text`].
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("plain structures become JSON")
    }

    /// The predecessor's own secret.
    pub fn secret(&self) -> Option<Secret> {
        (!self.secret.is_empty()).then(|| Secret(self.secret.clone()))
    }

    /// Puts it where it belongs in a snapshot that nothing is served with yet.
    pub fn settle(&self, snapshot: &mut Snapshot) {
        for left in &self.endpoints {
            let pool = snapshot.pools.iter().find(|pool| *pool.name == *left.pool);
            let Some(pool) = pool else { continue };
            let Some(member) = pool.member(left.endpoint) else { continue };
            if let Some(health) = Health::from_name(&left.health).filter(|_| pool.health_check.is_some()) {
                member.endpoint.set_health(health);
            }
            if let Some(admin) = AdminState::from_name(&left.admin) {
                member.endpoint.set_admin(admin);
            }
            member.endpoint.set_weight_override(left.weight);
            if let Some(ejection) = left.ejection.as_ref().filter(|_| pool.outlier_detection.is_some()) {
                member.endpoint.standing().inherit(ejection.left_nanos, ejection.in_a_row, 0);
                member.endpoint.set_ejected(true);
            }
            pool.changed();
        }
        for Clients { pool, by, hash_key: (first, second), entries, kept } in &self.clients {
            let place = snapshot.pools.iter().position(|known| *known.name == **pool);
            let affinity = place.and_then(|place| snapshot.affinities[place].as_mut());
            if let Some(affinity) = affinity.filter(|affinity| affinity.describe() == *by) {
                affinity.inherit(SipKey(*first, *second), (entries, *kept));
            }
        }
    }
}

impl Ejection {
    /// What a successor needs to know of an endpoint's ejection: its clock begins anew.
    fn of(endpoint: &Endpoint, now: Nanos) -> Option<Self> {
        let standing = endpoint.standing();
        let Verdict::Ejected { until } = standing.verdict() else { return None };
        Some(Self { left_nanos: until.saturating_sub(now), in_a_row: standing.in_a_row() })
    }
}

/// A secret for a process that has none, from the system's generator: 256 bits in hexadecimal.
///
/// # Errors
/// The system has no random numbers, which is so only in the first moments of its start.
pub fn random_secret() -> io::Result<Secret> {
    let mut bytes = [0_u8; 32];
    // Up to 256 bytes come in one piece (getrandom(2)).
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(Secret(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::sample;
    use serde_json::Value;

    #[test]
    fn endpoints_alone_are_understood() {
        let text = r#"[{"pool": "app", "endpoint": "127.0.0.1:1", "health": "starting", "admin": "draining", "weight": 5}]"#;
        let address = ([127, 0, 0, 1], 1).into();
        let mut snapshot = sample::snapshot(&["r"], &[address], &Value::Null, None);
        let inheritance = Inheritance::from_text(text);
        assert!(inheritance.secret().is_none());
        inheritance.settle(std::sync::Arc::get_mut(&mut snapshot).unwrap());
        let endpoint = &snapshot.pools[0].members[0].endpoint;
        assert_eq!((endpoint.admin(), endpoint.weight_override()), (AdminState::Draining, Some(5)));
        let again = Inheritance::from_text(&Inheritance::of(&snapshot, &Secret("s".into()), 0).to_text());
        assert_eq!((again.endpoints.len(), again.secret()), (1, Some(Secret("s".into()))));
        assert!(Inheritance::from_text("").endpoints.is_empty());
        let evacuated = vec![("a".to_owned(), Duration::from_secs(7))];
        let left = Inheritance::of(&snapshot, &Secret("s".into()), 0).with_evacuated(evacuated).to_text();
        let again = Inheritance::from_text(&left);
        assert_eq!(again.evacuated().collect::<Vec<_>>(), [("a", Duration::from_secs(7))]);
    }

    #[test]
    fn secrets_differ() {
        let (one, other) = (random_secret().unwrap(), random_secret().unwrap());
        assert!(one.0.len() == 64 && one != other);
    }
}
