//! Active health checks: when which endpoint is checked, and what becomes of the outcome.
//!
//! One heap of due times and one task for all endpoints; only checks under way have a task, a timer and a socket.
//! Between two checks an endpoint is a few hundred bytes.

mod target;

use super::check::{Order, Room, check};
use super::checks::Checks;
use super::events::{Event, Events, Level, Subject};
use super::probe::{self, CheckFailure};
use crate::tls::{Targets, target_of};
use crate::worker::buffers::Buffers;
use evenly_core::health::Transition;
use evenly_core::pool::{Endpoint, EndpointId, EndpointState, Health, Pool};
use evenly_core::random::Random;
use evenly_core::snapshot::Snapshot;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use target::{Due, PoolCheck, Target};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::timeout_at;

/// New endpoints are checked at once, but with so much time for each: a few are known before the first request, and ten
/// thousand take a second instead of a whole core and the kernel's queues.
const FIRST_GAP: Duration = Duration::from_micros(100);
/// What is due within this time is started together, so that thousands of checks a second do not take thousands of
/// wake-ups. Far below any sensible interval.
const TOGETHER: Duration = Duration::from_millis(5);
/// Checks under way at once. Only endpoints that do not answer at all bring so many together; the rest then wait their
/// turn. Each holds a descriptor, so the limit is lower where descriptors are few.
const MOST_AT_ONCE: u64 = 4096;

/// How old a connection may get, less a random part, so that those made together do not end together. On an old
/// connection an endpoint still answers that accepts no new ones any more: that is found out by the first check after
/// this time.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The checks of all pools.
pub(super) struct Prober {
    targets: RefCell<FxHashMap<EndpointId, Rc<Target>>>,
    due: RefCell<BinaryHeap<Reverse<Due>>>,
    /// When [`Prober::run`] wakes up by itself, and how it is woken before.
    wakes_at: Cell<Instant>,
    wake: Notify,
    under_way: Cell<u64>,
    most_at_once: u64,
    random: RefCell<Random>,
    /// Where answers are read to.
    buffers: Rc<Buffers>,
    /// For connections between two checks.
    room: Rc<Room>,
    /// The node lacks descriptors, memory or ports for checks, and this was told.
    short: Cell<bool>,
    checks: Arc<Checks>,
    events: Arc<Events>,
}

impl Prober {
    /// Nothing to check yet.
    pub fn new(checks: Arc<Checks>, events: Arc<Events>) -> Self {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), "health checks");
        Self {
            targets: RefCell::default(),
            due: RefCell::default(),
            wakes_at: Cell::new(Instant::now()),
            wake: Notify::new(),
            under_way: Cell::new(0),
            // Connections need most of the descriptors.
            most_at_once: descriptors.map_or(MOST_AT_ONCE, |most| MOST_AT_ONCE.min(most / 8).max(1)),
            random: RefCell::new(Random::new(seed)),
            buffers: Rc::default(),
            room: Room::new(descriptors.map_or(u64::MAX, |most| most / 4)),
            short: Cell::new(false),
            checks,
            events,
        }
    }

    /// Checks what `snapshot` has from now on. What it has in common with the one before goes on as it is; what it has
    /// no more is not checked any more, not even to the end of a check under way.
    pub fn apply(&self, snapshot: &Snapshot, targets: &Targets) {
        let mut before = std::mem::take(&mut *self.targets.borrow_mut());
        let mut after = FxHashMap::default();
        let mut new = Vec::new();
        for pool in &snapshot.pools {
            let Some(policy) = &pool.health_check else {
                self.settle(pool);
                continue;
            };
            let is_secure = pool.members.iter().any(|member| target_of(targets, &member.endpoint).is_some());
            let check = Rc::new(PoolCheck {
                is_secure,
                policy: policy.clone(),
                probe: probe::new(&policy.probe, pool.http2.as_ref(), is_secure),
            });
            for member in &pool.members {
                let id = member.endpoint.id();
                let kept = before.get(&id).is_some_and(|target| {
                    target.check.policy == *policy
                        && target.pool.borrow().proxy_protocol == pool.proxy_protocol
                        && target.pool.borrow().http2.is_some() == pool.http2.is_some()
                        && target.pool.borrow().negotiates() == pool.negotiates()
                        && target.check.is_secure == is_secure
                        && Arc::ptr_eq(&target.endpoint, &member.endpoint)
                });
                let target = match before.remove(&id) {
                    Some(target) if kept => {
                        target.pool.replace(Arc::clone(pool));
                        target
                    }
                    changed => {
                        changed.iter().for_each(|target| target.remove());
                        let target = Target::new(pool, &member.endpoint, &check);
                        new.push(Rc::clone(&target));
                        target
                    }
                };
                target.speak(target_of(targets, &member.endpoint));
                after.insert(id, target);
            }
        }
        before.values().for_each(|target| target.remove());
        self.due.borrow_mut().retain(|Reverse(due)| !due.target.is_removed.get());
        self.targets.replace(after);
        self.begin(&new);
    }

    /// Checks nothing any more; what was found stays.
    pub fn rest(&self) {
        self.targets.take().values().for_each(|target| target.remove());
        self.due.borrow_mut().clear();
    }

    /// Without checks every endpoint is healthy, also one that an earlier configuration's checks found otherwise. Done
    /// here, because on this thread none of those checks can have the last word.
    fn settle(&self, pool: &Pool) {
        let states: Vec<EndpointState> = pool.members.iter().map(|member| member.endpoint.state()).collect();
        pool.activate();
        for (member, before) in pool.members.iter().zip(states) {
            if member.endpoint.state() != before {
                self.checks.health_changed(member.endpoint.id(), None, true);
                self.tell_change(pool, &member.endpoint, before, "not checked any more".to_owned());
            }
        }
    }

    /// Schedules first checks, in random order.
    fn begin(&self, targets: &[Rc<Target>]) {
        let all_within = FIRST_GAP * u32::try_from(targets.len()).unwrap_or(u32::MAX);
        for target in targets {
            let interval = Duration::from_millis(target.check.policy.interval_ms);
            self.schedule(target, self.share_of(all_within.min(interval)));
        }
    }

    /// A random part of `whole`.
    fn share_of(&self, whole: Duration) -> Duration {
        let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.random.borrow_mut().below(nanos))
    }

    fn schedule(&self, target: &Rc<Target>, after: Duration) {
        let at = Instant::now() + after;
        self.due.borrow_mut().push(Reverse(Due { at, target: Rc::clone(target) }));
        if at < self.wakes_at.get() {
            self.wake.notify_one();
        }
    }

    /// Starts what is due, for ever.
    pub async fn run(self: Rc<Self>) {
        loop {
            let next = self.start_due(Instant::now());
            self.wakes_at.set(next);
            // Either way the next round looks at the heap.
            let _ = timeout_at(next.into(), self.wake.notified()).await;
        }
    }

    /// Starts what is due at `now`; says when to look again.
    fn start_due(self: &Rc<Self>, now: Instant) -> Instant {
        // A day is "when woken": a check that ends, or a snapshot.
        let never = now + Duration::from_secs(86_400);
        while self.under_way.get() < self.most_at_once {
            let mut due = self.due.borrow_mut();
            match due.peek() {
                None => return never,
                Some(Reverse(next)) if next.at > now + TOGETHER => return next.at,
                Some(_) => {}
            }
            let next = due.pop();
            drop(due);
            if let Some(Reverse(Due { target, .. })) = next {
                let task = spawn_local(check_once(UnderWay::new(self), Rc::clone(&target)));
                target.under_way.replace(Some(task));
            }
        }
        never
    }

    fn conclude(&self, target: &Rc<Target>, outcome: Result<(), CheckFailure>, took: Duration) {
        let policy = &target.check.policy;
        let mut tracker = target.tracker.borrow_mut();
        match outcome {
            Err(shortage) if shortage.is_local() => self.tell_shortage(shortage),
            _ => {
                self.short.set(false);
                self.checks.ended(target.endpoint.id(), outcome, took);
                let reason = outcome.err().map(|failure| failure.to_string());
                if let Some(transition) = tracker.observe(reason.as_deref().map_or(Ok(()), Err), policy) {
                    self.change(target, transition, outcome.err());
                }
            }
        }
        let mut delay = tracker.next_delay(policy, &mut self.random.borrow_mut());
        if outcome.is_ok() && target.is_new.take() {
            // The first checks came close together; the second ones spread all later ones over the interval.
            delay = self.share_of(delay);
        }
        self.schedule(target, delay);
    }

    fn change(&self, target: &Target, transition: Transition, reason: Option<CheckFailure>) {
        let (pool, endpoint) = (target.pool.borrow(), &target.endpoint);
        let before = endpoint.state();
        if transition.to == Health::Healthy {
            pool.prepare(endpoint);
        }
        endpoint.set_health(transition.to);
        pool.changed();
        let after = endpoint.state();
        self.checks.health_changed(endpoint.id(), reason, before != after);
        // What the operator has set covers the health, until it is taken back.
        if before != after {
            self.tell_change(&pool, endpoint, before, transition.reason);
        }
    }

    fn tell_change(&self, pool: &Pool, endpoint: &Endpoint, before: EndpointState, reason: String) {
        let after = endpoint.state();
        let level = if after == EndpointState::Unhealthy { Level::Warning } else { Level::Info };
        let subject = Subject::Endpoint {
            pool: pool.name.to_string(),
            endpoint: endpoint.address().to_string(),
            from: before.name(),
            to: after.name(),
            reason,
        };
        self.events.push(Event::new(level, subject));
    }

    /// A check that this node could not make says nothing about the endpoint, whose health stays as it is.
    fn tell_shortage(&self, shortage: CheckFailure) {
        if !self.short.replace(true) {
            let message = format!("health checks cannot be made, endpoints keep their state: {shortage}");
            self.events.push(Event::message(Level::Error, message));
        }
    }
}

async fn check_once(under_way: UnderWay, target: Rc<Target>) {
    let prober = Rc::clone(&under_way.0);
    let began = Instant::now();
    let PoolCheck { policy, probe, .. } = &*target.check;
    let within = Duration::from_millis(policy.timeout_ms);
    let tls = target.tls.borrow().clone();
    let order = Order {
        address: target.address,
        endpoint: target.endpoint.address(),
        introduction: &target.introduction,
        tls: tls.as_ref(),
        request: &target.request,
        probe: &**probe,
        within,
        buffers: &prober.buffers,
        age: MAX_AGE - prober.share_of(MAX_AGE / 4),
    };
    let kept = target.kept.take().filter(|_| target.endpoint.health() == Health::Healthy);
    let (outcome, connection) = check(&order, kept.and_then(|kept| kept.usable(began))).await;
    target.kept.replace(connection.and_then(|connection| prober.room.keep(connection)));
    target.under_way.take();
    drop(under_way);
    prober.conclude(&target, outcome, began.elapsed());
}

/// A check that counts as under way until this is dropped, at its end or when it is cut short.
struct UnderWay(Rc<Prober>);

impl UnderWay {
    fn new(prober: &Rc<Prober>) -> Self {
        prober.under_way.set(prober.under_way.get() + 1);
        Self(Rc::clone(prober))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let before = self.0.under_way.get();
        self.0.under_way.set(before - 1);
        if before == self.0.most_at_once {
            self.0.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
