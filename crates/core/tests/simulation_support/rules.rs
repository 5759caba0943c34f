//! What must hold after each pick, stated again and more simply than the code under test states it.

use evenly_core::document::Balance;
use evenly_core::outlier::{FULL_SHARE, Verdict};
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

/// With a tenth of its weight: 10 s × ln 40,000.
const FORGIVENESS_REDUCED: Nanos = 106_000_000_000;

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
    /// Each counts as much as the share that the endpoint had at that moment.
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
                let most =
                    eligible.iter().find(|member| member.endpoint.id() == id).map(|one| one.max_connections);
                let in_flight = lease.endpoint().in_flight();
                assert!(in_flight > 0 && Some(in_flight) <= most, "{in_flight} of {most:?} leases");
                self.passed_over.remove(&id);
            }
            Err(NoEndpoint::OnlyExcluded) => {
                let ids: Vec<_> = eligible.iter().map(|member| Some(member.endpoint.id())).collect();
                assert_eq!(ids, [excluded]);
            }
            Err(NoEndpoint::AllFull) => assert!(
                eligible.iter().all(|member| {
                    Some(member.endpoint.id()) == excluded
                        || member.endpoint.in_flight() >= member.max_connections
                }),
                "one has room"
            ),
            Err(why) => assert!(eligible.is_empty(), "{why:?}, but there are {}", eligible.len()),
        }
        self.nobody_starves(&eligible, now);
    }

    /// The verdicts before a sweep.
    pub fn standings(&self, pool: &Pool) -> Vec<Verdict> {
        pool.members.iter().map(|member| member.endpoint.standing().verdict()).collect()
    }

    /// Checks what a sweep did: only what the table of the state machine allows, and no more ejections than may be.
    pub fn check_sweep(&self, pool: &Pool, before: &[Verdict]) {
        let after = self.standings(pool);
        let ejected = |verdicts: &[Verdict]| {
            verdicts.iter().filter(|one| matches!(one, Verdict::Ejected { .. })).count()
        };
        let Some(policy) = &pool.outlier_detection else {
            return assert!(after.iter().all(|verdict| *verdict == Verdict::Admitted), "not judged any more");
        };
        if ejected(&after) > ejected(before) {
            let most = (after.len() * usize::from(policy.max_ejection_percent) / 100).max(1);
            assert!(ejected(&after) <= most, "{} of {} are ejected", ejected(&after), after.len());
            let is_left = |member: &Member| member.endpoint.state() == EndpointState::Healthy;
            assert!(pool.members.iter().any(is_left), "one is left");
        }
        for (before, after) in before.iter().zip(&after) {
            let is_legal = match (before, after) {
                (Verdict::Admitted, Verdict::Probation { .. })
                | (Verdict::Ejected { .. }, Verdict::Degraded(_)) => false,
                (Verdict::Ejected { .. }, Verdict::Admitted)
                | (Verdict::Degraded(_), Verdict::Probation { .. }) => false,
                (Verdict::Degraded(from), Verdict::Degraded(to)) => from.abs_diff(*to) <= 1,
                (Verdict::Degraded(from), Verdict::Admitted) => *from == 0,
                (_, Verdict::Degraded(to)) => *to == 0,
                _ => true,
            };
            assert!(is_legal, "from {before:?} to {after:?}");
        }
        for member in &pool.members {
            assert_eq!(member.endpoint.is_ejected(), member.endpoint.standing().is_ejected());
        }
    }

    fn nobody_starves(&mut self, eligible: &[&Member], now: Nanos) {
        let is_waiting = |id: &EndpointId| {
            eligible.iter().any(|member| member.endpoint.id() == *id && member.endpoint.in_flight() == 0)
        };
        self.passed_over.retain(|id, _| is_waiting(id));
        for member in eligible.iter().filter(|member| member.endpoint.in_flight() == 0) {
            let id = member.endpoint.id();
            let passed = self.passed_over.entry(id).or_insert(Passed { since: now, picks: 0 });
            let share = member.endpoint.share();
            let forgiven = if share < FULL_SHARE { FORGIVENESS_REDUCED } else { FORGIVENESS };
            if self.balance != Balance::PeakEwma || now - passed.since > forgiven {
                passed.picks += share;
            }
            assert!(
                passed.picks < PATIENCE * FULL_SHARE,
                "{id:?} starves since {} s",
                passed.since / 1_000_000_000
            );
        }
    }
}

/// The members that may get traffic.
fn eligible(pool: &Pool) -> Vec<&Member> {
    let weighty = || pool.members.iter().filter(|member| member.effective_weight() > 0);
    let usable = || weighty().filter(|member| member.endpoint.state() != EndpointState::Maintenance);
    let is_good =
        |member: &&Member| member.endpoint.health() == Health::Healthy && !member.endpoint.is_ejected();
    let judged = usable().filter(|member| member.endpoint.health() != Health::Starting).count();
    let (healthy, unhealthy) = (usable().filter(is_good).count(), judged - usable().filter(is_good).count());
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
