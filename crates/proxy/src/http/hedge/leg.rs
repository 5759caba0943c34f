//! One of the tries that run side by side: connect, send, and wait for the first bytes of the response.
//!
//! ```text
//! Dialling ──> Sending ──> Waiting ──> Answered
//!     └───────────┴───────────┴──────> Failed
//! ```
//!
//! A future by hand: two of them share the client's connection, which no `async fn` could lend to both, and whoever loses
//! is dropped where it stands, with its connection.

use crate::http::client::Client;
use crate::http::connect::{Lost, Terms, idle, lost_on, reach};
use crate::http::exchange::Exchange;
use crate::http::wait::closed;
use crate::io;
use crate::upstream::Upstream;
use crate::worker::buffers::Buffer;
use evenly_core::error::Failure;
use evenly_core::pool::{Lease, Nanos};
use evenly_core::retry::Cause;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A try under way.
pub(super) struct Leg {
    /// Its endpoint.
    pub lease: Lease,
    /// When it began.
    pub began: Nanos,
    /// How long connecting took; zero when a connection was reused.
    pub connect: Nanos,
    /// The tick at which it is late with what it does now.
    pub due: u64,
    stage: Stage,
}

enum Stage {
    Dialling(Pin<Box<dyn Future<Output = Result<Upstream, Lost>>>>),
    /// With how much is sent.
    Sending(Upstream, usize),
    Waiting(Upstream),
    /// With the first bytes of the answer.
    Answered(Upstream, Buffer),
    Failed(Lost),
}

impl Leg {
    /// Begins a try at the endpoint of `lease`, by an idle connection or a new one.
    pub(super) fn begin(client: &Client, exchange: &Exchange, lease: Lease) -> Self {
        let terms = Terms::of(client, &exchange.view, exchange.pool(), lease.endpoint());
        let (stage, due) = match idle(client, lease.endpoint(), &terms) {
            Some(upstream) => {
                lease.connected();
                (Stage::Sending(upstream, 0), exchange.idle_timeout())
            }
            None => {
                let (worker, endpoint) = (Rc::clone(&client.worker), Arc::clone(lease.endpoint()));
                let (pool, proxied) = (Arc::clone(exchange.pool()), client.proxied.clone());
                let dialling =
                    Box::pin(
                        async move { reach(&worker, (&pool, &endpoint), terms, proxied.as_deref()).await },
                    );
                (Stage::Dialling(dialling), exchange.connect_timeout())
            }
        };
        let due = client.deadline.at(due);
        Self { lease, began: client.worker.now(), connect: 0, due, stage }
    }

    /// Whether it has neither an answer nor failed.
    pub(super) fn is_running(&self) -> bool {
        !matches!(self.stage, Stage::Answered(..) | Stage::Failed(_))
    }

    /// The first bytes of its answer, if it has one.
    pub(super) fn answer(&self) -> Option<&Buffer> {
        if let Stage::Answered(_, buffer) = &self.stage { Some(buffer) } else { None }
    }

    /// What was lost, if it failed.
    pub(super) fn lost(&self) -> Option<&Lost> {
        if let Stage::Failed(lost) = &self.stage { Some(lost) } else { None }
    }

    /// What came of it; one that is still under way is given up `for_` this.
    pub(super) fn outcome(self, for_: Failure) -> (Lease, Result<(Upstream, Buffer), Lost>) {
        let outcome = match self.stage {
            Stage::Answered(upstream, buffer) => Ok((upstream, buffer)),
            Stage::Failed(lost) => Err(lost),
            Stage::Dialling(_) | Stage::Sending(..) | Stage::Waiting(_) => Err(Lost::for_good(for_)),
        };
        (self.lease, outcome)
    }

    /// Moves on; `head` is what is sent, always the same.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, client: &Client, exchange: &Exchange, head: &[u8]) {
        loop {
            let (stage, goes_on) = self.step(cx, client, exchange, head);
            self.stage = stage;
            if !goes_on {
                return;
            }
        }
    }

    /// The next stage, and whether there may be more to do at once.
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        client: &Client,
        exchange: &Exchange,
        head: &[u8],
    ) -> (Stage, bool) {
        let none = Stage::Failed(Lost::for_good(Failure::UpstreamClosed));
        match std::mem::replace(&mut self.stage, none) {
            Stage::Dialling(mut dialling) => match dialling.as_mut().poll(cx) {
                Poll::Ready(Ok(upstream)) => {
                    self.lease.connected();
                    self.connect = client.worker.now().saturating_sub(self.began);
                    self.due = client.deadline.at(exchange.idle_timeout());
                    (Stage::Sending(upstream, 0), true)
                }
                Poll::Ready(Err(lost)) => {
                    self.lease.connected();
                    (Stage::Failed(lost), false)
                }
                Poll::Pending => {
                    let late = Lost::to(Cause::ConnectTimeout, Failure::ConnectTimeout);
                    self.unless_late(client, Stage::Dialling(dialling), late)
                }
            },
            Stage::Sending(mut upstream, sent) => {
                match io::poll_write(&mut upstream.stream, cx, &head[sent..]) {
                    Poll::Ready(Ok(n)) if n > 0 && sent + n == head.len() => {
                        upstream.stream.finish();
                        self.due = client.deadline.at(exchange.response_timeout());
                        (Stage::Waiting(upstream), true)
                    }
                    Poll::Ready(Ok(n)) if n > 0 => (Stage::Sending(upstream, sent + n), true),
                    Poll::Ready(_) => (reset(&upstream, sent > 0), false),
                    Poll::Pending => {
                        let late = Lost::to(Cause::Timeout, Failure::ResponseTimeout);
                        let late = Lost { is_sent: sent > 0, was_reused: upstream.reused, ..late };
                        self.unless_late(client, Stage::Sending(upstream, sent), late)
                    }
                }
            }
            Stage::Waiting(mut upstream) => {
                match io::poll_read_for(&mut upstream.stream, cx, &client.worker.buffers, &client.stream) {
                    Poll::Ready(Ok(buffer)) if !buffer.is_empty() => {
                        (Stage::Answered(upstream, buffer), false)
                    }
                    Poll::Ready(ended) => (Stage::Failed(closed(&upstream, ended.err())), false),
                    Poll::Pending => {
                        let late = Lost::to(Cause::Timeout, Failure::ResponseTimeout);
                        self.unless_late(client, Stage::Waiting(upstream), Lost { is_sent: true, ..late })
                    }
                }
            }
            ended => (ended, false),
        }
    }

    /// Stays where it is, unless it is late there.
    fn unless_late(&self, client: &Client, stage: Stage, late: Lost) -> (Stage, bool) {
        let is_late = client.deadline.is_past(self.due);
        (if is_late { Stage::Failed(late) } else { stage }, false)
    }
}

fn reset(upstream: &Upstream, is_sent: bool) -> Stage {
    Stage::Failed(lost_on(upstream, is_sent))
}
