//! *Relay* after a 101, or after a 2xx to CONNECT: bytes both ways until both sides are done.

use super::answer::write_all;
use super::client::Client;
use super::exchange::Exchange;
use super::handle::Next;
use crate::tunnel::{Direction, End, Patience, relay};
use crate::upstream::Upstream;
use crate::worker::buffers::{Buffer, Text};
use evenly_core::error::Failure;
use std::time::Duration;

/// Passes the switching response on, then everything that follows. `rest` is what came behind the response's head.
pub async fn tunnel(
    client: &mut Client,
    exchange: &mut Exchange,
    mut upstream: Upstream,
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
    // A protocol behind an upgrade has its own way to close; half of a tunnel may stay open as long as it is used.
    let patience = Patience { idle, half_close: idle, send: client.listener.timeouts.send };
    let mut up = Direction::new(client.carry.take(), Duration::MAX);
    let mut down = Direction::new((!rest.is_empty()).then_some(rest), patience.send);
    let sides = (&mut client.stream, &mut upstream.stream);
    let end = relay(sides, (&mut up, &mut down), &client.worker.buffers, &client.deadline, patience).await;
    exchange.tally.bytes_in += up.bytes();
    exchange.tally.bytes_out += down.bytes();
    exchange.tally.failure = match end {
        End::Closed => None,
        End::DownstreamBroke => Some(Failure::ClientGone),
        End::DownstreamSlow => Some(Failure::SendTimeout),
        End::UpstreamBroke => Some(Failure::UpstreamTruncated),
        End::Idle => Some(Failure::IdleTimeout),
    };
    if end == End::Closed { Next::Close } else { Next::Abort }
}
