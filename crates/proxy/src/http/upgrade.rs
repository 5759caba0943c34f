//! *Relay* after a 101, or after a 2xx to CONNECT: bytes both ways until both sides are done.
//!
//! A tunnel may be open for days, and its exchange holds a whole configuration. So the exchange ends when the tunnel
//! [`open`]s: what counts at its end goes with the [`Tunnel`], which the connection's own task relays.

use super::answer::write_all;
use super::client::Client;
use super::exchange::{Exchange, Tally};
use super::handle::Next;
use super::record::{Served, record_tunnel};
use crate::tunnel::{Direction, End, Patience, relay};
use crate::upstream::Upstream;
use crate::worker::buffers::{Buffer, Text};
use evenly_core::error::Failure;
use evenly_core::pool::Lease;
use evenly_core::queue::Queue;
use std::sync::Arc;
use std::time::Duration;

/// What is left of an exchange once its client and its endpoint have nobody but each other.
pub struct Tunnel {
    upstream: Upstream,
    /// What came behind the response's head.
    rest: Option<Buffer>,
    patience: Patience,
    /// Counts it in at the endpoint until it ends.
    lease: Option<Lease>,
    /// Where somebody may wait for its place.
    queue: Option<Arc<Queue>>,
    served: Served,
    tally: Tally,
}

/// Passes the switching response on. `rest` is what came behind the response's head.
pub async fn open(
    client: &mut Client,
    exchange: &mut Exchange,
    upstream: Upstream,
    head: Text,
    rest: Buffer,
) -> Next {
    if exchange.tally.status == 0 {
        exchange.tally.status = 101;
    }
    let sent = write_all(client, &head).await;
    exchange.tally.bytes_out += sent.bytes;
    if sent.failure.is_some() {
        exchange.tally.failure = sent.failure;
        return Next::Abort;
    }
    drop(head);
    let idle = Duration::from_millis(exchange.pool().timeouts.tunnel_idle_ms);
    Next::Tunnel(Box::new(Tunnel {
        upstream,
        rest: (!rest.is_empty()).then_some(rest),
        // A protocol behind an upgrade has its own way to close; half of a tunnel may stay open as long as it is used.
        patience: Patience { idle, half_close: idle, send: client.listener.timeouts.send },
        lease: None,
        queue: exchange.pool().queue.as_ref().map(|_| Arc::clone(&exchange.pool().waiting)),
        served: Served::of(exchange),
        tally: exchange.take_tally(),
    }))
}

impl Tunnel {
    /// The place at the endpoint is its own from here on.
    pub fn hold(&mut self, lease: Lease) {
        self.lease = Some(lease);
    }

    /// Passes on everything that follows, and records the whole.
    pub async fn relay(self: Box<Self>, client: &mut Client) -> Next {
        let Self { mut upstream, rest, patience, lease, queue, served, mut tally } = *self;
        let mut up = Direction::new(client.carry.take(), Duration::MAX);
        let mut down = Direction::new(rest, patience.send);
        let sides = (&mut client.stream, &mut upstream.stream);
        let end =
            relay(sides, (&mut up, &mut down), &client.worker.buffers, &client.deadline, patience).await;
        tally.bytes_in += up.bytes();
        tally.bytes_out += down.bytes();
        tally.failure = match end {
            End::Closed => None,
            End::DownstreamBroke => Some(Failure::ClientGone),
            End::DownstreamSlow => Some(Failure::SendTimeout),
            End::UpstreamBroke => Some(Failure::UpstreamTruncated),
            End::Idle => Some(Failure::IdleTimeout),
        };
        drop((upstream, lease));
        if let Some(queue) = queue {
            queue.call();
        }
        record_tunnel(client, &served, &mut tally);
        if end == End::Closed { Next::Close } else { Next::Abort }
    }
}
