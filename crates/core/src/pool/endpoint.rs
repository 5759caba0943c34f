//! One address in a pool, as all threads share it: its requests in flight, its state and its latency.

use super::Nanos;
use super::hash;
use super::latency::Latency;
use crate::outlier::{FULL_SHARE, Standing, Traffic, Verdict};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An endpoint's number: dense, stable over reloads; see [`crate::ids::Ids`] for when one is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u32);

/// A failed request counts as so many times the latency that is known, up to ten seconds, or as a tenth of one where nothing
/// is.
const FAILED_FACTOR: f64 = 4.0;
const MOST_FAILED_SECONDS: f64 = 10.0;
const UNKNOWN_FAILED_SECONDS: f64 = 0.1;

/// What the health checks say of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// No check has ended yet.
    Starting,
    /// Passed its checks, or has none.
    Healthy,
    /// Failed its checks.
    Unhealthy,
}

/// What the operator says of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdminState {
    /// Health decides.
    Ready,
    /// No new work; what is under way ends by itself.
    Draining,
    /// No work at all, not even when nothing else is left; whether it is checked makes no difference.
    Maintenance,
}

/// What counts: the operator's word first, then the checks', then live traffic's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "described at Health and AdminState")]
pub enum EndpointState {
    Starting,
    Healthy,
    Unhealthy,
    /// Its checks have nothing against it, but live traffic does; see [`crate::outlier`].
    Ejected,
    Draining,
    Maintenance,
}

/// Gives a value cache lines of its own: two, because current x86 processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub T);

/// An address in a pool. One `Arc` for each (pool, address), shared by all workers and the service thread and carried
/// over reloads.
///
/// All fields are read and written without order among them: whoever changes what decides about traffic calls
/// [`super::Pool::changed`] afterwards, which publishes it.
#[derive(Debug)]
pub struct Endpoint {
    id: EndpointId,
    address: SocketAddr,
    hash: u64,
    /// Written at the start and the end of every request.
    in_flight: Padded<AtomicU32>,
    /// Written when somebody's opinion changes; read on refresh.
    opinion: Padded<Opinion>,
    /// Written at most about once a millisecond, except for peaks.
    latency: Padded<Latency>,
    /// Written at the end of every request, if the pool judges by traffic.
    traffic: Padded<Traffic>,
    /// What the judge makes of the traffic. Nobody on the packet path takes the lock.
    standing: Mutex<Standing>,
}

#[derive(Debug)]
struct Opinion {
    health: AtomicU8,
    admin: AtomicU8,
    /// Whether its zone is evacuated.
    evacuated: AtomicBool,
    /// 0: none; otherwise the weight plus 1.
    weight: AtomicU32,
    /// Of the weight, in parts of [`FULL_SHARE`].
    share: AtomicU32,
    is_ejected: AtomicBool,
}

impl Endpoint {
    /// An endpoint that is ready, with nothing in flight.
    pub fn new(id: EndpointId, address: SocketAddr, health: Health) -> Self {
        Self {
            id,
            address,
            hash: hash::address(address),
            in_flight: Padded::default(),
            opinion: Padded(Opinion {
                health: AtomicU8::new(health as u8),
                admin: AtomicU8::new(AdminState::Ready as u8),
                evacuated: AtomicBool::new(false),
                weight: AtomicU32::new(0),
                share: AtomicU32::new(FULL_SHARE),
                is_ejected: AtomicBool::new(false),
            }),
            latency: Padded::default(),
            traffic: Padded::default(),
            standing: Mutex::new(Standing::new(health == Health::Healthy)),
        }
    }

    /// Its number.
    pub fn id(&self) -> EndpointId {
        self.id
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// [`hash::address`] of its address: its place among the hash balancers, equal on every node.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Leases that are held on it, over all workers.
    #[inline]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.0.load(Ordering::Relaxed)
    }

    /// Counts a lease in unless `most` are held already; says whether it did. Only [`super::Lease`] does, which counts
    /// it out again.
    ///
    /// Counted first and looked at then: workers that come at the same moment cannot exceed `most` together.
    #[inline]
    pub(super) fn count_in(&self, most: u32) -> bool {
        let is_in = self.in_flight.0.fetch_add(1, Ordering::Relaxed) < most;
        if !is_in {
            self.count_out();
        }
        is_in
    }

    /// Counts a lease out.
    #[inline]
    pub(super) fn count_out(&self) {
        self.in_flight.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The state that counts: the operator's, unless it is "ready"; then the health.
    pub fn state(&self) -> EndpointState {
        match (self.admin(), self.health()) {
            (AdminState::Maintenance, _) => EndpointState::Maintenance,
            (AdminState::Draining, _) => EndpointState::Draining,
            (AdminState::Ready, Health::Unhealthy) => EndpointState::Unhealthy,
            (AdminState::Ready, _) if self.is_ejected() => EndpointState::Ejected,
            (AdminState::Ready, Health::Starting) => EndpointState::Starting,
            (AdminState::Ready, Health::Healthy) => EndpointState::Healthy,
        }
    }

    /// The state's name; of an endpoint that serves with less than its whole share, why it does.
    pub fn state_name(&self) -> &'static str {
        match (self.state(), self.standing().verdict()) {
            (EndpointState::Healthy, Verdict::Degraded(_)) => "degraded",
            (EndpointState::Healthy, Verdict::Probation { .. }) => "probation",
            (state, _) => state.name(),
        }
    }

    /// What the checks say.
    pub fn health(&self) -> Health {
        let health = self.opinion.0.health.load(Ordering::Relaxed);
        Health::ALL.into_iter().find(|one| *one as u8 == health).unwrap_or(Health::Starting)
    }

    /// Sets what the checks say; takes effect with [`super::Pool::changed`].
    pub fn set_health(&self, health: Health) {
        self.opinion.0.health.store(health as u8, Ordering::Relaxed);
    }

    /// What the operator says.
    pub fn admin(&self) -> AdminState {
        let admin = self.opinion.0.admin.load(Ordering::Relaxed);
        AdminState::ALL.into_iter().find(|one| *one as u8 == admin).unwrap_or(AdminState::Ready)
    }

    /// Sets what the operator says; takes effect with [`super::Pool::changed`].
    pub fn set_admin(&self, admin: AdminState) {
        self.opinion.0.admin.store(admin as u8, Ordering::Relaxed);
    }

    /// Whether its zone is evacuated: then it is picked only when nobody else can be.
    pub fn is_evacuated(&self) -> bool {
        self.opinion.0.evacuated.load(Ordering::Relaxed)
    }

    /// Sets whether its zone is evacuated and tells whether it was; takes effect with [`super::Pool::changed`].
    pub fn set_evacuated(&self, evacuated: bool) -> bool {
        self.opinion.0.evacuated.swap(evacuated, Ordering::Relaxed)
    }

    /// The weight that the operator set at run time; it replaces the document's, and outlives reloads.
    pub fn weight_override(&self) -> Option<u16> {
        let stored = self.opinion.0.weight.load(Ordering::Relaxed);
        stored.checked_sub(1).and_then(|weight| u16::try_from(weight).ok())
    }

    /// Sets or lifts the operator's weight; takes effect with [`super::Pool::changed`].
    pub fn set_weight_override(&self, weight: Option<u16>) {
        let stored = weight.map_or(0, |weight| u32::from(weight) + 1);
        self.opinion.0.weight.store(stored, Ordering::Relaxed);
    }

    /// Its share of its weight now, in parts of [`FULL_SHARE`]: less in slow start, in probation and while it is slow.
    pub fn share(&self) -> u32 {
        self.opinion.0.share.load(Ordering::Relaxed)
    }

    /// Sets its share, at least 1; takes effect with [`super::Pool::changed`].
    pub fn set_share(&self, share: u32) {
        self.opinion.0.share.store(share.clamp(1, FULL_SHARE), Ordering::Relaxed);
    }

    /// Whether live traffic took it out.
    pub fn is_ejected(&self) -> bool {
        self.opinion.0.is_ejected.load(Ordering::Relaxed)
    }

    /// Takes it out or lets it back; takes effect with [`super::Pool::changed`].
    pub fn set_ejected(&self, is_ejected: bool) {
        self.opinion.0.is_ejected.store(is_ejected, Ordering::Relaxed);
    }

    /// What its requests left behind for the judge.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic.0
    }

    /// What the judge makes of it. Not for the packet path: it takes a lock.
    pub fn standing(&self) -> MutexGuard<'_, Standing> {
        // A standing is changed by whole stores, so a panic of the lock's holder leaves it usable.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a response time into account; see `latency.rs`. `rtt` is in nanoseconds.
    pub fn observe_latency(&self, rtt: u64, now: Nanos) {
        self.latency.0.observe(rtt, now);
    }

    /// Takes into account that a request failed after so long: what fails at once must not look like what answers fast.
    pub fn observe_failed(&self, took: u64, now: Nanos) {
        let known = self.latency(now).map_or(UNKNOWN_FAILED_SECONDS, |nanos| nanos / 1e9 * FAILED_FACTOR);
        let least = Duration::from_secs_f64(known.min(MOST_FAILED_SECONDS)).as_nanos();
        self.observe_latency(took.max(u64::try_from(least).unwrap_or(u64::MAX)), now);
    }

    /// Its latency in nanoseconds, as it looks at `now`; `None` while nothing was observed.
    pub fn latency(&self, now: Nanos) -> Option<f64> {
        self.latency.0.at(now)
    }
}

impl Health {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Starting, Self::Healthy, Self::Unhealthy];

    /// As the API, the metrics and the logs write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// The one called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|health| health.name() == name)
    }
}

impl AdminState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Draining, Self::Maintenance];

    /// As the API, the metrics and the logs write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Maintenance => "maintenance",
        }
    }

    /// The one called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|admin| admin.name() == name)
    }
}

impl EndpointState {
    /// As the API, the metrics and the logs write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
            Self::Maintenance => "maintenance",
        }
    }
}

impl fmt::Display for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::new(EndpointId(7), SocketAddr::from(([10, 0, 0, 1], 80)), Health::Starting)
    }

    #[test]
    fn what_fails_fast_does_not_look_fast() {
        const MS: u64 = 1_000_000;
        let endpoint = endpoint();
        (0..8).for_each(|tick| endpoint.observe_latency(10 * MS, tick * 2 * MS));
        let before = endpoint.latency(16 * MS).unwrap();
        (8..12).for_each(|tick| endpoint.observe_failed(MS / 10, tick * 2 * MS));
        let after = endpoint.latency(24 * MS).unwrap();
        assert!(after > 4.0 * before, "{after} ns, {before} ns before");
        let unknown = Endpoint::new(EndpointId(8), SocketAddr::from(([10, 0, 0, 2], 80)), Health::Healthy);
        (0..4).for_each(|tick| unknown.observe_failed(0, tick * 2 * MS));
        assert!(unknown.latency(8 * MS).unwrap() > 90e6);
    }

    #[test]
    fn the_operator_has_the_first_word() {
        let endpoint = endpoint();
        for (admin, health, state) in [
            (AdminState::Ready, Health::Starting, EndpointState::Starting),
            (AdminState::Ready, Health::Healthy, EndpointState::Healthy),
            (AdminState::Ready, Health::Unhealthy, EndpointState::Unhealthy),
            (AdminState::Draining, Health::Unhealthy, EndpointState::Draining),
            (AdminState::Maintenance, Health::Healthy, EndpointState::Maintenance),
        ] {
            endpoint.set_admin(admin);
            endpoint.set_health(health);
            assert_eq!((endpoint.admin(), endpoint.health(), endpoint.state()), (admin, health, state));
        }
    }

    #[test]
    fn every_weight_can_replace_the_documents() {
        let endpoint = endpoint();
        for weight in [None, Some(0), Some(1), Some(u16::MAX), None] {
            endpoint.set_weight_override(weight);
            assert_eq!(endpoint.weight_override(), weight);
        }
    }

    #[test]
    fn what_two_threads_write_is_apart() {
        let endpoint = endpoint();
        let places = [
            std::ptr::from_ref(&endpoint.in_flight) as usize,
            std::ptr::from_ref(&endpoint.opinion) as usize,
            std::ptr::from_ref(&endpoint.latency) as usize,
            std::ptr::from_ref(&endpoint.traffic) as usize,
            std::ptr::from_ref(&endpoint.address) as usize,
        ];
        for (i, a) in places.iter().enumerate() {
            assert!(places[i + 1..].iter().all(|b| a / 128 != b / 128), "{places:?}");
        }
    }

    #[test]
    fn names_lead_back() {
        assert!(Health::ALL.into_iter().all(|health| Health::from_name(health.name()) == Some(health)));
        assert!(AdminState::ALL.into_iter().all(|admin| AdminState::from_name(admin.name()) == Some(admin)));
        assert_eq!((Health::from_name("ready"), AdminState::from_name("up")), (None, None));
        assert_eq!(EndpointState::Draining.to_string(), "draining");
    }
}
