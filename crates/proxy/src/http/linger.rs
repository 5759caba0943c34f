//! Closing without destroying what was just sent.
//!
//! A socket that is closed with unread input answers with a reset, which may overtake the response on its way and
//! erase it from the client's buffer (RFC 9112 §9.6). So the sending side is closed first, and what the client is still
//! sending is read and dropped for a while.

use super::client::Client;
use crate::io;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

/// Silence after which the client is done. nginx waits as long (`lingering_timeout`).
const SILENCE: Duration = Duration::from_secs(5);
/// The whole; a client that sends on and on after its answer gets its reset then.
const WHOLE: Duration = Duration::from_secs(30);

/// Closes the sending side and reads until the client closes too, is silent, or has had its time.
pub async fn linger(mut client: Client) {
    if poll_fn(|cx| io::poll_shutdown(&mut client.stream, cx)).await.is_err() {
        return;
    }
    let end = client.deadline.at(WHOLE);
    loop {
        client.deadline.set_at(client.deadline.at(SILENCE).min(end));
        let read = poll_fn(|cx| match io::poll_read(&mut client.stream, cx, &client.worker.buffers) {
            Poll::Ready(read) => Poll::Ready(read.ok().map(|buffer| buffer.len())),
            Poll::Pending if client.deadline.passed() || client.worker.is_draining() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        if matches!(read.await, None | Some(0)) {
            return;
        }
    }
}
