//! Routes: which one a request takes, and what it says is to be done.
//!
//! * [`RouteTable::find`] answers for one listener; the first matching route in file order wins.
//! * [`Route`] is a route checked and compiled ([`Route::build`]); conditions, rewrite and rules have a file each.
//! * [`shadow`] finds routes that can never match.

mod build;
mod candidates;
mod conditions;
mod fault;
mod host;
mod mirror;
mod path;
mod rewrite;
pub mod shadow;
mod table;
mod trie;

pub use build::PoolIndexes;
pub use build::inside;
pub(crate) use build::{compression, duration};
pub use conditions::{Conditions, cookie, query_parameter};
pub use fault::{Fault, Injected};
pub use host::{HostPattern, host_name, host_pattern, is_host_and_port};
pub use mirror::{BodyHash, Comparison, Mirror, Mirrored, Outcome};
pub use path::{PathPattern, PathRegex};
pub use rewrite::Rewrite;
pub use table::RouteTable;

use crate::access::Guard;
use crate::answer::Answer;
use crate::client_tls::ClientTls;
use crate::compression::Compression;
use crate::queue::Priority;
use crate::retry::Policy;
use crate::rules::Rules;
use crate::template::Template;
use std::time::Duration;

/// What a request shows to the conditions.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method; compared with case (RFC 9110 §9.1).
    pub method: &'a str,
    /// The authority as received: it may have a port, upper case and a trailing dot.
    pub host: &'a str,
    /// The path after [`crate::target::normalize_path`]; "*" for the asterisk form, "" for CONNECT.
    pub path: &'a str,
    /// The query without "?", undecoded.
    pub query: Option<&'a str>,
    /// The header fields.
    pub fields: &'a dyn Fields,
    /// What its client has shown over TLS, if it came over it.
    pub tls: Option<&'a ClientTls>,
    /// Whether it is CONNECT, which only routes that allow it match.
    pub connect: bool,
}

/// Header fields, wherever they are kept. Names compare without ASCII case.
pub trait Fields {
    /// The value of the first field called `name`.
    fn first(&self, name: &str) -> Option<&[u8]>;

    /// Whether `test` accepts the value of any field called `name`; asked in the order of the message.
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;
}

/// A route's number: dense, and the same after a reload for the same name ([`crate::ids::Ids`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u32);

/// A place in [`crate::snapshot::Snapshot::pools`]; meaningless in any other snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PoolIndex(pub u32);

/// Match → action, with its policies.
#[derive(Debug)]
pub struct Route {
    /// Its number.
    pub id: RouteId,
    /// The user's name for it.
    pub name: Box<str>,
    /// The hosts, one of which must fit; empty: any.
    pub hosts: Box<[HostPattern]>,
    /// The path.
    pub path: PathPattern,
    /// Method, header, cookie and query conditions.
    pub conditions: Conditions,
    /// What happens.
    pub action: Action,
    /// How the path changes before forwarding.
    pub rewrite: Option<Rewrite>,
    /// `Host` towards the endpoint.
    pub host_rewrite: HostRewrite,
    /// Changes to the request's fields.
    pub request_rules: Rules,
    /// Changes to the response's fields, also when Evenly makes the response itself.
    pub response_rules: Rules,
    /// Deadlines that replace the pool's.
    pub timeouts: Timeouts,
    /// Whose turn it is in a pool's queue.
    pub priority: Priority,
    /// When a request is tried again, in place of the pool's policy.
    pub retry: Option<Policy>,
    /// Request body limit in bytes that replaces the listener's.
    pub body_bytes: Option<u64>,
    /// Whether `Upgrade` is passed on.
    pub allow_upgrade: bool,
    /// Whether safe requests that came in early data are done at once, and not when the handshake is over.
    pub early_data: bool,
    /// What a request has to show before the action is done.
    pub guard: Option<Box<Guard>>,
    /// How responses are compressed, in place of the listener's way.
    pub compression: Option<Box<Compression>>,
    /// What goes wrong on purpose.
    pub fault: Option<Fault>,
    /// What is copied to another pool.
    pub mirror: Option<Mirror>,
}

/// What a route does.
#[derive(Debug)]
pub enum Action {
    /// Forward to a pool.
    Pool(PoolIndex),
    /// Forward to one of several pools.
    Split(Split),
    /// Redirect the client.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// `Location`; use [`Template::render_location`].
        location: Template,
    },
    /// Answer with fixed content.
    Respond(Answer),
}

/// Pools with weights.
#[derive(Debug)]
pub struct Split {
    /// Pools with the sums of the weights up to and with their own, ascending; those of weight 0 are left out.
    sums: Box<[(u64, PoolIndex)]>,
    total: u64,
}

/// `Host` towards the endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostRewrite {
    /// As the client sent it.
    Preserve,
    /// The endpoint's address.
    Endpoint,
    /// This.
    Literal(Box<str>),
}

/// Deadlines that replace the pool's; `None` keeps the pool's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in document::PoolTimeouts")]
pub struct Timeouts {
    pub connect: Option<Duration>,
    pub response: Option<Duration>,
    pub request: Option<Duration>,
    pub idle: Option<Duration>,
}

impl Split {
    /// `None` when no weight is above 0.
    pub fn new(pools: impl IntoIterator<Item = (PoolIndex, u32)>) -> Option<Self> {
        let mut total = 0;
        let weighted = pools.into_iter().filter(|(_, weight)| *weight > 0);
        let sums: Box<[_]> = weighted
            .map(|(pool, weight)| {
                total += u64::from(weight);
                (total, pool)
            })
            .collect();
        (total > 0).then_some(Self { sums, total })
    }

    /// The pool for a uniformly random number; each gets its weight's share.
    pub fn choose(&self, random: u64) -> PoolIndex {
        // The high half of the product is uniform below `total`, without a division (Lemire 2019).
        let product = u128::from(random) * u128::from(self.total);
        let below_total = u64::try_from(product >> 64).unwrap_or_default();
        let at = self.sums.partition_point(|(sum, _)| *sum <= below_total);
        self.sums[at.min(self.sums.len() - 1)].1
    }
}

impl Route {
    /// Whether all conditions hold: what [`RouteTable::find`] decides for all routes at once.
    pub fn matches(&self, request: &Request<'_>) -> bool {
        let host = host_name(request.host).to_ascii_lowercase();
        (self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(&host)))
            && self.path.matches(request.path)
            && self.conditions.hold(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_split_without_weight_is_none() {
        assert!(Split::new([]).is_none());
        assert!(Split::new([(PoolIndex(0), 0)]).is_none());
    }

    #[test]
    fn every_pool_of_a_split_gets_its_share() {
        let split = Split::new([(PoolIndex(7), 95), (PoolIndex(8), 0), (PoolIndex(9), 5)]).unwrap();
        let canary = (0..1000_u64).filter(|i| split.choose(i * (u64::MAX / 1000)) == PoolIndex(9)).count();
        assert!((49..=51).contains(&canary), "{canary}");
        assert_eq!((split.choose(0), split.choose(u64::MAX)), (PoolIndex(7), PoolIndex(9)));
    }

    proptest! {
        #[test]
        fn a_split_never_chooses_weight_zero(weights in prop::collection::vec(prop_oneof![Just(0), any::<u32>()], 1..9), random in any::<u64>()) {
            let pools = weights.iter().enumerate().map(|(i, weight)| (PoolIndex(u32::try_from(i).unwrap()), *weight));
            if let Some(split) = Split::new(pools) {
                prop_assert!(weights[split.choose(random).0 as usize] > 0);
            }
        }
    }
}
