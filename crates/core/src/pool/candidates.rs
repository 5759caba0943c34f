//! Which members get traffic now, and why: decided from their states alone.
//!
//! | tier, in this order | who | when |
//! |---|---|---|
//! | [`Tier::Panic`] | all but those in maintenance | the healthy share is below the threshold |
//! | [`Tier::Healthy`] | healthy, not backup | there is one |
//! | [`Tier::Starting`] | starting, not backup | none of them is healthy |
//! | [`Tier::Backup`] | healthy, backup | none of the above |
//! | [`Tier::BackupStarting`] | starting, backup | none of the above |
//! | [`Tier::Open`] | healthy or starting, whatever their circuits say | none of the above |
//! | [`Tier::Evacuated`] | healthy or starting, in an evacuated zone | none of the above |
//!
//! In panic and in the last two tiers circuits make no difference; in the others nobody is picked whose circuit is open, and
//! one circuit at least is closed. Those that are half-open come along, also from the tiers above: they let in as many as
//! they may, and the others serve the rest.
//!
//! Until the last tier an endpoint of an evacuated zone counts as if it were not there. That tier is there because an
//! evacuation is a wish to have traffic elsewhere, and when there is no elsewhere it must not become an outage.
//!
//! An effective weight of 0 means no traffic, in panic too: it is the operator's wish, not an outage.

use super::{Endpoint, EndpointState, Health, Member};
use crate::balancer::Span;
use crate::circuit::Phase;
use crate::outlier::FULL_SHARE;

/// Why the candidates are candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the module's table says it")]
pub enum Tier {
    Healthy,
    Starting,
    Backup,
    BackupStarting,
    Open,
    Evacuated,
    Panic,
}

/// Why no endpoint can be picked. [`crate::error::Failure`] has the same reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEndpoint {
    /// The pool has no endpoint, or none with a weight above 0.
    Empty,
    /// Every endpoint that the operator left ready is unhealthy.
    AllUnhealthy,
    /// Live traffic took out every endpoint that the operator left ready and the checks have nothing against.
    AllEjected,
    /// The operator left none ready; some are draining, the others in maintenance.
    AllDraining,
    /// Every endpoint is in maintenance.
    AllMaintenance,
    /// There is exactly one candidate, and the caller has excluded it.
    OnlyExcluded,
    /// Every candidate holds as many requests as its `max_connections` allows.
    AllFull,
    /// The pool has as many requests under way as its circuit breaker's `max_requests` allows.
    PoolFull,
    /// The pool has as many requests under way as it was found to take without slowing down.
    PoolLimited,
}

impl Tier {
    /// All that a level can be in, the best first. Panic is the whole pool's.
    pub(super) const ORDER: [Self; 6] =
        [Self::Healthy, Self::Starting, Self::Backup, Self::BackupStarting, Self::Open, Self::Evacuated];

    /// As the status, the metrics and the logs write it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Starting => "none-healthy-yet",
            Self::Backup => "backup",
            Self::BackupStarting => "backup-none-healthy-yet",
            Self::Open => "circuits-open",
            Self::Evacuated => "evacuated",
            Self::Panic => "panic",
        }
    }

    /// Whether the endpoints' circuits decide who of them is picked.
    pub(super) fn obeys_circuits(self) -> bool {
        !matches!(self, Self::Open | Self::Evacuated | Self::Panic)
    }

    /// Whether an endpoint that was selected for this tier could still be: asked of one endpoint, when the others have not
    /// been looked at again yet. Its circuit is asked when it is leased.
    pub(super) fn still_admits(self, endpoint: &Endpoint) -> bool {
        let state = endpoint.state();
        if endpoint.is_evacuated() && self != Self::Evacuated {
            return false;
        }
        let admits = match self {
            Self::Healthy | Self::Backup => state == EndpointState::Healthy,
            Self::Starting | Self::BackupStarting | Self::Open | Self::Evacuated => {
                matches!(state, EndpointState::Starting | EndpointState::Healthy)
            }
            Self::Panic => state != EndpointState::Maintenance,
        };
        admits && endpoint.weight_override() != Some(0)
    }
}

impl NoEndpoint {
    /// Whether there will be room again when a request ends.
    pub fn is_full(self) -> bool {
        matches!(self, Self::AllFull | Self::PoolFull | Self::PoolLimited)
    }

    /// As the status, the metrics and the logs write it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "no-endpoint-empty",
            Self::AllUnhealthy => "no-endpoint-unhealthy",
            Self::AllEjected => "no-endpoint-ejected",
            Self::AllDraining => "no-endpoint-draining",
            Self::AllMaintenance => "no-endpoint-maintenance",
            Self::OnlyExcluded => "no-endpoint-other",
            Self::AllFull => "no-endpoint-full",
            Self::PoolFull => "pool-full",
            Self::PoolLimited => "pool-limited",
        }
    }
}

/// Who gets traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Why it is them.
    pub tier: Tier,
    /// Indices of members with their effective weights, in the pool's order; at least one. While any member has less
    /// than its whole share, all weights are in parts of [`FULL_SHARE`].
    pub chosen: Vec<(usize, u32)>,
    /// The effective weights of all members, as if each had its whole share.
    pub span: Span,
}

/// Whether clients that belong to a member stay with it. Unlike for new ones, draining is no reason to leave, nor is a check
/// whose first result is still awaited: after a start that would move everyone.
pub(super) fn keeps(member: &Member, tier: Result<Tier, NoEndpoint>) -> bool {
    let is_able = match member.endpoint.state() {
        EndpointState::Healthy | EndpointState::Starting => true,
        EndpointState::Draining => member.endpoint.health() != Health::Unhealthy,
        EndpointState::Unhealthy | EndpointState::Ejected => tier == Ok(Tier::Panic),
        EndpointState::Maintenance => false,
    };
    // Whoever evacuates a zone wants its clients elsewhere, and they come to stay there.
    let is_there = !member.endpoint.is_evacuated() || tier == Ok(Tier::Evacuated);
    is_able && is_there && member.effective_weight() > 0
}

/// What is looked at of a member. All is read once, so that a change half way cannot contradict itself.
#[derive(Debug, Clone, Copy)]
struct Standing {
    index: usize,
    weight: u32,
    state: EndpointState,
    health: Health,
    share: u32,
    is_ejected: bool,
    phase: Phase,
    backup: bool,
    evacuated: bool,
}

impl Standing {
    /// Whether it is in this state, and where traffic may go.
    fn is(&self, state: EndpointState) -> bool {
        self.state == state && !self.evacuated
    }

    fn shared_weight(&self) -> u32 {
        if self.share < FULL_SHARE { self.weight / FULL_SHARE * self.share } else { self.weight }
    }
}

/// A tier and who belongs to it.
type Belongs = (Tier, fn(&Standing) -> bool);

const TIERS: [Belongs; 6] = [
    (Tier::Healthy, |one| one.is(EndpointState::Healthy) && !one.backup),
    (Tier::Starting, |one| one.is(EndpointState::Starting) && !one.backup),
    (Tier::Backup, |one| one.is(EndpointState::Healthy) && one.backup),
    (Tier::BackupStarting, |one| one.is(EndpointState::Starting) && one.backup),
    (Tier::Open, |one| one.is(EndpointState::Healthy) || one.is(EndpointState::Starting)),
    (Tier::Evacuated, |one| matches!(one.state, EndpointState::Healthy | EndpointState::Starting)),
];

const PANIC: Belongs = (Tier::Panic, |one| one.state != EndpointState::Maintenance && !one.evacuated);

/// Decides who gets traffic.
///
/// # Errors
/// Why nobody does.
pub fn select(members: &[Member], panic_threshold_percent: u8) -> Result<Selection, NoEndpoint> {
    choose(members, panic_threshold_percent, true)
}

/// The same for the members of one level, which has others beside it: there is no panic about it alone, and those whose
/// circuits are half-open need nobody with a closed one, or they would never be tried.
///
/// # Errors
/// Why nobody does.
pub(super) fn select_level(members: &[Member]) -> Result<Selection, NoEndpoint> {
    choose(members, 0, false)
}

fn choose(
    members: &[Member],
    panic_threshold_percent: u8,
    needs_closed: bool,
) -> Result<Selection, NoEndpoint> {
    let standing = |(index, member): (usize, &Member)| Standing {
        index,
        weight: member.effective_weight().into(),
        state: member.endpoint.state(),
        health: member.endpoint.health(),
        share: member.endpoint.share(),
        is_ejected: member.endpoint.is_ejected(),
        phase: member.phase(),
        backup: member.backup,
        evacuated: member.endpoint.is_evacuated(),
    };
    let mut standings: Vec<Standing> = members.iter().enumerate().map(standing).collect();
    standings.retain(|one| one.weight > 0);
    if standings.iter().any(|one| one.share < FULL_SHARE) {
        standings.iter_mut().for_each(|one| one.weight *= FULL_SHARE);
    }
    let span = Span::of(standings.iter().map(|one| one.weight));
    let panic = is_panic(&standings, panic_threshold_percent).then_some((0, PANIC));
    for (place, (tier, belongs)) in panic.into_iter().chain(TIERS.into_iter().enumerate()) {
        let is_chosen = |one: &&Standing| match (tier.obeys_circuits(), one.phase) {
            (false, _) | (true, Phase::Closed) => belongs(one),
            (true, Phase::HalfOpen) => TIERS[..=place].iter().any(|(_, above)| above(one)),
            (true, Phase::Open) => false,
        };
        let those = || standings.iter().filter(is_chosen);
        let carries = |one: &Standing| !needs_closed || !tier.obeys_circuits() || one.phase == Phase::Closed;
        if those().any(carries) {
            let chosen = those().map(|one| (one.index, one.shared_weight())).collect();
            return Ok(Selection { tier, chosen, span });
        }
    }
    Err(why_none(&standings))
}

/// Whether the healthy share, by count, is below the threshold. Who is ejected is not healthy.
///
/// Only what the checks have judged counts: at the start nothing is healthy yet, which is no outage. Draining
/// endpoints count by their health: an operator who drains half of a pool causes no panic. Nor does one who evacuates a
/// zone.
fn is_panic(standings: &[Standing], threshold_percent: u8) -> bool {
    let judged = standings.iter().filter(|one| PANIC.1(one) && one.health != Health::Starting);
    let (healthy, all) = judged.fold((0, 0), |(healthy, all), one| {
        (healthy + usize::from(one.health == Health::Healthy && !one.is_ejected), all + 1_usize)
    });
    healthy * 100 < all * usize::from(threshold_percent)
}

fn why_none(standings: &[Standing]) -> NoEndpoint {
    let any = |state| standings.iter().any(|one| one.state == state);
    if standings.is_empty() {
        NoEndpoint::Empty
    } else if any(EndpointState::Unhealthy) {
        NoEndpoint::AllUnhealthy
    } else if any(EndpointState::Ejected) {
        NoEndpoint::AllEjected
    } else if any(EndpointState::Draining) {
        NoEndpoint::AllDraining
    } else {
        NoEndpoint::AllMaintenance
    }
}

#[cfg(test)]
mod tests;
