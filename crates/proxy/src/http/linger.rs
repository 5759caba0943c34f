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

/// The silence that is enough when the worker drains; twice that is the whole.
const LEAVING: Duration = Duration::from_secs(1);

/// Closes the sending side and reads until the client closes too, is silent, or has had its time.
pub async fn linger(mut client: Box<Client>) {
    client.deadline.set(client.listener.timeouts.send);
    let said = poll_fn(|cx| match io::poll_shutdown(&mut client.stream, cx) {
        Poll::Pending if client.deadline.passed() => Poll::Ready(false),
        closed => closed.map(|closed| closed.is_ok()),
    });
    if !said.await {
        return;
    }
    let mut end = client.deadline.at(WHOLE);
    let mut silence = SILENCE;
    loop {
        if client.is_leaving() && silence > LEAVING {
            silence = LEAVING;
            end = end.min(client.deadline.at(LEAVING * 2));
        }
        client.deadline.set_at(client.deadline.at(silence).min(end));
        let read = poll_fn(|cx| match io::poll_read(&mut client.stream, cx, &client.worker.buffers) {
            Poll::Ready(read) => Poll::Ready(read.ok().map(|buffer| buffer.len())),
            Poll::Pending if client.deadline.passed() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        if matches!(read.await, None | Some(0)) {
            return;
        }
    }
}

/// Says that nothing more comes, so that the client knows it has got everything; waits for it as long as for any client
/// that has to take something.
pub async fn bid_farewell(mut client: Box<Client>) {
    client.deadline.set(client.listener.timeouts.send);
    poll_fn(|cx| match io::poll_shutdown(&mut client.stream, cx) {
        Poll::Pending if !client.deadline.passed() => Poll::Pending,
        _ => Poll::Ready(()),
    })
    .await;
}
