//! One health check: connects, sends, receives, and keeps the time. What the answer means is the probe's to say.
//!
//! The connection ends with a reset, not with the usual exchange of FINs, as HAProxy's checks do: thousands of checks a
//! second would otherwise leave a socket each in TIME_WAIT for a minute, on this node or on the endpoint's, until the
//! ports run out. An HTTP answer is read to its end first, so the endpoint has nothing left to lose by it.
//!
//! Making a connection is nine tenths of what a check costs, so one that has served an HTTP check serves the next ones
//! too, where the pool has it so; see [`Kept`].

mod datagram;
mod kept;

pub(super) use kept::{Kept, Room};

use super::probe::{CheckFailure, Probe, Progress, Step, Verdict};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// What is checked, and how.
pub(super) struct Order<'a> {
    /// Where to.
    pub address: SocketAddr,
    /// What a connection begins with: the PROXY protocol's header, or nothing.
    pub introduction: &'a [u8],
    /// What `probe` sends there.
    pub request: &'a [u8],
    /// What the answer is judged by.
    pub probe: &'a dyn Probe,
    /// How long the whole may take.
    pub within: Duration,
    /// Where answers are read to; shared by all checks of the thread, as none keeps anything there while it waits.
    pub scratch: &'a RefCell<Box<[u8]>>,
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
        Ok(Ok(connection)) => (Ok(()), connection.filter(|_| is_reusable)),
        Ok(Err(failure)) => (Err(failure), None),
        Err(_) => {
            let late = CheckFailure::Timeout(step.get());
            (progress.map_or(Err(late), |progress| progress.interrupted(late)), None)
        }
    }
}

/// A connection that a check was made on.
pub(super) struct Connection {
    stream: TcpStream,
    /// No check is made on it from then on.
    until: Instant,
}

async fn exchange(
    order: &Order<'_>,
    kept: Option<Kept>,
    step: &Cell<Step>,
    progress: &mut Option<Progress>,
) -> Result<Option<Connection>, CheckFailure> {
    let Order { address, introduction, request, probe, scratch, .. } = *order;
    if let Some(progress) = progress.as_mut().filter(|_| probe.is_datagram()) {
        step.set(Step::Exchange);
        return datagram::ask(address, request, probe, progress, scratch).await.map(|()| None);
    }
    if let Some(Connection { stream, until }) = kept.map(Kept::take) {
        step.set(Step::Exchange);
        match ask(&stream, &[], order, progress).await {
            // Closed while the request was on its way, which says nothing: a new connection tells.
            Err(Asking { is_answered: false, .. }) => *progress = probe.begin(),
            Err(asking) => return Err(asking.failure),
            Ok(()) => return Ok(Some(Connection { stream, until })),
        }
    }
    step.set(Step::Connect);
    let stream = connect(address).await.map_err(|e| CheckFailure::Connect(CheckFailure::number(&e)))?;
    step.set(Step::Exchange);
    match ask(&stream, introduction, order, progress).await {
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

async fn ask(
    stream: &TcpStream,
    introduction: &[u8],
    order: &Order<'_>,
    progress: &mut Option<Progress>,
) -> Result<(), Asking> {
    let sent = if introduction.is_empty() {
        send(stream, order.request).await
    } else {
        send(stream, &[introduction, order.request].concat()).await
    };
    sent.map_err(|error| Asking {
        failure: CheckFailure::Exchange(CheckFailure::number(&error)),
        is_answered: false,
    })?;
    let Some(progress) = progress else { return Ok(()) };
    let mut is_answered = false;
    let outcome = receive(stream, order.probe, progress, order.scratch, &mut is_answered).await;
    outcome.map_err(|failure| Asking { failure, is_answered })
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Close means reset, however the check ends.
    socket.set_zero_linger()?;
    socket.connect(address).await
}

async fn send(stream: &TcpStream, mut request: &[u8]) -> io::Result<()> {
    while !request.is_empty() {
        match stream.try_write(request) {
            Ok(n) => request = &request[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn receive(
    stream: &TcpStream,
    probe: &dyn Probe,
    progress: &mut Progress,
    scratch: &RefCell<Box<[u8]>>,
    is_answered: &mut bool,
) -> Result<(), CheckFailure> {
    loop {
        let readable = stream.readable().await;
        let mut scratch = scratch.borrow_mut();
        match readable.and_then(|()| stream.try_read(&mut scratch)) {
            Ok(0) => return progress.so_far,
            Ok(n) => {
                *is_answered = true;
                if probe.receive(progress, &mut scratch[..n]) == Verdict::Done {
                    return progress.so_far;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return progress.interrupted(CheckFailure::Exchange(CheckFailure::number(&error))),
        }
    }
}

#[cfg(test)]
mod tests;
