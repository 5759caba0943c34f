//! *Connect*, *forward* and the beginning of *settle*, for a pool that hedges: when the first try takes longer than most,
//! a second one begins at another endpoint, and whichever answers first goes on alone.
//!
//! `evenly_core::hedge` says when, the retry budget whether. The one that loses is dropped where it stands: its connection
//! is closed, its lease given back, and no failure counted. An answer that says that something failed (5xx, or a status that
//! is tried again) does not win while the other one is under way: an endpoint that fails is often the fastest.

mod leg;

use super::bond::Bond;
use super::client::Client;
use super::connect::Lost;
use super::exchange::Exchange;
use super::upload::{put_host, write_host};
use crate::clock::nanos;
use crate::pump::Pump;
use crate::upstream::Upstream;
use crate::worker::alarm::Sleep;
use crate::worker::buffers::{Buffer, Text};
use evenly_core::error::{Failure, Side};
use evenly_core::outlier::Outcome;
use evenly_core::pool::Lease;
use leg::Leg;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Whether a request had a second try beside the first, and which was faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hedged {
    /// It had none.
    No,
    /// The first.
    Lost,
    /// The second.
    Won,
}

impl Hedged {
    /// The access log's word for it.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::No => None,
            Self::Lost => Some("lost"),
            Self::Won => Some("won"),
        }
    }
}

/// What came of it.
pub struct Raced {
    /// The endpoint that counts.
    pub lease: Lease,
    /// Its connection with the first bytes of the response, or what was lost.
    pub outcome: Result<(Upstream, Buffer), Lost>,
}

/// Whether a request may get a second try while the first is under way: never when its client belongs to an endpoint, as
/// another one would not know it.
pub fn applies(exchange: &Exchange, upload: Option<&Pump>) -> bool {
    exchange.pool().hedge.is_some()
        && upload.is_none()
        && exchange.can_repeat
        && !exchange.is_cut
        && !exchange.wants_upgrade
        && exchange.tally.tries.failed().is_none()
        && exchange.retry().may_hedge(exchange.method.is_idempotent())
        && !exchange.bond.as_ref().is_some_and(Bond::is_known)
}

/// The tries of a request.
struct Race {
    first: Leg,
    second: Option<Leg>,
    /// The second one's head, where it is not the first one's.
    head: Option<Text>,
    /// Until the second one; `None` when there will be none.
    sleep: Option<Sleep>,
}

/// Sends a request to the endpoint of `lease`, and if that takes long to another one too, until one of them answers.
pub async fn race(client: &mut Client, exchange: &mut Exchange, lease: Lease) -> Raced {
    put_host(exchange, lease.endpoint().id());
    let first = Leg::begin(client, exchange, lease);
    let sleep = delay(client, exchange).map(|after| client.worker.alarm.sleep(after));
    let mut race = Race { first, second: None, head: None, sleep };
    let ended = poll_fn(|cx| race.poll(cx, client, exchange)).await;
    race.end(client, exchange, ended)
}

/// After how long the second try begins, if that is known.
fn delay(client: &Client, exchange: &Exchange) -> Option<Duration> {
    let (hedge, delays) = (exchange.pool().hedge?, exchange.view.delays(exchange.pool)?);
    let after = delays.borrow_mut().after(&hedge, client.worker.now())?;
    client.worker.stats.borrow_mut().hedge_delay(exchange.pool().id.0, nanos(after));
    Some(after)
}

/// How it ended.
#[derive(Clone, Copy)]
enum Ended {
    /// The first goes on, or nothing came of both.
    WithFirst,
    /// The second goes on.
    WithSecond,
    /// None does, as the client or the request's time has gone.
    For(Failure),
}

impl Race {
    fn poll(&mut self, cx: &mut Context<'_>, client: &mut Client, exchange: &Exchange) -> Poll<Ended> {
        if let Some(ended) = self.poll_both(cx, client, exchange) {
            return Poll::Ready(ended);
        }
        if self.sleep.as_mut().is_some_and(|sleep| Pin::new(sleep).poll(cx).is_ready()) {
            self.sleep = None;
            if self.first.is_running() {
                self.second = self.begin_second(client, exchange);
            }
            if let Some(ended) = self.poll_both(cx, client, exchange) {
                return Poll::Ready(ended);
            }
        }
        if client.poll_gone(cx).is_ready() {
            return Poll::Ready(Ended::For(Failure::ClientGone));
        }
        if client.deadline.is_past(exchange.due) {
            return Poll::Ready(Ended::For(Failure::RequestDeadline));
        }
        let running =
            [Some(&self.first), self.second.as_ref()].into_iter().flatten().filter(|leg| leg.is_running());
        let due = running.map(|leg| leg.due).min().unwrap_or(u64::MAX);
        client.deadline.set_at(due.min(exchange.due).min(client.gone_due()));
        Poll::Pending
    }

    /// Moves both on, and says who goes on, if that is known now.
    fn poll_both(&mut self, cx: &mut Context<'_>, client: &Client, exchange: &Exchange) -> Option<Ended> {
        let is_good = |leg: &Leg| leg.answer().is_some_and(|answer| !says_failure(exchange, answer));
        self.first.poll(cx, client, exchange, &exchange.head);
        if is_good(&self.first) {
            return Some(Ended::WithFirst);
        }
        if let Some(second) = &mut self.second {
            second.poll(cx, client, exchange, self.head.as_ref().unwrap_or(&exchange.head));
            if is_good(second) {
                return Some(Ended::WithSecond);
            }
            if second.is_running() {
                return None;
            }
        }
        if self.first.is_running() {
            return None;
        }
        // What was answered says more than what was not.
        let says_more = self.second.as_ref().is_some_and(|second| second.answer().is_some());
        Some(if says_more && self.first.answer().is_none() { Ended::WithSecond } else { Ended::WithFirst })
    }

    /// The first try takes long: another one, if there is another endpoint with room, and budget.
    fn begin_second(&mut self, client: &Client, exchange: &Exchange) -> Option<Leg> {
        let (first, now) = (self.first.lease.endpoint().id(), client.worker.now());
        let picker = exchange.view.picker(exchange.pool);
        let lease = picker.borrow_mut().pick_another(exchange.key, &[first], now).ok()?;
        let pool = exchange.pool().id.0;
        if !exchange.view.budget(exchange.pool).borrow_mut().withdraw(now) {
            client.worker.stats.borrow_mut().hedge_refused(pool);
            return None;
        }
        client.worker.stats.borrow_mut().hedged(pool);
        if let Some(at) = exchange.host_at.clone() {
            let mut head = client.worker.buffers.text();
            head.extend_from_slice(&exchange.head);
            write_host(&mut head, at, lease.endpoint().address());
            self.head = Some(head);
        }
        Some(Leg::begin(client, exchange, lease))
    }

    /// Writes down what became of both, and lets the one that does not count go.
    fn end(self, client: &Client, exchange: &mut Exchange, ended: Ended) -> Raced {
        let Self { first, second, .. } = self;
        let is_given_up = matches!(ended, Ended::For(_));
        // How long a failure takes says nothing of how long an answer does.
        let is_told =
            first.is_running() || first.answer().is_some_and(|answer| !says_failure(exchange, answer));
        if let Some(delays) = exchange.view.delays(exchange.pool).filter(|_| is_told && !is_given_up) {
            let now = client.worker.now();
            delays.borrow_mut().observe(now.saturating_sub(first.began), now);
        }
        let has_won = second.is_some() && matches!(ended, Ended::WithSecond);
        if second.is_some() {
            exchange.tally.hedged = if has_won { Hedged::Won } else { Hedged::Lost };
        }
        if has_won {
            client.worker.stats.borrow_mut().hedge_won(exchange.pool().id.0);
        }
        let (winner, loser) = match second {
            Some(second) if has_won => (second, Some(first)),
            second => (first, second),
        };
        if let Some(loser) = loser {
            let_go(&loser, client, exchange, is_given_up);
        }
        if has_won {
            exchange.tally.tries.began(winner.began, exchange.tally.connect);
        }
        exchange.tally.connect += winner.connect;
        let endpoint = winner.lease.endpoint();
        exchange.tally.endpoint = Some((endpoint.id(), endpoint.address()));
        let for_ = if let Ended::For(failure) = ended { failure } else { Failure::UpstreamClosed };
        let (lease, outcome) = winner.outcome(for_);
        Raced { lease, outcome: if is_given_up { Err(Lost::for_good(for_)) } else { outcome } }
    }
}

/// The other one counts. `is_given_up`: not even that, as nobody waits for an answer any more.
fn let_go(leg: &Leg, client: &Client, exchange: &mut Exchange, is_given_up: bool) {
    let (endpoint, took) = (leg.lease.endpoint(), client.worker.now().saturating_sub(leg.began));
    if let Some(answer) = leg.answer() {
        let status = status(answer).unwrap_or_default();
        exchange.pool().observe(&leg.lease, Outcome::of_status(status), took);
        client.worker.stats.borrow_mut().endpoint_answered(endpoint.id().0, status);
    } else if let Some(lost) = leg.lost() {
        exchange.observe_failure(&client.worker, &leg.lease, lost.failure, lost.was_reused);
        if lost.failure.side() == Side::Upstream {
            client.worker.stats.borrow_mut().endpoint_failure(endpoint.id().0, lost.failure);
        }
    } else if !is_given_up {
        exchange.pool().observe_cancelled(endpoint, took, client.worker.now());
    }
    exchange.tally.tries.beside(endpoint.id());
}

/// Whether an answer is one that another endpoint may better: it says that something failed.
fn says_failure(exchange: &Exchange, answer: &[u8]) -> bool {
    status(answer).is_some_and(|status| status >= 500 || exchange.retry().retries_status(status))
}

/// The status at the beginning of an answer, if that much of it is there.
fn status(answer: &[u8]) -> Option<u16> {
    let digits = answer.get(9..12)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
