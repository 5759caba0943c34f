//! A pool, one picker for it, and the leases that a test holds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what goes wrong here fails the test")]

use crate::sample;
use evenly_core::document::{self, Balance, HashKey, HashSource};
use evenly_core::ids::Ids;
use evenly_core::pool::hash::mix;
use evenly_core::pool::{EndpointId, Health, Lease, Nanos, Picker, Pool};
use evenly_core::random::Random;
use std::net::SocketAddr;
use std::sync::Arc;

/// The balancers that go by a key.
pub const HASHES: [Balance; 3] = [Balance::IpHash, Balance::RingHash, Balance::Maglev];

/// Endpoints are named by their place in the weights, whatever their place in the pool.
pub struct Bench {
    pool: Arc<Pool>,
    picker: Picker,
    random: Random,
    leases: Vec<Lease>,
    now: Nanos,
}

impl Bench {
    pub fn new(balance: Balance, weights: &[u16], seed: u64) -> Self {
        Self::bounded(balance, weights, None, seed)
    }

    pub fn bounded(balance: Balance, weights: &[u16], bound: Option<u32>, seed: u64) -> Self {
        Self::of(&document(balance, weights, bound), seed)
    }

    /// With the endpoints in another order.
    pub fn shuffled(balance: Balance, weights: &[u16], seed: u64) -> Self {
        let mut document = document(balance, weights, None);
        let mut random = Random::new(seed);
        document.endpoints.sort_by_cached_key(|_| random.next());
        Self::of(&document, seed)
    }

    fn of(document: &document::Pool, seed: u64) -> Self {
        let pool = Arc::new(Pool::build(document, None, &mut Ids::default()).unwrap());
        let picker = Picker::new(Arc::clone(&pool), Random::new(seed));
        Self { pool, picker, random: Random::new(seed), leases: Vec::new(), now: 0 }
    }

    pub fn pick(&mut self, key: Option<u64>) -> usize {
        index(&self.picker.pick(key, None, self.now).unwrap())
    }

    pub fn pick_other(&mut self, key: Option<u64>, exclude: usize) -> usize {
        let exclude = self.member(exclude);
        index(&self.picker.pick(key, Some(exclude), self.now).unwrap())
    }

    pub fn pick_and_hold(&mut self, key: Option<u64>) -> usize {
        let lease = self.picker.pick(key, None, self.now).unwrap();
        self.leases.push(lease);
        index(self.leases.last().unwrap())
    }

    /// Ends a random lease; whether there was one.
    pub fn release_one(&mut self) -> bool {
        if self.leases.is_empty() {
            return false;
        }
        let index = self.random.index(self.leases.len());
        self.leases.swap_remove(index);
        true
    }

    /// Picks until some endpoints hold about as many leases as `held` says.
    pub fn hold(&mut self, held: &[usize]) {
        for _ in 0..held.iter().sum() {
            self.pick_and_hold(None);
        }
    }

    /// How often each is picked when every request ends at once.
    pub fn shares(&mut self, picks: usize, key: impl Fn(usize) -> Option<u64>) -> Vec<usize> {
        let mut shares = vec![0; self.pool.members.len()];
        for pick in 0..picks {
            shares[self.pick(key(pick))] += 1;
        }
        shares
    }

    pub fn in_flight(&self, index: usize) -> u32 {
        self.pool.member(address(index)).unwrap().endpoint.in_flight()
    }

    pub fn observe_latencies(&self, nanos: impl Fn(usize) -> u64) {
        for index in 0..self.pool.members.len() {
            let endpoint = &self.pool.member(address(index)).unwrap().endpoint;
            // So many responses are needed for a latency to be known.
            (0..4).for_each(|_| endpoint.observe_latency(nanos(index), self.now));
        }
    }

    /// Takes effect at once: large pools take note of a recovery after a moment, which passes here.
    pub fn set_healthy(&mut self, index: usize, is_healthy: bool) {
        let health = if is_healthy { Health::Healthy } else { Health::Unhealthy };
        self.pool.member(address(index)).unwrap().endpoint.set_health(health);
        self.pool.changed();
        self.now += 1_000_000_000;
    }

    fn member(&self, index: usize) -> EndpointId {
        self.pool.member(address(index)).unwrap().endpoint.id()
    }
}

/// Well spread keys, the same ones every time.
pub fn keys(count: usize) -> impl Iterator<Item = u64> + Clone {
    (1..=count as u64).map(mix)
}

/// How many standard deviations of a binomial distribution each count is away from its weight's share.
pub fn deviations(picks: &[usize], weights: &[u16]) -> Vec<f64> {
    let total: f64 = weights.iter().copied().map(f64::from).sum();
    let count = picks.iter().sum::<usize>() as f64;
    let deviation = |(picks, weight): (&usize, &u16)| {
        let share = f64::from(*weight) / total;
        (*picks as f64 - count * share) / (count * share * (1.0 - share)).sqrt()
    };
    picks.iter().zip(weights).map(deviation).collect()
}

fn document(balance: Balance, weights: &[u16], hash_bound_percent: Option<u32>) -> document::Pool {
    let endpoint = |(index, weight): (usize, &u16)| document::Endpoint {
        address: address(index),
        server_name: None,
        weight: *weight,
        ..sample::endpoint(1)
    };
    let takes_key = matches!(balance, Balance::RingHash | Balance::Maglev);
    document::Pool {
        balance,
        hash_key: takes_key.then_some(HashKey { source: HashSource::Uri, name: None }),
        hash_bound_percent,
        endpoints: weights.iter().enumerate().map(endpoint).collect(),
        ..sample::pool()
    }
}

/// 10.0.0.1:8080, 10.0.0.2:8080 and so on.
fn address(index: usize) -> SocketAddr {
    let last = 0x0A00_0001 + u32::try_from(index).unwrap();
    SocketAddr::from((last.to_be_bytes(), 8080))
}

fn index(lease: &Lease) -> usize {
    let std::net::IpAddr::V4(ip) = lease.endpoint().address().ip() else {
        panic!("not one of these endpoints")
    };
    usize::try_from(u32::from(ip) - 0x0A00_0001).unwrap()
}
