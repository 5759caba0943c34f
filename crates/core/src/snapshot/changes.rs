//! What a reload changed, by name.

use super::Snapshot;
use rustc_hash::FxHashMap;
use serde::Serialize;

/// The difference between two snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Changes {
    /// The newer snapshot's.
    pub generation: u64,
    /// Listeners.
    pub listeners: Difference,
    /// Pools.
    pub pools: Difference,
    /// Routes. A route that only moved in the order is not changed.
    pub routes: Difference,
}

/// Names, in the order of the document that has them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Difference {
    /// Only in the newer one.
    pub added: Vec<String>,
    /// Only in the older one.
    pub removed: Vec<String>,
    /// In both, with different contents.
    pub changed: Vec<String>,
}

impl Changes {
    pub(super) fn between(older: &Snapshot, newer: &Snapshot) -> Self {
        let (old, new) = (&older.document, &newer.document);
        Self {
            generation: newer.generation,
            listeners: Difference::between(&old.listeners, &new.listeners, |listener| &listener.name),
            pools: Difference::between(&old.pools, &new.pools, |pool| &pool.name),
            routes: Difference::between(&old.routes, &new.routes, |route| &route.name),
        }
    }
}

impl Difference {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    fn between<T: PartialEq>(old: &[T], new: &[T], name: impl Fn(&T) -> &String) -> Self {
        let before: FxHashMap<&str, &T> = old.iter().map(|item| (name(item).as_str(), item)).collect();
        let after: FxHashMap<&str, &T> = new.iter().map(|item| (name(item).as_str(), item)).collect();
        let names = |items: &[T], keep: &dyn Fn(&T) -> bool| {
            items.iter().filter(|item| keep(item)).map(|item| name(item).clone()).collect()
        };
        Self {
            added: names(new, &|item| !before.contains_key(name(item).as_str())),
            removed: names(old, &|item| !after.contains_key(name(item).as_str())),
            changed: names(new, &|item| before.get(name(item).as_str()).is_some_and(|old| *old != item)),
        }
    }
}
