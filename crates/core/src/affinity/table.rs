//! The table of clients that a pool remembers: one for all workers, bounded, carried over reloads.
//!
//! Sharded by key, so that two workers hardly ever want the same lock, and nobody holds one for longer than it takes to
//! look an entry up and move it to the front of its shard (well under a microsecond).
//!
//! At the bound a new entry takes the place of the one of its shard that was used longest ago of those that were not used
//! again since they came; up to four fifths of the table are kept for those that were. So whoever makes values up pushes
//! out other values that were seen once, and nobody who comes back. A key decides its shard under a secret hash key, so the
//! shards fill evenly and no client can aim at one.

use super::Place;
pub use super::lru::Tallies;
use super::lru::{Lru, Segment};
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

/// Of the entries that a table may have, those that are kept for clients that come back. The rest is for new ones: they
/// have as long to come back as it takes to fill it.
const KEPT_OF_5: usize = 4;

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
    /// Those of them that are kept; written when that changes.
    kept: Padded<AtomicUsize>,
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
        Self { shards, count: Padded::default(), kept: Padded::default(), sip }
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
        let (entries, kept) = (shard.len(), shard.kept());
        let deadline = now.saturating_sub(bounds.ttl);
        shard.expire(deadline, SWEEP);
        let found = shard.find(key.0.get(), deadline, now);
        self.keep_within(&mut shard, kept, bounds);
        let gone = entries - shard.len();
        drop(shard);
        self.left(gone);
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
            let kept = shard.kept();
            self.left(shard.expire(now.saturating_sub(bounds.ttl), usize::MAX));
            self.keep_within(&mut shard, kept, bounds);
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

    /// Key and place of about `most` entries for a successor, and how many of them, the first ones, are kept. Within each
    /// shard those used last come first.
    pub fn export(&self, most: usize) -> (Vec<(u64, u64)>, usize) {
        let mut entries = Vec::with_capacity(self.count.0.load(Ordering::Relaxed).min(most));
        let mut on_trial = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            let told = shard.iter().take(most.div_ceil(SHARDS)).map(|(key, place, _)| (key, place.hash()));
            for (rank, entry) in told.enumerate() {
                if rank < shard.kept() { entries.push(entry) } else { on_trial.push(entry) }
            }
        }
        let kept = entries.len();
        entries.append(&mut on_trial);
        (entries, kept)
    }

    /// A table with what [`Table::export`] gave, at the beginning of time: every entry lives anew.
    pub fn import(sip: SipKey, (entries, kept): (&[(u64, u64)], usize), bounds: Bounds) -> Self {
        let table = Self::new(sip);
        // Those used last are entered last, so that they are the last to go.
        for (rank, (key, place)) in entries.iter().enumerate().rev() {
            let Some(key) = NonZeroU64::new(*key) else { continue };
            table.put(Key(key), Place::of_hash(*place), bounds, 0);
            if rank < kept {
                // Once more, which is a use.
                table.put(Key(key), Place::of_hash(*place), bounds, 0);
            }
        }
        table
    }

    fn put_in(&self, mut shard: MutexGuard<'_, Lru>, key: Key, place: Place, bounds: Bounds, now: Nanos) {
        let kept = shard.kept();
        let mut gone = shard.expire(now.saturating_sub(bounds.ttl), SWEEP);
        let is_new = shard.put(key.0.get(), place, now);
        self.keep_within(&mut shard, kept, bounds);
        if !is_new {
            drop(shard);
            return self.left(gone);
        }
        let entries = self.count.0.fetch_add(1, Ordering::Relaxed) + 1 - gone;
        let excess = entries.saturating_sub(bounds.most).min(SWEEP);
        let evicted = (0..excess).take_while(|_| shard.evict(Segment::OnTrial, key.0.get())).count();
        drop(shard);
        gone += evicted;
        if evicted < excess {
            gone += self.evict_elsewhere(key, excess - evicted);
        }
        self.left(gone);
    }

    /// Makes room where the key's own shard has none on trial but it: in other shards, and if nobody is on trial there
    /// either, among those that are kept. For small tables, and for bounds that a reload has lowered.
    #[cold]
    fn evict_elsewhere(&self, key: Key, excess: usize) -> usize {
        let mut evicted = 0;
        for (segment, first) in [(Segment::OnTrial, 1), (Segment::Kept, 0)] {
            for step in first..SHARDS {
                if evicted == excess {
                    return evicted;
                }
                let mut shard = lock(&self.shards[(place_of(key) + step) % SHARDS]);
                let kept = shard.kept();
                while evicted < excess && shard.evict(segment, key.0.get()) {
                    evicted += 1;
                }
                self.kept.0.fetch_sub(kept - shard.kept(), Ordering::Relaxed);
            }
        }
        evicted
    }

    /// Counts what has changed of a shard since so many of its entries were kept; when more are than may be, those of it
    /// that were used longest ago are on trial again, a few at a time.
    fn keep_within(&self, shard: &mut Lru, before: usize, bounds: Bounds) {
        let now = shard.kept();
        if now == before {
            return;
        }
        let total = match now.checked_sub(before) {
            Some(more) => self.kept.0.fetch_add(more, Ordering::Relaxed) + more,
            None => self.kept.0.fetch_sub(before - now, Ordering::Relaxed) - (before - now),
        };
        let most = bounds.most / 5 * KEPT_OF_5 + bounds.most % 5 * KEPT_OF_5 / 5;
        let excess = total.saturating_sub(most).min(SWEEP).min(now);
        (0..excess).for_each(|_| shard.demote());
        self.kept.0.fetch_sub(excess, Ordering::Relaxed);
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
        let (entries, kept) = table.export(10_000);
        let other = Table::import(table.sip_key(), (&entries, kept), bounds);
        for client in 0..500_u32 {
            let key = other.key(&client.to_le_bytes());
            assert_eq!(other.find(key, bounds, 1), Some(place(u64::from(client % 3) + 1)));
        }
    }

    #[test]
    fn values_that_are_made_up_push_out_nobody_who_comes_back() {
        for most in [10, 100, 5_000] {
            let (table, bounds) = (table(), Bounds { most, ttl: FOREVER });
            let keys: Vec<Key> = (0..most / 5 * 4).map(|client| table.key(&client.to_le_bytes())).collect();
            keys.iter().for_each(|key| table.put(*key, place(1), bounds, 0));
            assert!(keys.iter().all(|key| table.find(*key, bounds, 1) == Some(place(1))));
            for made_up in 0..20_000_u32 {
                let key = table.key(format!("made up {made_up}").as_bytes());
                assert_eq!(table.find(key, bounds, 2), None);
                table.claim(key, None, place(2), bounds, 2);
            }
            assert!(keys.iter().all(|key| table.find(*key, bounds, 3) == Some(place(1))), "{most}");
            let report = table.report(bounds, 3);
            assert_eq!(report.entries, most, "and new ones find a place");
        }
    }

    #[test]
    fn a_successor_keeps_whom_it_kept() {
        let (table, bounds) = (table(), Bounds { most: 500, ttl: FOREVER });
        let keys: Vec<Key> = (0..300_u32).map(|client| table.key(&client.to_le_bytes())).collect();
        keys.iter().for_each(|key| table.put(*key, place(1), bounds, 0));
        assert!(keys.iter().all(|key| table.find(*key, bounds, 1).is_some()));
        let flood = |table: &Table, from: u32| {
            let keys = (from..from + 5_000).map(|made_up| table.key(format!("{made_up}").as_bytes()));
            keys.for_each(|key| table.put(key, place(2), bounds, 2));
        };
        flood(&table, 0);
        let (entries, kept) = table.export(10_000);
        let other = Table::import(table.sip_key(), (&entries, kept), bounds);
        flood(&other, 5_000);
        assert!(keys.iter().all(|key| other.find(*key, bounds, 3).is_some()));
    }

    proptest! {
        /// Whoever comes back before four fifths of the table have come back since keeps its place, whatever is seen once
        /// in between.
        #[test]
        fn who_comes_back_stays(
            most in 1_usize..80,
            steps in prop::collection::vec((any::<bool>(), 0..100_u16), 0..400),
        ) {
            let (table, bounds) = (table(), Bounds { most, ttl: FOREVER });
            // Those that came back, the last one last; and what was made up so far.
            let (mut known, mut made_up): (Vec<u16>, u32) = (Vec::new(), 0);
            for (now, (is_client, client)) in (0..).zip(steps) {
                if is_client {
                    let key = table.key(&client.to_le_bytes());
                    table.put(key, place(1), bounds, now);
                    prop_assert_eq!(table.find(key, bounds, now), Some(place(1)));
                    known.retain(|one| *one != client);
                    known.push(client);
                } else {
                    made_up += 1;
                    table.put(table.key(&made_up.to_le_bytes()), place(2), bounds, now);
                }
                let report = table.report(bounds, now);
                prop_assert!(report.entries <= most);
                // A shard's eldest makes way when another shard's should: of few, all are looked at.
                if known.len() <= most * 4 / 5 {
                    for client in &known {
                        let key = table.key(&client.to_le_bytes());
                        prop_assert_eq!(lock(&table.shards[place_of(key)]).peek(key.0.get()), Some(place(1)));
                    }
                }
            }
        }

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
