//! *Settle*, when a try has failed: whether another one follows, and what it starts from.
//!
//! `evenly_core::retry` decides; here the facts are gathered for it and its decision is carried out.

use super::bond::{Bond, pick_for};
use super::client::Client;
use super::connect::Lost;
use super::exchange::Exchange;
use super::fields::HeadFields;
use crate::pump::Pump;
use evenly_core::affinity::Ask;
use evenly_core::error::Failure;
use evenly_core::grpc;
use evenly_core::pool::{EndpointId, Lease, Nanos};
use evenly_core::retry::{Cause, Price, Pushback, Try, retry_after};
use evenly_core::route::Fields;
use evenly_http1::{BodyLength, ResponseHead};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

/// The tries of a request that failed so far; nothing for most requests, which is why it is boxed.
#[derive(Default)]
pub struct Tries(Option<Box<Failed>>);

/// What is known of them.
pub struct Failed {
    /// The endpoints, in order; one may be there twice if there was no other.
    pub endpoints: Vec<EndpointId>,
    /// What the client is told if no endpoint is left.
    pub failure: Failure,
    /// Whether idle connections are to be mistrusted: the last one ended under the request.
    pub is_stale: bool,
    /// How many tries there were when only an old connection to the endpoint that the client belongs to was lost. The next
    /// one goes there again, and does not count: the endpoint has seen nothing of the request yet. Once for a request.
    pub home: Option<usize>,
    /// When the next try began, and how long connecting had taken until then.
    pub began: Option<(Nanos, Nanos)>,
    /// How long to wait before it.
    pause: Duration,
    /// The request's body, if its endpoint stopped taking it before its end.
    spare: Option<Box<Pump>>,
}

/// What the endpoint of a try that failed asks for.
#[derive(Default)]
struct Wish {
    retry_after: Option<Duration>,
    pushback: Option<Pushback>,
}

impl Tries {
    /// How many there were.
    pub fn count(&self) -> u32 {
        self.0.as_ref().map_or(0, |failed| u32::try_from(failed.endpoints.len()).unwrap_or(u32::MAX))
    }

    /// What is known of them, if there were any.
    pub fn failed(&self) -> Option<&Failed> {
        self.0.as_deref().filter(|failed| !failed.endpoints.is_empty())
    }

    /// Keeps a body whose endpoint stopped taking it, for another one.
    pub fn put_by(&mut self, pump: Box<Pump>) {
        self.entry().spare = Some(pump);
    }

    /// Another try was under way beside the one that counts, at this endpoint: the next one goes elsewhere.
    pub fn beside(&mut self, endpoint: EndpointId) {
        self.entry().endpoints.push(endpoint);
    }

    /// The try that counts began then, when connecting had taken so long.
    pub fn began(&mut self, at: Nanos, connect: Nanos) {
        self.entry().began = Some((at, connect));
    }

    fn entry(&mut self) -> &mut Failed {
        self.0.get_or_insert_with(|| {
            Box::new(Failed {
                endpoints: Vec::new(),
                failure: Failure::UpstreamClosed,
                is_stale: false,
                home: None,
                began: None,
                pause: Duration::ZERO,
                spare: None,
            })
        })
    }

    fn spare(&self) -> Option<&Pump> {
        self.0.as_ref().and_then(|failed| failed.spare.as_deref())
    }
}

/// *Pick*, after a failure: an endpoint that was not tried yet; if there is none, any again. A client that belongs to an
/// endpoint stays with it when only an old connection was lost, which says nothing of the endpoint.
pub fn pick_another(client: &Client, exchange: &mut Exchange) -> Result<Lease, Failure> {
    let now = client.worker.now();
    let Some(failed) = exchange.tally.tries.failed() else { return Err(Failure::UpstreamClosed) };
    let is_home = failed.home == Some(failed.endpoints.len());
    let tried = &failed.endpoints[..failed.endpoints.len() - usize::from(is_home)];
    let ask = Ask { key: exchange.key, tried, now };
    pick_for(&exchange.view, exchange.pool, &mut exchange.bond, ask).map_err(|_| failed.failure)
}

/// A response whose status is to be tried again is dropped here, before anything of it reaches the client. Returns
/// whether all of it is among the `buffered` bytes, so that its connection can be used again; `None` if it is the answer.
pub fn by_status(
    client: &Client,
    exchange: &mut Exchange,
    upload: Option<&Pump>,
    head: &ResponseHead<'_, '_>,
    buffered: usize,
) -> Option<bool> {
    if !exchange.retry().retries_status(head.status) {
        return None;
    }
    by(client, exchange, upload, (head, buffered), Cause::Status(head.status))
}

/// The same for a call of gRPC whose status is in the head, which then is all of the response.
pub fn by_call(
    client: &Client,
    exchange: &mut Exchange,
    upload: Option<&Pump>,
    head: &ResponseHead<'_, '_>,
    buffered: usize,
) -> Option<bool> {
    let status = HeadFields(head.fields).first(grpc::STATUS).and_then(grpc::status)?;
    if !exchange.retry().retries_call(status) {
        return None;
    }
    let is_whole = by(client, exchange, upload, (head, buffered), Cause::GrpcStatus(status))?;
    if let Some(call) = &mut exchange.tally.call {
        call.status = Some(status);
    }
    Some(is_whole)
}

fn by(
    client: &Client,
    exchange: &mut Exchange,
    upload: Option<&Pump>,
    (head, buffered): (&ResponseHead<'_, '_>, usize),
    cause: Cause,
) -> Option<bool> {
    let fields = HeadFields(head.fields);
    let retry_after = fields.first("retry-after").and_then(|value| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        retry_after(value, now.as_secs())
    });
    let pushback = exchange.tally.call.as_ref().and_then(|_| Pushback::of(&fields));
    let lost = Lost {
        failure: Failure::UpstreamStatus,
        cause: Some(cause),
        is_sent: true,
        was_reused: false,
        is_settled: true,
    };
    if !decide(client, exchange, upload, &lost, Wish { retry_after, pushback }) {
        return None;
    }
    let body = match head.body {
        BodyLength::None => Some(0),
        BodyLength::Length(length) => usize::try_from(length).ok(),
        BodyLength::Chunked | BodyLength::UntilClose => None,
    };
    let is_whole = body.and_then(|body| body.checked_add(head.length)) == Some(buffered);
    Some(is_whole && head.keep_alive && upload.is_none())
}

/// After a try that failed: decides, waits, and puts everything in the order for another one.
///
/// # Errors
/// What the client is to be told, because there is none.
pub async fn again(
    client: &mut Client,
    exchange: &mut Exchange,
    upload: &mut Option<Box<Pump>>,
    lost: Lost,
) -> Result<(), Failure> {
    if !lost.is_settled && !decide(client, exchange, upload.as_deref(), &lost, Wish::default()) {
        return Err(lost.failure);
    }
    let failed = exchange.tally.tries.entry();
    let pause = failed.pause;
    if let Some(pump) = failed.spare.take() {
        exchange.tally.bytes_in -= pump.received;
        *upload = Some(pump);
    }
    if let Some(pump) = upload
        && let Some(head) = pump.rewind()
    {
        exchange.keep(head, pump);
    }
    exchange.is_cut = false;
    exchange.response_due = u64::MAX;
    exchange.tally.status = 0;
    if let Some(call) = &mut exchange.tally.call {
        call.status = None;
    }
    if !pause.is_zero() {
        wait(client, upload.is_none(), pause).await?;
    }
    let connect = exchange.tally.connect;
    exchange.tally.tries.entry().began = Some((client.worker.now(), connect));
    Ok(())
}

/// Whether another try follows; if so it is paid for and written down.
fn decide(
    client: &Client,
    exchange: &mut Exchange,
    upload: Option<&Pump>,
    lost: &Lost,
    Wish { retry_after, pushback }: Wish,
) -> bool {
    let (Some(cause), Some((endpoint, _))) = (lost.cause, exchange.tally.endpoint) else { return false };
    let now = client.worker.now();
    let mut tried = exchange.tally.tries.failed().map(|failed| failed.endpoints.clone()).unwrap_or_default();
    tried.push(endpoint);
    let home = exchange.tally.tries.failed().and_then(|failed| failed.home);
    let mut picker = exchange.view.picker(exchange.pool).borrow_mut();
    let is_elsewhere = picker.has_another(&tried, now);
    if matches!(cause, Cause::Status(_) | Cause::GrpcStatus(_))
        && is_elsewhere
        && !picker.has_room_elsewhere(&tried)
    {
        // A bad answer is better than none.
        return false;
    }
    drop(picker);
    let failed = Try {
        number: exchange.tally.tries.count() + 1 - u32::from(home.is_some()),
        cause,
        is_sent: lost.is_sent,
        is_idempotent: exchange.method.is_idempotent(),
        is_repeatable: is_repeatable(exchange, upload),
        is_elsewhere,
        was_reused: lost.was_reused,
        retry_after,
        pushback,
    };
    let policy = exchange.retry();
    let Ok(price) = policy.judge(&failed) else { return false };
    let pause = policy.pause(&failed, &mut client.worker.random.borrow_mut());
    let latest = match exchange.due {
        u64::MAX => client.deadline.at(exchange.longest_pause()),
        due => due,
    };
    if client.deadline.at(pause) > latest {
        return false;
    }
    let pool = exchange.pool().id.0;
    let mut stats = client.worker.stats.borrow_mut();
    if price == Price::Retry && !exchange.view.budget(exchange.pool).borrow_mut().withdraw(now) {
        stats.retry_refused(pool);
        return false;
    }
    stats.retried(pool, cause);
    drop(stats);
    let is_bound = exchange.bond.as_ref().is_some_and(Bond::is_known);
    let is_home = is_bound && lost.was_reused && cause == Cause::Reset;
    let entry = exchange.tally.tries.entry();
    entry.home = home.or(is_home.then_some(tried.len()));
    entry.endpoints = tried;
    entry.failure = lost.failure;
    entry.is_stale = cause == Cause::Reset;
    entry.pause = pause;
    true
}

/// Whether all that was sent is still at hand, and nothing of a response went to the client.
fn is_repeatable(exchange: &Exchange, upload: Option<&Pump>) -> bool {
    exchange.can_repeat
        && match upload.or(exchange.tally.tries.spare()) {
            Some(pump) => pump.is_repeatable(),
            None => !exchange.is_cut,
        }
}

/// Waits, unless the client goes. While its body is still to come, what it sends is that.
async fn wait(client: &mut Client, is_read: bool, pause: Duration) -> Result<(), Failure> {
    let mut sleep = client.worker.alarm.sleep(pause);
    poll_fn(|cx| {
        if Pin::new(&mut sleep).poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if client.has_gone(is_read, cx) {
            return Poll::Ready(Err(Failure::ClientGone));
        }
        client.deadline.set_at(client.gone_due());
        Poll::Pending
    })
    .await
}
