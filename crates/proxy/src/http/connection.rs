//! A connection's life: request after request until one side has had enough.

use super::client::{Client, NoInput};
use super::h2::{self, PREFACE};
use super::handle::{Next, refuse_unread};
use super::linger::{bid_farewell, linger};
use crate::arrival::Origin;
use crate::io;
use crate::permits::Permit;
use crate::stream::Stream;
use crate::worker::Worker;
use crate::worker::buffers::Buffer;
use evenly_core::error::Failure;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// Serves one client from its first byte to its last.
pub async fn serve(worker: Rc<Worker>, stream: Stream, origin: Origin, permit: Permit) {
    let view = worker.view_of(origin.bind);
    let Some((listener, _)) = view.as_ref().and_then(|view| view.listener(origin.bind)) else { return };
    let listener = Arc::clone(listener);
    drop(view);
    let _open = worker.open(listener.id);
    let client = Box::new(Client::new(worker, stream, origin, listener, Some(permit)));
    poll_fn(|cx| {
        client.deadline.register(cx);
        Poll::Ready(())
    })
    .await;
    // Boxed, like all that few connections need; see below.
    if client.stream.facts().is_some_and(|facts| facts.is_h2) {
        return Box::pin(h2::serve(client, None)).await;
    }
    match requests(client).await {
        (client, End::Http2(input)) => Box::pin(h2::serve(client, Some(input))).await,
        (client, end) => finish(client, end).await,
    }
}

/// Ends a connection.
pub async fn finish(client: Box<Client>, end: End) {
    match end {
        // Boxed, as below; and only TLS has something to say at the end.
        End::Close if client.stream.is_tls() => Box::pin(bid_farewell(client)).await,
        End::Close | End::Http2(_) => {}
        // Boxed, since it is the last of a connection, which is to be small before that.
        End::Linger => Box::pin(linger(client)).await,
        End::Abort => io::abort(client.stream),
    }
}

/// How a connection ends.
pub enum End {
    /// Nothing is left to say or to hear.
    Close,
    /// The client may still be sending; closing at once would destroy the response on its way.
    Linger,
    /// The client must see that what it got is not the whole.
    Abort,
    /// What came is the beginning of HTTP/2.
    Http2(Buffer),
}

async fn requests(mut client: Box<Client>) -> (Box<Client>, End) {
    let mut is_first = true;
    loop {
        let Ok(mut input) = client.next_input().await else { return (client, End::Close) };
        client.deadline.set(client.listener.timeouts.header);
        let next = loop {
            let read = input.len();
            if is_first && client.takes_http2() {
                if input.starts_with(PREFACE) {
                    return (client, End::Http2(input));
                }
                if PREFACE.starts_with(&input) {
                    match complete(&mut client, input, read).await {
                        Ok(more) => input = more,
                        Err(next) => break next,
                    }
                    continue;
                }
            }
            let worker = Rc::clone(&client.worker);
            let (same, next) = worker.handlers.handle(client, input).await;
            client = same;
            match next {
                Next::MoreHead(partial) => match complete(&mut client, partial, read).await {
                    Ok(more) => input = more,
                    Err(next) => break next,
                },
                // Boxed: a tunnel's state would otherwise make every idle connection larger.
                Next::Tunnel(tunnel) => break Box::pin(tunnel.relay(&mut client)).await,
                next => break next,
            }
        };
        is_first = false;
        match next {
            Next::Request => {}
            Next::Close => return (client, End::Close),
            Next::Linger => return (client, End::Linger),
            Next::Abort => return (client, End::Abort),
            Next::MoreHead(_) | Next::Tunnel(_) => unreachable!("the loop above ends only with another"),
        }
    }
}

/// Reads until the head may be complete: until a blank line came after the first `seen` bytes, or the buffer is full.
/// Looking for the blank line only, and only in what is new, keeps a head that comes byte by byte from being parsed
/// once for each byte.
async fn complete(client: &mut Client, mut head: Buffer, mut seen: usize) -> Result<Buffer, Next> {
    loop {
        head.compact();
        let read = client.more_input(&mut head).await;
        let line_end = seen.saturating_sub(2);
        match read {
            Ok(())
                if has_blank_line(&head[line_end..])
                    || head.len() >= client.listener.limits.head_bytes as usize =>
            {
                return Ok(head);
            }
            Ok(()) => seen = head.len(),
            Err(NoInput::Closed) => return Err(Next::Close),
            // Boxed: it happens once in a connection's life, which is to be small before that.
            Err(NoInput::Late) => return Err(Box::pin(refuse_unread(client, Failure::RequestTimeout)).await),
        }
    }
}

/// Whether an empty line ends in `bytes`, with or without the CRs that it must have: the parser judges that.
fn has_blank_line(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of what an `async fn` of four arguments returns.
    fn size_of_future<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// An idle connection is this, its [`Client`] and its socket's registration, and the promise is 4 KiB for all.
    #[test]
    fn a_connection_is_small() {
        let size = size_of_future(serve) + size_of::<Client>();
        assert!(size <= 1024, "{size} bytes");
    }
}
