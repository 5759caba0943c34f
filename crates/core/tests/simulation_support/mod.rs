//! The simulated world: virtual time, workers, endpoints and what befalls them.

mod rules;
mod site;

use crate::sample;
use evenly_core::document::{self, Balance, HashKey, HashSource, HealthCheck, Probe};
use evenly_core::ids::Ids;
use evenly_core::outlier::{Judge, Outcome};
use evenly_core::pool::{AdminState, Lease, Nanos, Picker, Pool};
use evenly_core::random::Random;
use rules::Watch;
use site::Site;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

pub const MS: Nanos = 1_000_000;

/// Everything there is.
pub struct World {
    random: Random,
    now: Nanos,
    /// Mean time between two requests.
    gap: Nanos,
    is_calm: bool,
    ids: Ids,
    document: document::Pool,
    pool: Arc<Pool>,
    /// One for each worker. After a reload the second one goes on with the old pool for a while.
    pickers: [Picker; 2],
    /// The hosts at the addresses, also of endpoints that were removed.
    sites: BTreeMap<SocketAddr, Site>,
    /// Requests under way, by when they end; the latest first, so that the earliest is popped.
    under_way: Vec<(Reverse<Nanos>, Lease)>,
    judge: Judge,
    next_sweep: Nanos,
    watch: Watch,
}

impl World {
    pub fn new(balance: Balance, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut ids = Ids::default();
        let mut document = document(balance, &mut random);
        document.endpoints = (0..=random.index(7)).map(|last| endpoint(last, &mut random)).collect();
        let pool = Arc::new(Pool::build(&document, None, &mut ids).expect("a valid document"));
        ids.retain();
        let picker = |random: &mut Random| Picker::new(Arc::clone(&pool), Random::new(random.next()));
        let pickers = [picker(&mut random), picker(&mut random)];
        let sites = document.endpoints.iter().map(|one| (one.address, Site::new(0, &mut random))).collect();
        let gap = [MS, 10 * MS, 100 * MS][random.index(3)];
        let watch = Watch::new(balance);
        let is_calm = false;
        Self {
            random,
            now: 0,
            gap,
            is_calm,
            ids,
            document,
            pool,
            pickers,
            sites,
            under_way: Vec::new(),
            judge: Judge::default(),
            next_sweep: 0,
            watch,
        }
    }

    /// One request, and perhaps something that happens before it.
    pub fn step(&mut self) {
        self.now += self.random.below(2 * self.gap);
        self.end_requests();
        self.check_health();
        self.sweep();
        if !self.is_calm && self.random.below(20) == 0 {
            self.befall();
        }
        self.request();
        let loads = self.under_way.len();
        let counted: usize =
            self.watch.all_known(&self.pool).map(|endpoint| endpoint.in_flight() as usize).sum();
        assert_eq!(counted, loads, "every lease is counted once");
    }

    /// From here on every endpoint works and is ready; requests come slowly enough for slow endpoints to be forgiven.
    pub fn calm_down(&mut self) {
        self.is_calm = true;
        self.gap = 300 * MS;
        self.sites.values_mut().for_each(Site::repair);
        for member in &self.pool.members {
            member.endpoint.set_admin(AdminState::Ready);
            member.endpoint.set_weight_override(None);
        }
        self.pool.changed();
        self.pickers.iter_mut().for_each(|picker| picker.update(Arc::clone(&self.pool)));
    }

    /// All requests end.
    pub fn end(mut self) {
        self.now = Nanos::MAX;
        self.end_requests();
        assert!(self.watch.all_known(&self.pool).all(|endpoint| endpoint.in_flight() == 0));
    }

    /// A worker picks an endpoint; if that fails the request at once, it picks another one.
    fn request(&mut self) {
        let worker = self.random.index(2);
        let key = (self.random.below(10) > 0).then(|| self.random.next());
        let mut excluded = None;
        for _ in 0..2 {
            let picked = self.pickers[worker].pick(key, excluded, self.now);
            let pool = self.pickers[worker].pool();
            self.watch.check(pool, picked.as_ref(), excluded, self.now);
            let Ok(lease) = picked else { return };
            let site = &self.sites[&lease.endpoint().address()];
            if !site.is_failing(self.now) {
                let ends = self.now + site.latency;
                let place = self.under_way.partition_point(|(Reverse(other), _)| *other > ends);
                self.under_way.insert(place, (Reverse(ends), lease));
                return;
            }
            let outcome =
                if self.random.below(2) == 0 { Outcome::GatewayFailure } else { Outcome::LocalOriginFailure };
            self.pool.observe(&lease, outcome, 0);
            excluded = Some(lease.endpoint().id());
        }
    }

    fn end_requests(&mut self) {
        while let Some((Reverse(ends), lease)) = self.under_way.pop_if(|(Reverse(ends), _)| *ends <= self.now)
        {
            let latency = self.sites[&lease.endpoint().address()].latency;
            lease.endpoint().observe_latency(latency, ends);
            self.pool.observe(&lease, Outcome::Success, latency);
        }
    }

    /// Judges by the traffic so far, as the service thread does; what it does is checked.
    fn sweep(&mut self) {
        if self.now >= self.next_sweep {
            self.next_sweep = self.now + 100 * MS;
            let before = self.watch.standings(&self.pool);
            self.judge.sweep(&self.pool, self.now);
            self.watch.check_sweep(&self.pool, &before);
        }
    }

    /// The checks that are due, of the endpoints that the current pool has.
    fn check_health(&mut self) {
        let Some(policy) = &self.pool.health_check else { return };
        for member in &self.pool.members {
            let endpoint = &member.endpoint;
            let site = self.sites.get_mut(&endpoint.address()).expect("every endpoint has a site");
            if let Some(health) = site.check(endpoint.health(), self.now, policy, &mut self.random) {
                endpoint.set_health(health);
                self.pool.changed();
            }
        }
    }

    /// Something happens to an endpoint, to its host, or to the configuration.
    fn befall(&mut self) {
        let reload = self.random.below(4) == 0 || self.pool.members.is_empty();
        if reload {
            return self.reload();
        }
        let member = &self.pool.members[self.random.index(self.pool.members.len())];
        let site = self.sites.get_mut(&member.endpoint.address()).expect("every endpoint has a site");
        match self.random.below(4) {
            0 => site.befall(&mut self.random),
            1 => site.repair(),
            2 => member.endpoint.set_admin(AdminState::ALL[self.random.index(3)]),
            _ => {
                let weights = [None, Some(0), Some(1), Some(4)];
                member.endpoint.set_weight_override(weights[self.random.index(weights.len())]);
            }
        }
        self.pool.changed();
    }

    /// A new configuration: an endpoint joins or leaves, or the pool's settings change.
    fn reload(&mut self) {
        let endpoints = &mut self.document.endpoints;
        match self.random.below(5) {
            0 if !endpoints.is_empty() => {
                endpoints.remove(self.random.index(endpoints.len()));
            }
            0 | 1 => {
                let joins = endpoint(self.random.index(12), &mut self.random);
                if endpoints.iter().all(|one| one.address != joins.address) {
                    self.sites.insert(joins.address, Site::new(self.now, &mut self.random));
                    endpoints.insert(self.random.index(endpoints.len() + 1), joins);
                }
            }
            2 => {
                self.document.outlier_detection = outlier_detection(&mut self.random);
                self.document.slow_start_ms = (self.random.below(2) == 0).then_some(5_000);
            }
            3 => self.document.panic_threshold_percent = [0, 0, 50, 100][self.random.index(4)],
            _ => {
                let is_checked = self.document.health_check.is_some();
                self.document.health_check = (!is_checked).then(health_check);
            }
        }
        let built = Pool::build(&self.document, Some(&self.pool), &mut self.ids).expect("a valid document");
        self.ids.retain();
        self.watch.reloaded(&self.pool);
        self.pool = Arc::new(built);
        self.pool.activate();
        // One worker sees the new snapshot at once; for the other, requests of the old one may still be under way.
        let workers = if self.random.below(2) == 0 { 1 } else { 2 };
        for picker in &mut self.pickers[..workers] {
            picker.update(Arc::clone(&self.pool));
        }
    }
}

fn document(balance: Balance, random: &mut Random) -> document::Pool {
    let takes_key = matches!(balance, Balance::RingHash | Balance::Maglev);
    let is_hash = takes_key || balance == Balance::IpHash;
    document::Pool {
        balance,
        hash_key: takes_key.then_some(HashKey { source: HashSource::Uri, name: None }),
        hash_bound_percent: (is_hash && random.below(2) == 0).then_some(125),
        health_check: (random.below(4) > 0).then(health_check),
        outlier_detection: outlier_detection(random),
        slow_start_ms: (random.below(2) == 0).then_some(5_000),
        panic_threshold_percent: [0, 0, 50][random.index(3)],
        ..sample::pool()
    }
}

fn endpoint(last: usize, random: &mut Random) -> document::Endpoint {
    let last = u8::try_from(last).expect("a dozen endpoints");
    document::Endpoint {
        weight: [1, 1, 1, 2, 4][random.index(5)],
        backup: random.below(6) == 0,
        max_connections: [None, None, Some(1), Some(3)][random.index(4)],
        ..sample::endpoint(last)
    }
}

fn outlier_detection(random: &mut Random) -> Option<document::OutlierDetection> {
    (random.below(3) > 0).then(|| document::OutlierDetection {
        interval_ms: 1_000,
        consecutive_5xx: 0,
        consecutive_gateway_failure: [0, 3][random.index(2)],
        consecutive_local_origin_failure: [0, 2][random.index(2)],
        success_rate_stdev_factor_percent: [0, 190][random.index(2)],
        success_rate_minimum_hosts: 2,
        success_rate_request_volume: 5,
        latency_factor_percent: [0, 300][random.index(2)],
        latency_minimum_ms: 20,
        base_ejection_time_ms: 2_000,
        max_ejection_time_ms: 10_000,
        max_ejection_percent: [0, 30, 50, 100][random.index(4)],
        probation_ms: 1_000,
    })
}

fn health_check() -> HealthCheck {
    HealthCheck {
        probe: Probe::Tcp { send: None, expect: None },
        interval_ms: 200,
        unhealthy_interval_ms: 100,
        jitter_percent: 20,
        timeout_ms: 50,
        unhealthy_after: 2,
        healthy_after: 2,
        port: None,
    }
}
