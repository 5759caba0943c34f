//! A pool, two workers and clients that send requests at a steady rate; each try has the fate that its endpoint has then.

use crate::sample;
use evenly_core::document::{self, Balance, StatusRange};
use evenly_core::ids::Ids;
use evenly_core::pool::{EndpointId, Lease, Nanos, NoEndpoint, Picker, Pool};
use evenly_core::random::Random;
use evenly_core::retry::{Budget, Cause, Price, Try};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

pub const SECOND: Nanos = 1_000_000_000;
const MS: Nanos = 1_000_000;

/// Mean time between two requests: 500 a second.
const GAP: Nanos = 2 * MS;

/// What an endpoint does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Works,
    Refuses,
    Resets,
    Unavailable,
    Silent,
    /// Every second request is answered 503.
    Flaky,
}

const FATES: [Fate; 6] =
    [Fate::Works, Fate::Refuses, Fate::Resets, Fate::Unavailable, Fate::Silent, Fate::Flaky];

pub struct Settings {
    pub attempts: u32,
    pub percent: u32,
    pub minimum: u32,
    pub endpoints: u8,
    pub balance: Balance,
}

impl Settings {
    pub fn with_attempts(attempts: u32) -> Self {
        Self { attempts, percent: 20, minimum: 10, endpoints: 5, balance: Balance::RoundRobin }
    }

    pub fn by_chance(seed: u64) -> Self {
        let mut random = Random::new(!seed);
        let balances = [Balance::RoundRobin, Balance::LeastRequests, Balance::IpHash, Balance::TwoChoices];
        Self {
            attempts: 1 + u32::try_from(random.below(6)).unwrap(),
            percent: [0, 5, 20, 100][random.index(4)],
            minimum: [0, 1, 10, 100][random.index(4)],
            endpoints: 1 + u8::try_from(random.below(6)).unwrap(),
            balance: balances[random.index(4)],
        }
    }
}

/// What happened since the beginning.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted {
    pub requests: u64,
    /// Tries that an endpoint got something of.
    pub sent: u64,
    /// Requests whose client was told of a failure.
    pub failed: u64,
}

struct Request {
    worker: usize,
    key: u64,
    is_idempotent: bool,
    tried: Vec<EndpointId>,
    sends: u32,
}

pub struct World {
    random: Random,
    now: Nanos,
    pool: Arc<Pool>,
    pickers: [Picker; 2],
    budgets: [Budget; 2],
    settings: Settings,
    fates: Vec<Fate>,
    asked: Vec<u64>,
    /// Tries that are about to begin or to end, by when and in order.
    events: BinaryHeap<Reverse<(Nanos, u64)>>,
    waiting: BTreeMap<u64, (Request, Option<Lease>)>,
    next: u64,
    next_request: Nanos,
    retries: Vec<Nanos>,
    arrivals: Vec<Nanos>,
    pub counted: Counted,
}

impl World {
    pub fn new(seed: u64, settings: Settings) -> Self {
        let mut random = Random::new(seed);
        let document = document(&settings);
        let mut ids = Ids::default();
        let pool = Arc::new(Pool::build(&document, None, &mut ids).expect("a valid document"));
        let picker = |random: &mut Random| Picker::new(Arc::clone(&pool), Random::new(random.next()));
        let budget = || Budget::new(&document.retry_budget, 2, 0);
        Self {
            pickers: [picker(&mut random), picker(&mut random)],
            budgets: [budget(), budget()],
            fates: vec![Fate::Works; settings.endpoints.into()],
            asked: vec![0; settings.endpoints.into()],
            random,
            now: 0,
            pool,
            settings,
            events: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            next: 0,
            next_request: 0,
            retries: Vec::new(),
            arrivals: Vec::new(),
            counted: Counted::default(),
        }
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Nanos) {
        let until = self.now + time;
        loop {
            let event = self.events.peek().map(|Reverse((at, _))| *at).unwrap_or(Nanos::MAX);
            if event.min(self.next_request) > until {
                break;
            }
            if event <= self.next_request {
                let Reverse((at, id)) = self.events.pop().expect("it was looked at");
                self.now = at;
                self.go_on(id);
            } else {
                self.now = self.next_request;
                self.next_request += 1 + self.random.below(2 * GAP);
                self.arrive();
            }
        }
        self.now = until;
    }

    /// One endpoint, or all of them, change.
    pub fn befall(&mut self) {
        let fate = FATES[self.random.index(FATES.len())];
        if self.random.below(4) == 0 {
            self.all_become(fate);
        } else {
            let index = self.random.index(self.fates.len());
            self.fates[index] = fate;
        }
    }

    pub fn all_become(&mut self, fate: Fate) {
        self.fates.fill(fate);
    }

    /// Everything under way ends, and the budget was never exceeded: over the whole, and in every second.
    pub fn end(mut self) {
        self.next_request = Nanos::MAX;
        self.run(600 * SECOND);
        assert!(self.waiting.is_empty());
        assert!(self.pool.members.iter().all(|member| member.endpoint.in_flight() == 0));
        for start in (0..self.retries.len()).step_by(16) {
            let from = self.retries[start];
            let within = |span: Nanos| {
                let retries = self.retries[start..].iter().take_while(|at| **at <= from + span).count();
                let live = self.arrivals.iter().filter(|at| **at + 10 * SECOND > from && **at <= from + span);
                (retries as u64, live.count() as u64)
            };
            for span in [SECOND / 10, SECOND, 10 * SECOND] {
                let (retries, live) = within(span);
                let minimum = (span + SECOND) * u64::from(self.settings.minimum).div_ceil(2) * 2 / SECOND;
                let most = live * u64::from(self.settings.percent) / 100 + minimum + 4;
                assert!(retries <= most, "{retries} retries within {span} ns, {most} are affordable");
            }
        }
    }

    fn arrive(&mut self) {
        let worker = self.random.index(2);
        self.counted.requests += 1;
        self.arrivals.push(self.now);
        self.budgets[worker].deposit(self.now);
        let is_idempotent = self.random.below(4) > 0;
        let request = Request { worker, key: self.random.next(), is_idempotent, tried: Vec::new(), sends: 0 };
        self.begin(request);
    }

    /// Picks and sends; the outcome comes later.
    fn begin(&mut self, mut request: Request) {
        let picker = &mut self.pickers[request.worker];
        let picked = match picker.pick_another(Some(request.key), &request.tried, self.now) {
            Err(NoEndpoint::OnlyExcluded) => {
                let all = self.pool.members.iter().all(|one| request.tried.contains(&one.endpoint.id()));
                assert!(all, "there is an endpoint that was not tried");
                picker.pick(Some(request.key), None, self.now)
            }
            picked => {
                let id = picked.as_ref().map(|lease| lease.endpoint().id());
                assert!(id.is_ok_and(|id| !request.tried.contains(&id)), "it was tried before");
                picked
            }
        };
        let lease = picked.expect("all endpoints are healthy");
        let index = lease.endpoint().id().0 as usize;
        request.tried.push(lease.endpoint().id());
        let fate = self.fates[index];
        if fate != Fate::Refuses {
            self.counted.sent += 1;
            request.sends += 1;
            assert!(request.sends == 1 || request.is_idempotent, "a POST was sent twice");
        }
        assert!(request.tried.len() <= self.settings.attempts as usize);
        let takes = if fate == Fate::Silent { 200 * MS } else { MS + self.random.below(10 * MS) };
        self.schedule(takes, request, Some(lease));
    }

    fn schedule(&mut self, after: Nanos, request: Request, lease: Option<Lease>) {
        self.next += 1;
        self.events.push(Reverse((self.now + after, self.next)));
        self.waiting.insert(self.next, (request, lease));
    }

    fn go_on(&mut self, id: u64) {
        let (request, lease) = self.waiting.remove(&id).expect("it is waiting");
        let Some(lease) = lease else { return self.begin(request) };
        let index = lease.endpoint().id().0 as usize;
        self.asked[index] += 1;
        drop(lease);
        let cause = match self.fates[index] {
            Fate::Works => return,
            Fate::Flaky if self.asked[index].is_multiple_of(2) => return,
            Fate::Flaky | Fate::Unavailable => Cause::Status(503),
            Fate::Refuses => Cause::ConnectFailure,
            Fate::Resets => Cause::Reset,
            Fate::Silent => Cause::Timeout,
        };
        // A fate that changed meanwhile: what was sent was sent.
        let cause = if cause == Cause::ConnectFailure && request.sends > 0 { Cause::Reset } else { cause };
        self.fail(request, cause);
    }

    fn fail(&mut self, request: Request, cause: Cause) {
        let picker = &mut self.pickers[request.worker];
        let failed = Try {
            number: u32::try_from(request.tried.len()).expect("few tries"),
            cause,
            is_sent: request.sends > 0,
            is_idempotent: request.is_idempotent,
            is_repeatable: true,
            is_elsewhere: picker.has_another(&request.tried, self.now),
            was_reused: false,
            retry_after: None,
            pushback: None,
        };
        let policy = &self.pool.retry;
        let Ok(price) = policy.judge(&failed) else {
            self.counted.failed += 1;
            return;
        };
        if price == Price::Retry {
            if !self.budgets[request.worker].withdraw(self.now) {
                self.counted.failed += 1;
                return;
            }
            self.retries.push(self.now);
        }
        let pause = policy.pause(&failed, &mut self.random);
        self.schedule(Nanos::try_from(pause.as_nanos()).expect("a short pause"), request, None);
    }
}

fn document(settings: &Settings) -> document::Pool {
    document::Pool {
        balance: settings.balance,
        endpoints: (0..settings.endpoints).map(sample::endpoint).collect(),
        retry: document::Retry {
            attempts: settings.attempts,
            on_connect_failure: true,
            on_reset: true,
            on_timeout: true,
            on_statuses: vec![StatusRange { first: 500, last: 599 }],
            backoff_ms: 25,
            max_backoff_ms: 250,
            ..document::Retry::never()
        },
        retry_budget: document::RetryBudget { percent: settings.percent, min_per_second: settings.minimum },
        ..sample::pool()
    }
}
