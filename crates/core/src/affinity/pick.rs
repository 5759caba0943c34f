//! *Pick*, with affinity before the balancer.
//!
//! | the client's endpoint | goes to | outcome |
//! |---|---|---|
//! | not known | the balancer's choice, which it keeps | new |
//! | healthy, starting, draining | it | hit |
//! | one of these, but it holds as many requests as it may | the balancer's choice, for this once | spilled |
//! | unhealthy (but in panic), in maintenance, of weight 0, removed | the balancer's choice, which it keeps | moved |
//! | has just failed this request | the balancer's choice, which it keeps if that answers | moved |
//!
//! A client whose endpoint comes back stays where it went: it moves once for each death.
//!
//! Nobody waits for a full endpoint while another has room. HAProxy has clients with persistence wait in their server's queue
//! (`maxqueue 0`, its default, is without bound), for applications whose sessions live in one server's memory; there one busy
//! server holds requests up while the others idle. An endpoint that dies takes such sessions along in any case, so going
//! elsewhere for once is what an application must bear anyway, and `max_connections` stays a limit on load alone.

use super::{Affinity, Clue, Outcome, Place};
use crate::pool::{EndpointId, Lease, Nanos, NoEndpoint, Picker, Resident};

/// What a pick depends on besides the client.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What the hash balancers go by.
    pub key: Option<u64>,
    /// Endpoints that have failed this request.
    pub tried: &'a [EndpointId],
    /// Now.
    pub now: Nanos,
}

/// Picks the endpoint that the client belongs to if it can serve, and one by the balancer if not.
///
/// # Errors
/// As [`Picker::pick`].
#[inline]
pub fn pick(
    affinity: &Affinity,
    clue: &mut Clue,
    picker: &mut Picker,
    ask: Ask<'_>,
) -> Result<Lease, NoEndpoint> {
    let Ask { tried, now, .. } = ask;
    let belongs = affinity.find(clue, now);
    match belongs.map(|place| lease(picker, place, ask)) {
        Some(Resident::Lease(lease)) => {
            if clue.told.outcome != Outcome::New {
                clue.told.outcome = if tried.is_empty() { Outcome::Hit } else { Outcome::Moved };
            }
            return Ok(lease);
        }
        Some(Resident::Full) => {
            clue.told.outcome = Outcome::Spilled;
            return by_balancer(picker, ask);
        }
        Some(Resident::Gone) | None => {}
    }
    let lease = by_balancer(picker, ask)?;
    clue.told.outcome = match (belongs, clue.key) {
        // A client that is new moves on from an endpoint that never answered it.
        (Some(_), _) if clue.told.outcome != Outcome::New => Outcome::Moved,
        (None, Some(_)) => Outcome::New,
        // Known from the cookie already, or there was nothing to know.
        _ => clue.told.outcome,
    };
    let chosen = Place::of(lease.endpoint());
    let holds = affinity.claim(clue, chosen, now);
    if holds == chosen {
        return Ok(lease);
    }
    // Another worker has picked for this client meanwhile. The balancer's choice is used only if that one is dead.
    match self::lease(picker, holds, ask) {
        Resident::Lease(theirs) => Ok(theirs),
        Resident::Full | Resident::Gone => Ok(lease),
    }
}

/// Picks by the balancer alone: an endpoint that was not tried yet; if there is none, any again.
///
/// # Errors
/// As [`Picker::pick`].
#[inline]
pub fn by_balancer(picker: &mut Picker, ask: Ask<'_>) -> Result<Lease, NoEndpoint> {
    let Ask { key, tried, now } = ask;
    if tried.is_empty() {
        return picker.pick(key, None, now);
    }
    match picker.pick_another(key, tried, now) {
        Err(NoEndpoint::OnlyExcluded) => picker.pick(key, None, now),
        picked => picked,
    }
}

fn lease(picker: &mut Picker, place: Place, ask: Ask<'_>) -> Resident {
    match picker.lease(place, ask.now) {
        Resident::Lease(lease) if ask.tried.contains(&lease.endpoint().id()) => Resident::Gone,
        other => other,
    }
}
