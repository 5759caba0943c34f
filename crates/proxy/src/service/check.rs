//! One health check: connects, sends, receives, and keeps the time. What the answer means is the probe's to say.
//!
//! The connection ends with a reset, not with the usual exchange of FINs, as HAProxy's checks do: thousands of checks a
//! second would otherwise leave a socket each in TIME_WAIT for a minute, on this node or on the endpoint's, until the
//! ports run out. An HTTP answer is read to its end first, so the endpoint has nothing left to lose by it. Under TLS the
//! end is told: a reset right behind the handshake would look as if that had failed.
//!
//! Making a connection is nine tenths of what a check costs, so one that has served an HTTP check serves the next ones
//! too, where the pool has it so; see [`Kept`].

mod datagram;
mod kept;

pub(super) use kept::{Kept, Room};

use super::probe::{CheckFailure, Probe, Progress, Step, Verdict};
use crate::io as streams;
use crate::stream::Stream;
use crate::tls::{Target, Trouble, of_read, originate};
use crate::worker::buffers::Buffers;
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// What is checked, and how.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    /// Where to.
    pub address: SocketAddr,
    /// What the endpoint knows itself by.
    pub endpoint: SocketAddr,
    /// What a connection begins with: the PROXY protocol's header, or nothing.
    pub introduction: &'a [u8],
    /// How TLS is spoken there, if it is.
    pub tls: Option<&'a Arc<Target>>,
    /// What `probe` sends there.
    pub request: &'a [u8],
    /// What the answer is judged by.
    pub probe: &'a dyn Probe,
    /// How long the whole may take.
    pub within: Duration,
    /// Where answers are read to; none is held by a check that waits.
    pub buffers: &'a Rc<Buffers>,
    /// How old a connection may get that is made for it.
    pub age: Duration,
}

/// Checks once, on the connection that an earlier check has left, or on a new one. Returns what came of it, and the
/// connection if it can carry another check.
pub(super) async fn check(
    order: &Order<'_>,
    kept: Option<Kept>,
) -> (Result<(), CheckFailure>, Option<Connection>) {
    let step = Cell::new(Step::Connect);
    let mut progress = order.probe.begin();
    let outcome = timeout(order.within, exchange(order, kept, &step, &mut progress)).await;
    let is_reusable = progress.as_ref().is_some_and(|progress| progress.is_reusable);
    match outcome {
        Ok(Ok(connection)) if is_reusable => (Ok(()), connection),
        Ok(Ok(connection)) => {
            connection.into_iter().filter(|connection| connection.stream.is_tls()).for_each(Connection::end);
            (Ok(()), None)
        }
        Ok(Err(failure)) => (Err(failure), None),
        Err(_) => {
            let late = CheckFailure::Timeout(step.get());
            (progress.map_or(Err(late), |progress| progress.interrupted(late)), None)
        }
    }
}

/// A connection that a check was made on.
pub(super) struct Connection {
    stream: Stream,
    /// No check is made on it from then on.
    until: Instant,
}

async fn exchange(
    order: &Order<'_>,
    kept: Option<Kept>,
    step: &Cell<Step>,
    progress: &mut Option<Progress>,
) -> Result<Option<Connection>, CheckFailure> {
    let Order { address, introduction, request, probe, buffers, .. } = *order;
    if let Some(progress) = progress.as_mut().filter(|_| probe.is_datagram()) {
        step.set(Step::Exchange);
        return datagram::ask(address, request, probe, progress, buffers).await.map(|()| None);
    }
    if let Some(Connection { mut stream, until }) = kept.map(Kept::take) {
        step.set(Step::Exchange);
        match ask(&mut stream, order, progress).await {
            // Closed while the request was on its way, which says nothing: a new connection tells.
            Err(Asking { is_answered: false, .. }) => *progress = probe.begin(),
            Err(asking) => return Err(asking.failure),
            Ok(()) => return Ok(Some(Connection { stream, until })),
        }
    }
    step.set(Step::Connect);
    let refused = |error: io::Error| CheckFailure::Connect(CheckFailure::number(&error));
    let socket = connect(address).await.map_err(refused)?;
    introduce(&socket, introduction).await.map_err(refused)?;
    let mut stream = match order.tls {
        None => Stream::Plain(socket),
        Some(target) => {
            step.set(Step::Handshake);
            let session = Box::pin(originate(socket, target, probe.alpn(), buffers)).await;
            let failed = |trouble: Trouble| {
                target.failed(trouble);
                CheckFailure::Tls(trouble.text)
            };
            Stream::TlsOut(session.map_err(failed)?)
        }
    };
    step.set(Step::Exchange);
    let has_chosen_http2 = stream.facts().is_some_and(|facts| facts.is_h2);
    let asked = match probe.by_http2().filter(|_| has_chosen_http2) {
        None => ask(&mut stream, order, progress).await,
        Some(probe) => {
            *progress = probe.begin();
            let request = &probe.request(order.endpoint)[..];
            ask(&mut stream, &Order { probe, request, ..*order }, progress).await
        }
    };
    match asked {
        Ok(()) => Ok(Some(Connection { stream, until: Instant::now() + order.age })),
        Err(asking) => Err(asking.failure),
    }
}

/// An exchange that failed.
struct Asking {
    failure: CheckFailure,
    /// Something of an answer came.
    is_answered: bool,
}

async fn ask(stream: &mut Stream, order: &Order<'_>, progress: &mut Option<Progress>) -> Result<(), Asking> {
    let sent = send(stream, order.request).await;
    sent.map_err(|error| Asking { failure: of_exchange(&error), is_answered: false })?;
    let Some(progress) = progress else { return Ok(()) };
    let mut is_answered = false;
    let outcome = receive(stream, order, progress, &mut is_answered).await;
    outcome.map_err(|failure| Asking { failure, is_answered })
}

fn of_exchange(error: &io::Error) -> CheckFailure {
    let trouble = of_read(error).map(|trouble| CheckFailure::Tls(trouble.text));
    trouble.unwrap_or_else(|| CheckFailure::Exchange(CheckFailure::number(error)))
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Close means reset, however the check ends.
    socket.set_zero_linger()?;
    socket.connect(address).await
}

async fn introduce(socket: &TcpStream, mut header: &[u8]) -> io::Result<()> {
    while !header.is_empty() {
        match socket.try_write(header) {
            Ok(n) => header = &header[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn send(stream: &mut Stream, mut request: &[u8]) -> io::Result<()> {
    while !request.is_empty() {
        let n = poll_fn(|cx| streams::poll_write(stream, cx, request)).await?;
        request = &request[n..];
    }
    Ok(())
}

async fn receive(
    stream: &mut Stream,
    order: &Order<'_>,
    progress: &mut Progress,
    is_answered: &mut bool,
) -> Result<(), CheckFailure> {
    loop {
        match poll_fn(|cx| streams::poll_read(stream, cx, order.buffers)).await {
            Ok(answer) if answer.is_empty() => return progress.so_far,
            Ok(mut answer) => {
                *is_answered = true;
                if order.probe.receive(progress, &mut answer) == Verdict::Done {
                    return progress.so_far;
                }
            }
            Err(error) => return progress.interrupted(of_exchange(&error)),
        }
    }
}

#[cfg(test)]
mod tests;
