//! What must hold after each pick, stated again and more simply than the code under test states it.

use evenly_core::document::Balance;
use evenly_core::pool::{
    Endpoint, EndpointId, EndpointState, Health, Lease, Member, Nanos, NoEndpoint, Pool,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Picks by all workers after which an endpoint that could have been picked every time, and has nothing in flight,
/// counts as starved. The lightest share here is about 1/30, on a ring with luck against it 1/45: the chance to
/// be passed over that often is below e^-20.
const PATIENCE: u32 = 900;

/// peak-ewma may avoid an endpoint for 10 s × ln r, r being how much worse it looks than the others: here
/// 1,000 ms against 1 ms and a weight of 1 against 4.
const FORGIVENESS: Nanos = 83_000_000_000;

/// Watches the picks of all workers.
pub struct Watch {
    balance: Balance,
    passed_over: BTreeMap<EndpointId, Passed>,
    /// Endpoints of earlier pools that may have requests under way.
    former: Vec<Arc<Endpoint>>,
}

/// Since when and how often an endpoint was passed over.
struct Passed {
    since: Nanos,
    picks: u32,
}

impl Watch {
    pub fn new(balance: Balance) -> Self {
        Self { balance, passed_over: BTreeMap::new(), former: Vec::new() }
    }

    /// To be called with the pool that a reload replaces.
    pub fn reloaded(&mut self, replaced: &Pool) {
        // The other worker may go on with an older pool, which keeps its endpoints.
        self.former.retain(|endpoint| Arc::strong_count(endpoint) > 1);
        self.former.extend(replaced.members.iter().map(|member| Arc::clone(&member.endpoint)));
        self.passed_over.clear();
    }

    /// Every endpoint that may have requests under way, once.
    pub fn all_known<'a>(&'a self, pool: &'a Pool) -> impl Iterator<Item = &'a Arc<Endpoint>> {
        let mut all: Vec<_> =
            self.former.iter().chain(pool.members.iter().map(|member| &member.endpoint)).collect();
        all.sort_by_key(|endpoint| Arc::as_ptr(endpoint));
        all.dedup_by_key(|endpoint| Arc::as_ptr(endpoint));
        all.into_iter()
    }

    /// Checks a pick from `pool`, and that nobody starves.
    pub fn check(
        &mut self,
        pool: &Pool,
        picked: Result<&Lease, &NoEndpoint>,
        excluded: Option<EndpointId>,
        now: Nanos,
    ) {
        let eligible: Vec<&Member> = eligible(pool);
        match picked {
            Ok(lease) => {
                let id = lease.endpoint().id();
                assert!(eligible.iter().any(|member| member.endpoint.id() == id), "{id:?} may not be picked");
                assert_ne!(Some(id), excluded, "it was excluded");
                assert!(lease.endpoint().in_flight() > 0, "a lease counts");
                self.passed_over.remove(&id);
            }
            Err(NoEndpoint::OnlyExcluded) => {
                let ids: Vec<_> = eligible.iter().map(|member| Some(member.endpoint.id())).collect();
                assert_eq!(ids, [excluded]);
            }
            Err(why) => assert!(eligible.is_empty(), "{why:?}, but there are {}", eligible.len()),
        }
        self.nobody_starves(&eligible, now);
    }

    fn nobody_starves(&mut self, eligible: &[&Member], now: Nanos) {
        let is_waiting = |id: &EndpointId| {
            eligible.iter().any(|member| member.endpoint.id() == *id && member.endpoint.in_flight() == 0)
        };
        self.passed_over.retain(|id, _| is_waiting(id));
        for member in eligible.iter().filter(|member| member.endpoint.in_flight() == 0) {
            let id = member.endpoint.id();
            let passed = self.passed_over.entry(id).or_insert(Passed { since: now, picks: 0 });
            if self.balance != Balance::PeakEwma || now - passed.since > FORGIVENESS {
                passed.picks += 1;
            }
            assert!(passed.picks < PATIENCE, "{id:?} starves since {} s", passed.since / 1_000_000_000);
        }
    }
}

/// The members that may get traffic.
fn eligible(pool: &Pool) -> Vec<&Member> {
    let weighty = || pool.members.iter().filter(|member| member.effective_weight() > 0);
    let usable = || weighty().filter(|member| member.endpoint.state() != EndpointState::Maintenance);
    let health = |health: Health| usable().filter(|member| member.endpoint.health() == health).count();
    let (healthy, unhealthy) = (health(Health::Healthy), health(Health::Unhealthy));
    let threshold = usize::from(pool.panic_threshold_percent);
    if healthy + unhealthy > 0 && healthy * 100 < threshold * (healthy + unhealthy) {
        return usable().collect();
    }
    for (backup, state) in [
        (false, EndpointState::Healthy),
        (false, EndpointState::Starting),
        (true, EndpointState::Healthy),
        (true, EndpointState::Starting),
    ] {
        let those: Vec<&Member> =
            weighty().filter(|member| member.backup == backup && member.endpoint.state() == state).collect();
        if !those.is_empty() {
            return those;
        }
    }
    Vec::new()
}
