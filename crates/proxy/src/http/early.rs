//! Requests that came in early data (0-RTT): they are done at once where their route has it so and nothing is changed by
//! them, and otherwise when the handshake is over (RFC 8470 §3): who repeats what it has recorded does not get so far.

use super::client::Client;
use super::handle::Next;
use crate::arrival::tell;
use crate::io;
use crate::stream::Stream;
use crate::worker::buffers::Buffer;
use evenly_core::error::Failure;
use evenly_core::route::Route;
use evenly_http1::{BodyLength, RequestHead, Version};
use std::future::poll_fn;
use std::task::{Context, Poll};

/// What tells the endpoint that a request may come again, and that it may say 425 (RFC 8470 §5.1).
pub const LINE: &[u8] = b"Early-Data: 1\r\n";

/// The name of that field.
pub const NAME: &str = "early-data";

/// Whether the client's handshake is not over.
pub fn is_early(client: &Client) -> bool {
    client.stream.facts().is_some_and(|facts| facts.is_early())
}

/// Whether a request may be done all the same. A tunnel and what has a body go on for longer than the question is about.
pub fn may_pass(route: &Route, head: &RequestHead<'_, '_>) -> bool {
    let is_safe = matches!(head.method, "GET" | "HEAD" | "OPTIONS");
    route.early_data && is_safe && head.upgrade.is_none() && head.body == BodyLength::None
}

/// Waits for the end of the handshake, with what comes meanwhile behind the request in `input`.
///
/// # Errors
/// It did not come, and with that the connection or stream ends.
pub async fn hold(client: &mut Client, input: &mut Buffer) -> Result<(), Next> {
    let listener = client.listener.id.0;
    client.worker.stats.borrow_mut().early_request(listener, false);
    if let Some(tls) = &client.listener.tls {
        client.deadline.set(tls.handshake);
    }
    let Err(failure) = poll_fn(|cx| poll_end(client, cx, input)).await else { return Ok(()) };
    let protocol = client.protocol(Version::Http11);
    tell(&client.worker, &client.listener, (client.peer, protocol), failure);
    Err(Next::Abort)
}

fn poll_end(client: &mut Client, cx: &mut Context<'_>, input: &mut Buffer) -> Poll<Result<(), Failure>> {
    loop {
        if !is_early(client) {
            return Poll::Ready(Ok(()));
        }
        let more = match &client.stream {
            // It ends by being read. There is room: what came so far is less than may come early.
            Stream::Tls(_) => io::poll_read_into(&mut client.stream, cx, input),
            stream => {
                if let Some(early) = stream.facts().and_then(|facts| facts.early.as_ref()) {
                    early.register(cx);
                }
                client.poll_gone(cx).map(|()| Ok(0))
            }
        };
        match more {
            Poll::Ready(Ok(n)) if n > 0 => {}
            Poll::Ready(_) => return Poll::Ready(Err(Failure::TlsClosed)),
            Poll::Pending if !is_early(client) => return Poll::Ready(Ok(())),
            Poll::Pending if client.deadline.passed() => return Poll::Ready(Err(Failure::TlsTimeout)),
            Poll::Pending => return Poll::Pending,
        }
    }
}
