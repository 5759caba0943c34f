//! *Connect*: an idle connection to the endpoint that was picked, or a new one.

use super::client::Client;
use super::exchange::Exchange;
use super::h2::Loss;
use crate::arrival::{Proxied, introduction};
use crate::stream::Stream;
use crate::tls::Target;
use crate::upstream::{Owner, Upstream, acquire};
use crate::worker::Worker;
use crate::worker::view::View;
use evenly_core::error::Failure;
use evenly_core::pool::{Endpoint, Pool};
use evenly_core::proxy_protocol::Version;
use evenly_core::retry::Cause;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// A connection that could not be had, or that broke before it brought a response.
#[derive(Debug, Clone, Copy)]
pub struct Lost {
    /// What the client is told if that was the last try.
    pub failure: Failure,
    /// What went wrong; `None` if nothing can be tried after it.
    pub cause: Option<Cause>,
    /// Whether the endpoint may have got all of the request.
    pub is_sent: bool,
    /// Whether the connection had carried requests before: its endpoint may only have closed it. Or whether it was to be
    /// another's as well, who has told that it could not be made.
    pub was_reused: bool,
    /// Whether the next try is decided on already.
    pub is_settled: bool,
}

impl Lost {
    /// Nothing to be sent again.
    pub fn for_good(failure: Failure) -> Self {
        Self { failure, cause: None, is_sent: false, was_reused: false, is_settled: false }
    }

    /// Nothing came of it, for this cause.
    pub fn to(cause: Cause, failure: Failure) -> Self {
        Self { cause: Some(cause), ..Self::for_good(failure) }
    }
}

/// What a connection has to begin with; nothing for most pools.
pub struct Terms {
    /// Whose it is, if the endpoint is to know.
    owner: Option<Owner>,
    /// The version of the PROXY protocol header that names the owner, if one does.
    version: Option<Version>,
    /// The address that it comes from, if it is not the node's own.
    source: Option<IpAddr>,
    /// How TLS is spoken.
    target: Option<Arc<Target>>,
}

impl Terms {
    /// Those of an endpoint of `pool`.
    pub fn of(client: &Client, view: &View, pool: &Pool, endpoint: &Endpoint) -> Self {
        let (version, source) = (pool.proxy_protocol, pool.source_for(client.peer.ip()));
        let owner = match version {
            Some(_) => Some(Owner::Connection(Box::new(client.addresses()))),
            None => source.map(|ip| Owner::Client(Box::new(ip))),
        };
        Self { owner, version, source, target: view.target(endpoint).map(Arc::clone) }
    }
}

/// An idle connection to `endpoint`. Connections of which the endpoint knows whose they are serve their owner only.
pub fn idle(client: &Client, endpoint: &Endpoint, terms: &Terms) -> Option<Upstream> {
    let upstream = client.worker.idle.take(endpoint, terms.owner.as_ref(), terms.target.as_ref())?;
    client.worker.stats.borrow_mut().upstream_reused(endpoint.id().0);
    Some(upstream)
}

/// A new connection to `endpoint` on these terms, or a place on one that is shared. The caller holds the deadline.
pub async fn reach(
    worker: &Rc<Worker>,
    (pool, endpoint): (&Arc<Pool>, &Endpoint),
    terms: Terms,
    proxied: Option<&Proxied>,
) -> Result<Upstream, Lost> {
    let Terms { owner, version, source, target } = terms;
    let header = match (version, &owner) {
        (Some(version), Some(Owner::Connection(addresses))) => introduction(version, **addresses, proxied),
        _ => Vec::new(),
    };
    let acquired = acquire(worker, (pool, endpoint), (header, source), target).await;
    let mut upstream = acquired.map_err(unreached)?;
    upstream.owner = owner;
    let mut stats = worker.stats.borrow_mut();
    match upstream.reused {
        true => stats.upstream_reused(endpoint.id().0),
        // Of a shared connection its task tells.
        false if upstream.stream.frames_messages() => {}
        false => stats.upstream_opened(endpoint.id().0),
    }
    drop(stats);
    Ok(upstream)
}

/// Nothing was sent. `is_first`: nobody else has told so of the same connection.
pub fn unreached((failure, is_first): (Failure, bool)) -> Lost {
    let cause = match failure {
        Failure::ConnectFailed => Cause::ConnectFailure,
        Failure::ConnectTimeout => Cause::ConnectTimeout,
        _ => Cause::HandshakeFailure,
    };
    Lost { was_reused: !is_first, ..Lost::to(cause, failure) }
}

/// A new connection to `endpoint` on these terms, until the tick `due`. `is_read`: all of the request was taken in.
pub async fn open(
    client: &mut Client,
    (pool, endpoint): (&Arc<Pool>, &Endpoint),
    terms: Terms,
    due: u64,
    is_read: bool,
) -> Result<Upstream, Lost> {
    let worker = Rc::clone(&client.worker);
    let proxied = client.proxied.clone();
    let mut dialling = pin!(reach(&worker, (pool, endpoint), terms, proxied.as_deref()));
    poll_fn(|cx| {
        if let Poll::Ready(dialled) = dialling.as_mut().poll(cx) {
            return Poll::Ready(dialled);
        }
        // What is left of the request's body must stay where it is, or it would be taken for the next request.
        if client.has_gone(is_read, cx) {
            return Poll::Ready(Err(Lost::for_good(Failure::ClientGone)));
        }
        if client.deadline.is_past(due) {
            return Poll::Ready(Err(Lost::to(Cause::ConnectTimeout, Failure::ConnectTimeout)));
        }
        client.deadline.set_at(due.min(client.gone_due()));
        Poll::Pending
    })
    .await
}

/// What is to be said of a connection that broke before it brought a response. `is_sent`: the endpoint may have got all
/// of the request.
pub fn lost_on(upstream: &Upstream, is_sent: bool) -> Lost {
    let lost =
        Lost { is_sent, was_reused: upstream.reused, ..Lost::to(Cause::Reset, Failure::UpstreamClosed) };
    let Stream::H2(stream) = &upstream.stream else { return lost };
    match stream.loss() {
        // As of a connection that was idle for too long: nothing is wrong with its endpoint.
        Loss::Unprocessed => Lost { is_sent: false, was_reused: true, ..lost },
        Loss::Reset => Lost { was_reused: false, ..lost },
        // However many streams it takes with it, an endpoint's end counts once.
        Loss::Lost { is_first } => Lost { was_reused: !is_first, ..lost },
        Loss::Malformed => Lost::for_good(Failure::ResponseBad),
        Loss::Impossible => Lost::for_good(Failure::NotImplemented),
    }
}

/// A connection to `endpoint`. When the request was lost on one, it gets a new one: what is idle may be as stale.
/// `is_read`: all of the request was taken in.
pub async fn connect(
    client: &mut Client,
    exchange: &mut Exchange,
    endpoint: &Endpoint,
    is_read: bool,
) -> Result<Upstream, Lost> {
    let was_lost = exchange.tally.tries.failed().is_some_and(|failed| failed.is_stale);
    let terms = Terms::of(client, &exchange.view, exchange.pool(), endpoint);
    if !was_lost && let Some(upstream) = idle(client, endpoint, &terms) {
        return Ok(upstream);
    }
    let began = client.worker.now();
    let due = client.deadline.at(exchange.connect_timeout()).min(exchange.due);
    let pool = Arc::clone(exchange.pool());
    let opened = open(client, (&pool, endpoint), terms, due, is_read).await;
    exchange.tally.connect += client.worker.now().saturating_sub(began);
    opened.map_err(|lost| match lost.cause {
        Some(Cause::ConnectTimeout) if client.deadline.is_past(exchange.due) => {
            Lost::for_good(Failure::RequestDeadline)
        }
        _ => lost,
    })
}
