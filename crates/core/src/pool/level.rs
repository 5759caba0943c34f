//! Levels: in which order endpoints are asked by priority and zone, and how traffic is shared between them.
//!
//! Endpoints of one priority in the node's own zone are one level, those of the same priority elsewhere the next; then
//! comes the next priority, and behind all of them the backups. A level keeps all of its traffic while enough of it is
//! healthy, and gives up in proportion what it lacks; as the priorities of Envoy do, whose factor of 1.4 is the default:
//!
//! ```text
//! what a level can take = healthy weight ÷ all weight × overprovisioning, at most all
//! ```
//!
//! The levels are filled in their order, each with at most what it can take of the whole. When all of them together
//! cannot take everything, what they can take is scaled up: no request is turned away while somebody could serve it.

use super::candidates::{self, Selection};
use super::{Member, NoEndpoint, Pool, Tier};
use crate::document::{self, DocumentError};

/// Whom an endpoint is asked before and after; the least is first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Level {
    /// Asked only when nobody else can be.
    pub is_backup: bool,
    /// The user's number; 0 is first.
    pub priority: u8,
    /// In another zone than the node.
    pub is_remote: bool,
}

/// One level and what it gets, for people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LevelShare {
    /// The level.
    pub level: Level,
    /// Weight that can be picked.
    pub usable: u64,
    /// All of its weight.
    pub total: u64,
    /// Its share of the pool's traffic, from 0 to 1.
    pub share: f64,
}

/// How a level stands: who in it would get traffic, and how much of its weight that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Why they would.
    pub tier: Result<Tier, NoEndpoint>,
    /// Their weight.
    pub usable: u64,
    /// The weight of all of them.
    pub total: u64,
}

/// All of a pool's traffic, in the parts that shares are counted in. A power of two, so that a random number falls on a
/// part without a division.
pub const WHOLE: u64 = 1 << WHOLE_BITS;
const WHOLE_BITS: u32 = 32;

/// Which levels get traffic, with the sums of the shares up to and with their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Shares(Vec<(u64, usize)>);

impl Shares {
    /// The level for a uniformly random number: its place in what the shares were made from. Only when somebody can be
    /// picked.
    pub(super) fn choose(&self, random: u64) -> usize {
        let part = random >> (u64::BITS - WHOLE_BITS);
        let at = self.0.partition_point(|(sum, _)| *sum <= part);
        self.0.get(at).or(self.0.last()).map_or(0, |(_, place)| *place)
    }

    /// Shares the traffic. Levels that stand better go first: as long as there is one with healthy endpoints, those that
    /// have only starting ones get nothing, and so on.
    pub(super) fn between(levels: &[Standing], overprovisioning_percent: u32) -> Self {
        let best = Tier::ORDER.into_iter().find(|tier| levels.iter().any(|one| one.tier == Ok(*tier)));
        let Some(best) = best else { return Self::default() };
        let capacity = levels.iter().map(|one| match one.tier {
            Ok(tier) if tier == best => (one.usable, one.total),
            _ => (0, one.total),
        });
        let mut sum = 0;
        let parts = shares(capacity, overprovisioning_percent).into_iter().enumerate();
        Self(
            parts
                .filter(|(_, part)| *part > 0)
                .map(|(place, part)| {
                    sum += part;
                    (sum, place)
                })
                .collect(),
        )
    }

    /// The share of one level, in parts of [`WHOLE`].
    fn of(&self, place: usize) -> u64 {
        let before = |at: usize| at.checked_sub(1).map_or(0, |at| self.0[at].0);
        let at = self.0.iter().position(|(_, known)| *known == place);
        at.map_or(0, |at| self.0[at].0 - before(at))
    }
}

/// How many parts of [`WHOLE`] each level gets, from its usable weight and all of its weight. They add up to [`WHOLE`],
/// or to 0 when nothing is usable. See the module for the rule.
pub fn shares(levels: impl IntoIterator<Item = (u64, u64)>, overprovisioning_percent: u32) -> Vec<u64> {
    let mut left = WHOLE;
    let mut parts: Vec<u64> = levels
        .into_iter()
        .map(|(usable, total)| {
            let part = capacity(usable, total, overprovisioning_percent).min(left);
            left -= part;
            part
        })
        .collect();
    let taken = WHOLE - left;
    if taken == 0 || left == 0 {
        return parts;
    }
    // Nobody is left to take the rest, so all take more.
    parts.iter_mut().for_each(|part| *part = scaled(*part, WHOLE, taken));
    let missing = WHOLE - parts.iter().sum::<u64>();
    if let Some(largest) = parts.iter_mut().max() {
        *largest += missing;
    }
    parts
}

/// What a level can take; at least a part as long as somebody in it can be picked.
fn capacity(usable: u64, total: u64, overprovisioning_percent: u32) -> u64 {
    if usable == 0 {
        return 0;
    }
    let percent = u128::from(overprovisioning_percent) * u128::from(usable);
    let parts = percent * u128::from(WHOLE) / (100 * u128::from(total.max(usable)));
    u64::try_from(parts).unwrap_or(WHOLE).clamp(1, WHOLE)
}

fn scaled(part: u64, to: u64, from: u64) -> u64 {
    u64::try_from(u128::from(part) * u128::from(to) / u128::from(from)).unwrap_or(to)
}

/// Refuses an endpoint that is a backup and has a priority: both say when it is asked.
pub(super) fn check(endpoints: &[document::Endpoint]) -> Result<(), DocumentError> {
    match endpoints.iter().position(|endpoint| endpoint.backup && endpoint.priority > 0) {
        Some(index) => {
            let message = "must be 0 for a backup, which is asked after every priority";
            Err(DocumentError::new(format!("endpoints[{index}].priority"), message))
        }
        None => Ok(()),
    }
}

impl Standing {
    /// How these members of one level stand.
    fn of(members: &[Member]) -> Self {
        match candidates::select_level(members) {
            Ok(Selection { tier, chosen, span }) => {
                let usable = chosen.iter().map(|(_, weight)| u64::from(*weight)).sum();
                Self { tier: Ok(tier), usable, total: span.total_weight }
            }
            Err(why) => {
                let total = members.iter().map(|member| u64::from(member.effective_weight())).sum();
                Self { tier: Err(why), usable: 0, total }
            }
        }
    }
}

impl Pool {
    /// Its levels in their order; empty when all endpoints that are not backups, and all that are, are alike: then there
    /// is nothing to share out.
    pub fn levels(&self) -> Vec<Level> {
        let mut levels: Vec<Level> = self.members.iter().map(|member| member.level).collect();
        levels.sort_unstable();
        levels.dedup();
        let backups = levels.iter().filter(|level| level.is_backup).count();
        if backups > 1 || levels.len() - backups > 1 { levels } else { Vec::new() }
    }

    /// Its members of one level.
    pub(super) fn members_of(&self, level: Level) -> Box<[Member]> {
        self.members.iter().filter(|member| member.level == level).cloned().collect()
    }

    /// What each level gets now; empty as in [`Pool::levels`]. In panic it is not by these shares: then everybody is
    /// asked.
    pub fn level_shares(&self) -> Vec<LevelShare> {
        let levels = self.levels();
        let standings: Vec<Standing> =
            levels.iter().map(|level| Standing::of(&self.members_of(*level))).collect();
        let shares = Shares::between(&standings, self.overprovisioning_percent);
        let told = |(place, (level, standing)): (usize, (Level, Standing))| LevelShare {
            level,
            usable: standing.usable,
            total: standing.total,
            share: fraction(shares.of(place)),
        };
        levels.into_iter().zip(standings).enumerate().map(told).collect()
    }
}

#[allow(clippy::cast_precision_loss, reason = "parts of WHOLE are below 2^53")]
fn fraction(parts: u64) -> f64 {
    parts as f64 / WHOLE as f64
}

#[cfg(test)]
mod tests;
