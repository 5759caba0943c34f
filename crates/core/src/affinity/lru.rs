//! One shard of a table: entries by key, in the order of their last use.
//!
//! A list through a vector by index: the entry used last is `newest`, and what has to go is taken from `oldest`. Free
//! places are on a list of their own.

use super::Place;
use crate::pool::Nanos;
use rustc_hash::FxHashMap;

const NONE: u32 = u32::MAX;

/// Entries, and what became of those that were asked for.
#[derive(Debug)]
pub(super) struct Lru {
    index: FxHashMap<u64, u32>,
    entries: Vec<Entry>,
    free: u32,
    newest: u32,
    oldest: u32,
    pub tallies: Tallies,
}

#[derive(Debug)]
struct Entry {
    key: u64,
    place: Place,
    used: Nanos,
    newer: u32,
    older: u32,
}

/// What happened to entries since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tallies {
    /// Look-ups that found an entry.
    pub hits: u64,
    /// Look-ups that found none.
    pub misses: u64,
    /// Entries that had to make room before their time.
    pub evictions: u64,
    /// Entries that were not used for as long as they live.
    pub expirations: u64,
}

impl Default for Lru {
    fn default() -> Self {
        Self {
            index: FxHashMap::default(),
            entries: Vec::new(),
            free: NONE,
            newest: NONE,
            oldest: NONE,
            tallies: Tallies::default(),
        }
    }
}

impl Lru {
    /// Where a key belongs. Using an entry makes it the newest.
    pub fn find(&mut self, key: u64, now: Nanos) -> Option<Place> {
        let Some(&at) = self.index.get(&key) else {
            self.tallies.misses += 1;
            return None;
        };
        self.tallies.hits += 1;
        self.renew(at, now);
        Some(self.entries[at as usize].place)
    }

    /// Where a key belongs, without using it.
    pub fn peek(&self, key: u64) -> Option<Place> {
        self.index.get(&key).map(|at| self.entries[*at as usize].place)
    }

    /// Enters a key or changes where it belongs; whether it is new here.
    pub fn put(&mut self, key: u64, place: Place, now: Nanos) -> bool {
        if let Some(&at) = self.index.get(&key) {
            self.entries[at as usize].place = place;
            self.renew(at, now);
            return false;
        }
        let entry = Entry { key, place, used: now, newer: NONE, older: NONE };
        let at = match self.free {
            NONE => {
                let at = u32::try_from(self.entries.len()).expect("a table's bound is a u32");
                self.entries.push(entry);
                at
            }
            at => {
                self.free = self.entries[at as usize].older;
                self.entries[at as usize] = entry;
                at
            }
        };
        self.index.insert(key, at);
        self.link(at);
        true
    }

    /// Removes the entry that was used longest ago, but for `spared`; whether there was one.
    pub fn evict(&mut self, spared: u64) -> bool {
        let Some(oldest) = self.entries.get(self.oldest as usize) else { return false };
        if oldest.key == spared {
            return false;
        }
        self.tallies.evictions += 1;
        self.remove(self.oldest);
        true
    }

    /// Removes up to `most` entries that were last used before `deadline`; how many it were.
    pub fn expire(&mut self, deadline: Nanos, most: usize) -> usize {
        let mut removed = 0;
        while removed < most
            && self.entries.get(self.oldest as usize).is_some_and(|oldest| oldest.used < deadline)
        {
            self.remove(self.oldest);
            removed += 1;
        }
        self.tallies.expirations += removed as u64;
        removed
    }

    /// Every entry, the newest first: its key, its place and when it was used.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Place, Nanos)> + '_ {
        let first = self.entries.get(self.newest as usize);
        std::iter::successors(first, |entry| self.entries.get(entry.older as usize))
            .map(|entry| (entry.key, entry.place, entry.used))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    fn renew(&mut self, at: u32, now: Nanos) {
        let entry = &mut self.entries[at as usize];
        entry.used = entry.used.max(now);
        if self.newest != at {
            self.unlink(at);
            self.link(at);
        }
    }

    fn remove(&mut self, at: u32) {
        self.index.remove(&self.entries[at as usize].key);
        self.unlink(at);
        self.entries[at as usize].older = self.free;
        self.free = at;
    }

    /// Puts an entry at the newest end.
    fn link(&mut self, at: u32) {
        let before = std::mem::replace(&mut self.newest, at);
        let entry = &mut self.entries[at as usize];
        (entry.newer, entry.older) = (NONE, before);
        match self.entries.get_mut(before as usize) {
            Some(before) => before.newer = at,
            None => self.oldest = at,
        }
    }

    /// Takes an entry out of the order.
    fn unlink(&mut self, at: u32) {
        let Entry { newer, older, .. } = self.entries[at as usize];
        match self.entries.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(number: u64) -> Place {
        Place::of_hash(number)
    }

    #[derive(Debug, Clone)]
    enum Step {
        Find(u64),
        Put(u64, u64),
        Evict(u64),
        Expire(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..12_u64).prop_map(Step::Find),
            (0..12_u64, 1..4_u64).prop_map(|(key, place)| Step::Put(key, place)),
            (0..12_u64).prop_map(Step::Evict),
            (0..30_u64).prop_map(Step::Expire),
        ]
    }

    proptest! {
        /// Against a list that is searched from end to end, newest first.
        #[test]
        fn does_what_a_slow_list_does(steps in prop::collection::vec(step(), 0..200)) {
            let (mut lru, mut slow) = (Lru::default(), Vec::<(u64, Place, u64)>::new());
            for (now, step) in (0_u64..).zip(steps) {
                match step {
                    Step::Find(key) => {
                        let at = slow.iter().position(|entry| entry.0 == key);
                        let found = at.map(|at| { let (key, place, _) = slow.remove(at); slow.insert(0, (key, place, now)); place });
                        prop_assert_eq!(lru.peek(key), found);
                        prop_assert_eq!(lru.find(key, now), found);
                    }
                    Step::Put(key, to) => {
                        let before = slow.len();
                        slow.retain(|entry| entry.0 != key);
                        prop_assert_eq!(lru.put(key, place(to), now), slow.len() == before);
                        slow.insert(0, (key, place(to), now));
                    }
                    Step::Evict(spared) => {
                        let goes = slow.last().is_some_and(|last| last.0 != spared);
                        prop_assert_eq!(lru.evict(spared), goes);
                        if goes { slow.pop(); }
                    }
                    Step::Expire(age) => {
                        let deadline = now.saturating_sub(age);
                        let before = slow.len();
                        slow.retain(|entry| entry.2 >= deadline);
                        prop_assert_eq!(lru.expire(deadline, usize::MAX), before - slow.len());
                    }
                }
                prop_assert_eq!(lru.len(), slow.len());
                prop_assert_eq!(lru.iter().collect::<Vec<_>>(), slow.clone());
            }
        }
    }
}
