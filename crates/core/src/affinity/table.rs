//! The table of clients that a pool remembers: one for all workers, bounded, carried over reloads.
//!
//! Sharded by key, so that two workers hardly ever want the same lock, and nobody holds one for longer than it takes to
//! look an entry up and move it to the front of its shard (well under a microsecond).
//!
//! At the bound a new entry takes the place of the one of its shard that was used longest ago. A key decides its shard
//! under a secret hash key, so the shards fill evenly and no client can aim at one.

use super::Place;
use super::lru::Lru;
pub use super::lru::Tallies;
use super::sip::SipKey;
use crate::pool::{Nanos, Padded};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// With two workers per core of the largest machines in use, two of them rarely meet in one of so many.
const SHARDS: usize = 64;

/// Entries that one insertion removes at most when a reload has lowered the bound, or when many have expired: what is
/// left over goes with the next ones.
const SWEEP: usize = 8;

/// A client's key in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(NonZeroU64);

/// How much a table holds, and for how long. Not part of it: a reload may change both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Entries at once.
    pub most: usize,
    /// Since an entry's last use.
    pub ttl: Nanos,
}

/// Clients and where they belong.
#[derive(Debug)]
pub struct Table {
    shards: Box<[Padded<Mutex<Lru>>]>,
    /// Entries in all shards; written when one comes or goes, not when it is used.
    count: Padded<AtomicUsize>,
    sip: SipKey,
}

/// What a table has to say of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries now.
    pub entries: usize,
    /// What happened to entries.
    pub tallies: Tallies,
}

impl Table {
    /// An empty table whose keys are hashed with `sip`.
    pub fn new(sip: SipKey) -> Self {
        let shards = (0..SHARDS).map(|_| Padded::default()).collect();
        Self { shards, count: Padded::default(), sip }
    }

    /// The key of a value that tells a client from others: an address, a session's name, a server name.
    #[inline]
    pub fn key(&self, value: &[u8]) -> Key {
        Key(NonZeroU64::new(self.sip.hash(value)).unwrap_or(NonZeroU64::MIN))
    }

    /// Where a client belongs, which counts as a use.
    #[inline]
    pub fn find(&self, key: Key, bounds: Bounds, now: Nanos) -> Option<Place> {
        let mut shard = self.shard(key);
        let expired = shard.expire(now.saturating_sub(bounds.ttl), SWEEP);
        let found = shard.find(key.0.get(), now);
        drop(shard);
        self.left(expired);
        found
    }

    /// Claims a place for a client that belonged to `was` when it was looked up. If another worker was faster, its word
    /// holds: the result is where the client belongs.
    pub fn claim(&self, key: Key, was: Option<Place>, place: Place, bounds: Bounds, now: Nanos) -> Place {
        let shard = self.shard(key);
        match shard.peek(key.0.get()) {
            Some(current) if Some(current) != was => current,
            _ => {
                self.put_in(shard, key, place, bounds, now);
                place
            }
        }
    }

    /// Enters where a client belongs, whatever was known before.
    pub fn put(&self, key: Key, place: Place, bounds: Bounds, now: Nanos) {
        self.put_in(self.shard(key), key, place, bounds, now);
    }

    /// The state of the table, without what has expired.
    pub fn report(&self, bounds: Bounds, now: Nanos) -> Report {
        let mut report = Report::default();
        for shard in &self.shards {
            let mut shard = lock(shard);
            self.left(shard.expire(now.saturating_sub(bounds.ttl), usize::MAX));
            let tallies = shard.tallies;
            report.entries += shard.len();
            report.tallies.hits += tallies.hits;
            report.tallies.misses += tallies.misses;
            report.tallies.evictions += tallies.evictions;
            report.tallies.expirations += tallies.expirations;
        }
        report
    }

    /// The key that it hashes with, for whoever takes over its entries.
    pub fn sip_key(&self) -> SipKey {
        self.sip
    }

    /// Key and place of about `most` entries for a successor, those used last first within each shard.
    pub fn export(&self, most: usize) -> Vec<(u64, u64)> {
        let mut entries = Vec::with_capacity(self.count.0.load(Ordering::Relaxed).min(most));
        for shard in &self.shards {
            let shard = lock(shard);
            entries
                .extend(shard.iter().take(most.div_ceil(SHARDS)).map(|(key, place, _)| (key, place.hash())));
        }
        entries
    }

    /// A table with what [`Table::export`] gave, at the beginning of time: every entry lives anew.
    pub fn import(sip: SipKey, entries: &[(u64, u64)], bounds: Bounds) -> Self {
        let table = Self::new(sip);
        // Those used last are entered last, so that they are the last to go.
        for (key, place) in entries.iter().rev() {
            if let Some(key) = NonZeroU64::new(*key) {
                table.put(Key(key), Place::of_hash(*place), bounds, 0);
            }
        }
        table
    }

    fn put_in(&self, mut shard: MutexGuard<'_, Lru>, key: Key, place: Place, bounds: Bounds, now: Nanos) {
        let mut gone = shard.expire(now.saturating_sub(bounds.ttl), SWEEP);
        if !shard.put(key.0.get(), place, now) {
            drop(shard);
            return self.left(gone);
        }
        let entries = self.count.0.fetch_add(1, Ordering::Relaxed) + 1 - gone;
        let excess = entries.saturating_sub(bounds.most).min(SWEEP);
        let evicted = (0..excess).take_while(|_| shard.evict(key.0.get())).count();
        drop(shard);
        gone += evicted;
        if evicted < excess {
            gone += self.evict_elsewhere(key, excess - evicted);
        }
        self.left(gone);
    }

    /// Makes room in other shards, for tables so small that a shard may be empty.
    #[cold]
    fn evict_elsewhere(&self, key: Key, excess: usize) -> usize {
        let mut evicted = 0;
        for step in 1..SHARDS {
            let mut shard = lock(&self.shards[(place_of(key) + step) % SHARDS]);
            while evicted < excess && shard.evict(key.0.get()) {
                evicted += 1;
            }
        }
        evicted
    }

    fn left(&self, gone: usize) {
        if gone > 0 {
            self.count.0.fetch_sub(gone, Ordering::Relaxed);
        }
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Lru> {
        lock(&self.shards[place_of(key)])
    }
}

/// The key's highest bits: the map within the shard goes by others.
#[allow(clippy::cast_possible_truncation, reason = "the remainder is below SHARDS")]
fn place_of(key: Key) -> usize {
    (key.0.get() >> 32) as usize % SHARDS
}

fn lock(shard: &Padded<Mutex<Lru>>) -> MutexGuard<'_, Lru> {
    // Every change is complete before anything could panic: the next one finds a whole list.
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FOREVER: Nanos = Nanos::MAX;

    fn table() -> Table {
        Table::new(SipKey(1, 2))
    }

    fn place(number: u64) -> Place {
        Place::of_hash(number)
    }

    #[test]
    fn an_entry_lives_from_its_last_use() {
        let (table, bounds) = (table(), Bounds { most: 10, ttl: 100 });
        let key = table.key(b"ann");
        table.put(key, place(7), bounds, 0);
        assert_eq!(table.find(key, bounds, 100), Some(place(7)));
        assert_eq!(table.find(key, bounds, 200), Some(place(7)), "used at 100");
        assert_eq!(table.find(key, bounds, 301), None);
        let tallies = Tallies { hits: 2, misses: 1, evictions: 0, expirations: 1 };
        assert_eq!(table.report(bounds, 301), Report { entries: 0, tallies });
    }

    #[test]
    fn the_first_claim_holds() {
        let (table, bounds) = (table(), Bounds { most: 10, ttl: FOREVER });
        let key = table.key(b"ann");
        assert_eq!(table.claim(key, None, place(1), bounds, 0), place(1));
        assert_eq!(table.claim(key, None, place(2), bounds, 0), place(1), "another worker was faster");
        assert_eq!(table.claim(key, Some(place(1)), place(2), bounds, 0), place(2), "the first has died");
        assert_eq!(
            table.claim(key, Some(place(1)), place(3), bounds, 0),
            place(2),
            "and the client moves once"
        );
    }

    #[test]
    fn below_its_bound_nothing_is_evicted() {
        let (table, bounds) = (table(), Bounds { most: 10_000, ttl: FOREVER });
        let keys: Vec<Key> = (0..10_000_u32).map(|client| table.key(&client.to_le_bytes())).collect();
        keys.iter().for_each(|key| table.put(*key, place(1), bounds, 0));
        assert!(keys.iter().all(|key| table.find(*key, bounds, 1) == Some(place(1))));
        let report = table.report(bounds, 1);
        assert_eq!((report.entries, report.tallies.evictions), (10_000, 0));
        table.put(table.key(b"one more"), place(2), bounds, 2);
        assert_eq!(table.report(bounds, 2).entries, 10_000);
        assert_eq!(table.report(bounds, 2).tallies.evictions, 1);
    }

    #[test]
    fn a_lower_bound_is_reached_step_by_step() {
        let (table, bounds) = (table(), Bounds { most: 1000, ttl: FOREVER });
        (0..1000_u32).for_each(|client| table.put(table.key(&client.to_le_bytes()), place(1), bounds, 0));
        let lower = Bounds { most: 100, ..bounds };
        (1000..1150_u32).for_each(|client| table.put(table.key(&client.to_le_bytes()), place(1), lower, 1));
        assert_eq!(table.report(lower, 1).entries, 100);
    }

    #[test]
    fn a_successor_goes_on_with_it() {
        let (table, bounds) = (table(), Bounds { most: 500, ttl: FOREVER });
        for client in 0..500_u32 {
            table.put(
                table.key(&client.to_le_bytes()),
                place(u64::from(client % 3) + 1),
                bounds,
                client.into(),
            );
        }
        let other = Table::import(table.sip_key(), &table.export(10_000), bounds);
        for client in 0..500_u32 {
            let key = other.key(&client.to_le_bytes());
            assert_eq!(other.find(key, bounds, 1), Some(place(u64::from(client % 3) + 1)));
        }
    }

    proptest! {
        #[test]
        fn the_bound_holds(most in 1_usize..80, clients in prop::collection::vec(0..200_u16, 0..400)) {
            let (table, bounds) = (table(), Bounds { most, ttl: FOREVER });
            for (now, client) in (0..).zip(clients) {
                let key = table.key(&client.to_le_bytes());
                table.put(key, place(1), bounds, now);
                prop_assert_eq!(table.find(key, bounds, now), Some(place(1)), "the newest is never evicted");
                prop_assert!(table.report(bounds, now).entries <= most);
            }
        }
    }
}
