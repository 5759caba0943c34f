//! Dense numbers for names, stable over reloads, so that the packet path counts by index and never by name.

use rustc_hash::FxHashMap;
use std::hash::Hash;
use std::net::SocketAddr;

/// The numbers in use: one space each for listeners, routes, pools and endpoints.
///
/// A build starts from a clone of the running snapshot's `Ids`, asks for every name it has, and ends with
/// [`Ids::retain`], which frees the numbers that nobody asked for. A number freed by one build is given out by the
/// next one at the earliest, never by the same, so two things of one snapshot or of its successor do not share a
/// counter. The spaces are as large as the largest configuration so far, and not larger.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    listeners: Space<Box<str>>,
    routes: Space<Box<str>>,
    pools: Space<Box<str>>,
    endpoints: Space<(Box<str>, SocketAddr)>,
}

/// How many numbers each space spans: every number given out is below it. Arrays of counters need this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the type's line says it")]
pub struct Spans {
    pub listeners: u32,
    pub routes: u32,
    pub pools: u32,
    pub endpoints: u32,
}

impl Ids {
    /// The number of the listener called `name`.
    pub fn listener(&mut self, name: &str) -> u32 {
        self.listeners.number(name.into())
    }

    /// The number of the route called `name`.
    pub fn route(&mut self, name: &str) -> u32 {
        self.routes.number(name.into())
    }

    /// The number of the pool called `name`.
    pub fn pool(&mut self, name: &str) -> u32 {
        self.pools.number(name.into())
    }

    /// The number of `address` in the pool called `pool`; the same address in two pools is two endpoints.
    pub fn endpoint(&mut self, pool: &str, address: SocketAddr) -> u32 {
        self.endpoints.number((pool.into(), address))
    }

    /// Ends a build: frees the numbers that were not asked for since the last `retain`.
    pub fn retain(&mut self) {
        self.listeners.retain();
        self.routes.retain();
        self.pools.retain();
        self.endpoints.retain();
    }

    /// The lengths of the spaces.
    pub fn spans(&self) -> Spans {
        Spans {
            listeners: self.listeners.span,
            routes: self.routes.span,
            pools: self.pools.span,
            endpoints: self.endpoints.span,
        }
    }
}

/// One space of numbers.
#[derive(Debug, Clone)]
struct Space<K> {
    numbers: FxHashMap<K, Held>,
    free: Vec<u32>,
    span: u32,
}

/// A number and whether the build under way asked for it.
#[derive(Debug, Clone, Copy)]
struct Held {
    number: u32,
    asked: bool,
}

impl<K> Default for Space<K> {
    fn default() -> Self {
        Self { numbers: FxHashMap::default(), free: Vec::new(), span: 0 }
    }
}

impl<K: Hash + Eq> Space<K> {
    fn number(&mut self, key: K) -> u32 {
        let (free, span) = (&mut self.free, &mut self.span);
        let held = self.numbers.entry(key).or_insert_with(|| {
            let number = free.pop().unwrap_or_else(|| {
                *span += 1;
                *span - 1
            });
            Held { number, asked: true }
        });
        held.asked = true;
        held.number
    }

    fn retain(&mut self) {
        let free = &mut self.free;
        self.numbers.retain(|_, held| {
            if !held.asked {
                free.push(held.number);
            }
            std::mem::take(&mut held.asked)
        });
        // Lowest first, so that the used part stays dense.
        free.sort_unstable_by(|a, b| b.cmp(a));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_stable() {
        let mut ids = Ids::default();
        assert_eq!([ids.pool("a"), ids.pool("b"), ids.pool("a"), ids.pool("c")], [0, 1, 0, 2]);
        ids.retain();
        let mut next = ids.clone();
        assert_eq!([next.pool("c"), next.pool("b")], [2, 1]);
        next.retain();
        assert_eq!(next.spans().pools, 3);
    }

    #[test]
    fn a_freed_number_is_reused_by_the_next_build_only() {
        let mut ids = Ids::default();
        assert_eq!((ids.route("old"), ids.route("kept")), (0, 1));
        ids.retain();
        assert_eq!((ids.route("kept"), ids.route("new")), (1, 2), "0 still belongs to the running snapshot");
        ids.retain();
        assert_eq!((ids.route("kept"), ids.route("new"), ids.route("newer")), (1, 2, 0));
        assert_eq!(ids.spans().routes, 3);
    }

    #[test]
    fn the_same_address_in_two_pools_is_two_endpoints() {
        let mut ids = Ids::default();
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        assert_ne!(ids.endpoint("a", address), ids.endpoint("b", address));
    }
}
