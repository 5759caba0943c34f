//! Who may be connected: a count for all and one for each listener, as guards that count themselves out.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A counter that all workers write, alone on its cache line (two, as processors fetch pairs).
#[derive(Default)]
#[repr(align(128))]
struct Count(AtomicU32);

/// Connections of the whole process.
#[derive(Default)]
pub struct Permits {
    open: Count,
    most: AtomicU32,
}

impl Permits {
    /// Changes the limit; connections above it stay.
    pub fn limit(&self, most: u32) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Client connections that are open.
    pub fn open(&self) -> u32 {
        self.open.0.load(Ordering::Relaxed)
    }
}

/// Connections of one listener, which keeps its count over reloads.
pub struct ListenerPermits {
    open: Count,
    most: AtomicU32,
    clients: Clients,
    all: Arc<Permits>,
}

/// Connections by client, in parts, so that workers seldom meet at one lock. Every entry stands for a connection that
/// is open, so the table is never larger than their number.
#[derive(Default)]
struct Clients {
    parts: [Mutex<HashMap<IpAddr, u32>>; 16],
    /// Which part an address is in: nobody can know, and so nobody can choose one.
    hasher: RandomState,
}

impl Clients {
    /// What counts as one client: an IPv6 host is given a /64, and uses many addresses of it.
    fn key(address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        }
    }

    fn part(&self, key: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        let part = &self.parts[usize::try_from(self.hasher.hash_one(key) % 16).unwrap_or_default()];
        // Counts are whole whenever the lock is free.
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_in(&self, key: IpAddr, most: u32) -> bool {
        let mut part = self.part(key);
        let count = part.get(&key).copied().unwrap_or_default();
        let may_come = count < most;
        if may_come {
            part.insert(key, count + 1);
        }
        may_come
    }

    fn count_out(&self, key: IpAddr) {
        let mut part = self.part(key);
        if let Some(count) = part.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                part.remove(&key);
            }
        }
    }
}

impl ListenerPermits {
    /// No connection yet.
    pub fn new(most: u32, all: Arc<Permits>) -> Arc<Self> {
        Arc::new(Self {
            open: Count::default(),
            most: AtomicU32::new(most),
            clients: Clients::default(),
            all,
        })
    }

    /// Whether its connections count as some of these.
    pub fn belongs_to(&self, all: &Arc<Permits>) -> bool {
        Arc::ptr_eq(&self.all, all)
    }

    /// Changes the limit; connections above it stay.
    pub fn limit(&self, most: u32) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// Client connections that are open on this listener.
    pub fn open(&self) -> u32 {
        self.open.0.load(Ordering::Relaxed)
    }

    /// Counts a connection in, unless the listener or the process is at its limit.
    pub fn acquire(self: &Arc<Self>) -> Option<Permit> {
        if !count_in(&self.all.open.0, self.all.most.load(Ordering::Relaxed)) {
            return None;
        }
        if !count_in(&self.open.0, self.most.load(Ordering::Relaxed)) {
            self.all.open.0.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Permit { listener: Arc::clone(self), client: None })
    }
}

/// Adds one unless that would go above `most`, also when several workers try at once.
fn count_in(count: &AtomicU32, most: u32) -> bool {
    if count.fetch_add(1, Ordering::Relaxed) < most {
        return true;
    }
    count.fetch_sub(1, Ordering::Relaxed);
    false
}

/// One counted connection.
pub struct Permit {
    listener: Arc<ListenerPermits>,
    /// Whose it is, where that is counted.
    client: Option<IpAddr>,
}

impl Permit {
    /// Counts it as this client's, unless the client has `most` already.
    pub fn count_client(&mut self, address: IpAddr, most: u32) -> bool {
        let key = Clients::key(address);
        let may_come = self.listener.clients.count_in(key, most);
        self.client = may_come.then_some(key);
        may_come
    }

    /// A number that stands for this client on the listener, and that nobody can foretell.
    pub fn hash_of(&self, address: IpAddr) -> u64 {
        self.listener.clients.hasher.hash_one(Clients::key(address))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(key) = self.client {
            self.listener.clients.count_out(key);
        }
        self.listener.open.0.fetch_sub(1, Ordering::Relaxed);
        self.listener.all.open.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_counts_out_when_dropped_and_both_limits_hold() {
        let all = Arc::new(Permits::default());
        all.limit(3);
        let web = ListenerPermits::new(2, Arc::clone(&all));
        let api = ListenerPermits::new(2, Arc::clone(&all));
        let held: Vec<_> = [web.acquire(), web.acquire(), api.acquire()].into_iter().flatten().collect();
        assert_eq!(held.len(), 3);
        assert!(web.acquire().is_none(), "the listener is full");
        assert!(api.acquire().is_none(), "the process is full");
        assert_eq!((web.open(), api.open(), all.open()), (2, 1, 3));
        drop(held);
        assert_eq!((web.open(), api.open(), all.open()), (0, 0, 0));
    }

    #[test]
    fn a_client_has_its_own_limit_and_an_ipv6_client_is_its_network() {
        let all = Arc::new(Permits::default());
        all.limit(100);
        let web = ListenerPermits::new(100, all);
        let count = |address: &str| {
            let mut permit = web.acquire().unwrap();
            permit.count_client(address.parse().unwrap(), 2).then_some(permit)
        };
        let held: Vec<_> = ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2"].map(count).into();
        assert!(held.iter().all(Option::is_some));
        assert!(count("192.0.2.1").is_none() && count("2001:db8:0:0:ffff::").is_none());
        assert!(
            !web.acquire().unwrap().count_client("192.0.2.9".parse().unwrap(), 0),
            "nobody, and nothing is kept"
        );
        assert!(count("192.0.2.2").is_some() && count("2001:db8:0:1::1").is_some());
        assert_eq!(web.open(), 4);
        drop(held);
        assert!(web.clients.parts.iter().all(|part| part.lock().unwrap().is_empty()));
    }
}
