//! One shard of a table: entries by key, in two segments, each in the order of last use.
//!
//! A new entry is on trial. Used again it is kept, and makes room only when nobody on trial is left: values that are seen
//! once, however many, cannot push out those that come back (segmented LRU: Karedy, Love and Wherry, Caching Strategies to
//! Improve Disk System Performance, 1994). How many are kept, the table decides; who was used longest ago of them is on trial
//! again then.
//!
//! Lists through a vector by index: the entry used last is `newest`, and what has to go is taken from `oldest`. Free
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
    /// By segment.
    lists: [List; 2],
    kept: usize,
    pub tallies: Tallies,
}

/// Whether an entry has been used since it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Segment {
    OnTrial = 0,
    Kept = 1,
}

#[derive(Debug)]
struct List {
    newest: u32,
    oldest: u32,
}

#[derive(Debug)]
struct Entry {
    key: u64,
    place: Place,
    used: Nanos,
    segment: Segment,
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
            lists: Segment::ALL.map(|_| List { newest: NONE, oldest: NONE }),
            kept: 0,
            tallies: Tallies::default(),
        }
    }
}

impl Segment {
    const ALL: [Self; 2] = [Self::OnTrial, Self::Kept];
}

impl Lru {
    /// Where a key belongs, if it was used since `deadline`. Using an entry makes it the newest of those that are kept.
    pub fn find(&mut self, key: u64, deadline: Nanos, now: Nanos) -> Option<Place> {
        let found = self.index.get(&key).copied();
        let Some(at) = found.filter(|at| self.entries[*at as usize].used >= deadline) else {
            if let Some(at) = found {
                self.tallies.expirations += 1;
                self.remove(at);
            }
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

    /// Enters a key, on trial, or changes where it belongs, which is a use; whether it is new here.
    pub fn put(&mut self, key: u64, place: Place, now: Nanos) -> bool {
        if let Some(&at) = self.index.get(&key) {
            self.entries[at as usize].place = place;
            self.renew(at, now);
            return false;
        }
        let entry = Entry { key, place, used: now, segment: Segment::OnTrial, newer: NONE, older: NONE };
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
        self.link(at, Segment::OnTrial);
        true
    }

    /// Removes the entry of `segment` that was used longest ago, but for `spared`; whether there was one.
    pub fn evict(&mut self, segment: Segment, spared: u64) -> bool {
        let oldest = self.lists[segment as usize].oldest;
        if self.entries.get(oldest as usize).is_none_or(|entry| entry.key == spared) {
            return false;
        }
        self.tallies.evictions += 1;
        self.remove(oldest);
        true
    }

    /// Puts the kept entry that was used longest ago on trial again.
    pub fn demote(&mut self) {
        let oldest = self.lists[Segment::Kept as usize].oldest;
        if oldest != NONE {
            self.unlink(oldest);
            self.link(oldest, Segment::OnTrial);
        }
    }

    /// Removes up to `most` entries that were last used before `deadline`; how many it were. One that is on trial again may
    /// stand behind newer ones, and goes after them.
    pub fn expire(&mut self, deadline: Nanos, most: usize) -> usize {
        let mut removed = 0;
        for segment in Segment::ALL {
            while removed < most {
                let oldest = self.lists[segment as usize].oldest;
                if self.entries.get(oldest as usize).is_none_or(|oldest| oldest.used >= deadline) {
                    break;
                }
                self.remove(oldest);
                removed += 1;
            }
        }
        self.tallies.expirations += removed as u64;
        removed
    }

    /// Every entry, those that are kept before the others, the newest first: its key, its place and when it was used.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Place, Nanos)> + '_ {
        Segment::ALL.into_iter().rev().flat_map(|segment| {
            let first = self.entries.get(self.lists[segment as usize].newest as usize);
            std::iter::successors(first, |entry| self.entries.get(entry.older as usize))
                .map(|entry| (entry.key, entry.place, entry.used))
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// How many of them are kept.
    pub fn kept(&self) -> usize {
        self.kept
    }

    fn renew(&mut self, at: u32, now: Nanos) {
        let entry = &mut self.entries[at as usize];
        entry.used = entry.used.max(now);
        if self.lists[Segment::Kept as usize].newest != at {
            self.unlink(at);
            self.link(at, Segment::Kept);
        }
    }

    fn remove(&mut self, at: u32) {
        self.index.remove(&self.entries[at as usize].key);
        self.unlink(at);
        self.entries[at as usize].older = self.free;
        self.free = at;
    }

    /// Puts an entry at the newest end of a segment.
    fn link(&mut self, at: u32, segment: Segment) {
        self.kept += usize::from(segment == Segment::Kept);
        let list = &mut self.lists[segment as usize];
        let before = std::mem::replace(&mut list.newest, at);
        if before == NONE {
            list.oldest = at;
        } else {
            self.entries[before as usize].newer = at;
        }
        let entry = &mut self.entries[at as usize];
        (entry.segment, entry.newer, entry.older) = (segment, NONE, before);
    }

    /// Takes an entry out of its segment.
    fn unlink(&mut self, at: u32) {
        let Entry { segment, newer, older, .. } = self.entries[at as usize];
        self.kept -= usize::from(segment == Segment::Kept);
        match self.entries.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.lists[segment as usize].newest = older,
        }
        match self.entries.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.lists[segment as usize].oldest = newer,
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
        Evict(Segment, u64),
        Demote,
        Expire(u64),
    }

    /// What a slow list holds: the key, its place, when it was used, and whether it is kept.
    type Slow = Vec<(u64, Place, u64, bool)>;

    /// Takes an entry out of it.
    fn taken(slow: &mut Slow, key: u64) -> Option<(u64, Place, u64, bool)> {
        slow.iter().position(|entry| entry.0 == key).map(|at| slow.remove(at))
    }

    /// The place of the oldest entry of a segment.
    fn oldest(slow: &Slow, segment: Segment) -> Option<usize> {
        slow.iter().rposition(|entry| entry.3 == (segment == Segment::Kept))
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..12_u64).prop_map(Step::Find),
            (0..12_u64, 1..4_u64).prop_map(|(key, place)| Step::Put(key, place)),
            (prop_oneof![Just(Segment::OnTrial), Just(Segment::Kept)], 0..12_u64)
                .prop_map(|(segment, spared)| Step::Evict(segment, spared)),
            Just(Step::Demote),
            (0..30_u64).prop_map(Step::Expire),
        ]
    }

    proptest! {
        /// Against a list that is searched from end to end, newest first, whatever the segment.
        #[test]
        fn does_what_a_slow_list_does(steps in prop::collection::vec(step(), 0..200)) {
            let (mut lru, mut slow) = (Lru::default(), Slow::new());
            for (now, step) in (0_u64..).zip(steps) {
                match step {
                    Step::Find(key) => {
                        let found = taken(&mut slow, key).map(|(key, place, _, _)| {
                            slow.insert(0, (key, place, now, true));
                            place
                        });
                        prop_assert_eq!(lru.peek(key), found);
                        prop_assert_eq!(lru.find(key, 0, now), found);
                    }
                    Step::Put(key, to) => {
                        let known = taken(&mut slow, key);
                        prop_assert_eq!(lru.put(key, place(to), now), known.is_none());
                        slow.insert(0, (key, place(to), now, known.is_some()));
                    }
                    Step::Evict(segment, spared) => {
                        let goes = oldest(&slow, segment).filter(|at| slow[*at].0 != spared);
                        prop_assert_eq!(lru.evict(segment, spared), goes.is_some());
                        goes.map(|at| slow.remove(at));
                    }
                    Step::Demote => {
                        lru.demote();
                        if let Some(at) = oldest(&slow, Segment::Kept) {
                            let (key, place, used, _) = slow.remove(at);
                            slow.insert(0, (key, place, used, false));
                        }
                    }
                    Step::Expire(age) => {
                        let deadline = now.saturating_sub(age);
                        let before = slow.len();
                        for segment in Segment::ALL {
                            while let Some(at) = oldest(&slow, segment).filter(|at| slow[*at].2 < deadline) {
                                slow.remove(at);
                            }
                        }
                        prop_assert_eq!(lru.expire(deadline, usize::MAX), before - slow.len());
                    }
                }
                let kept = slow.iter().filter(|entry| entry.3);
                let on_trial = slow.iter().filter(|entry| !entry.3);
                let told: Vec<_> = kept.clone().chain(on_trial).map(|one| (one.0, one.1, one.2)).collect();
                prop_assert_eq!(lru.iter().collect::<Vec<_>>(), told);
                prop_assert_eq!((lru.len(), lru.kept()), (slow.len(), kept.count()));
            }
        }

        /// One that was not used for too long is not found, wherever it stands.
        #[test]
        fn what_has_expired_is_not_found(uses in prop::collection::vec((0..4_u64, any::<bool>()), 1..40), age in 1..20_u64) {
            let (mut lru, mut last) = (Lru::default(), std::collections::HashMap::new());
            for (now, (key, demotes)) in (0_u64..).zip(uses) {
                if demotes {
                    lru.demote();
                }
                let found = lru.find(key, now.saturating_sub(age), now);
                prop_assert_eq!(found.is_some(), last.get(&key).is_some_and(|used| used + age >= now));
                lru.put(key, place(1), now);
                last.insert(key, now);
            }
        }
    }
}
