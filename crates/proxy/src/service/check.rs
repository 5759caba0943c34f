//! One health check: connects, sends, receives, and keeps the time. What the answer means is the probe's to say.
//!
//! The connection ends with a reset, not with the usual exchange of FINs, as HAProxy's checks do: thousands of checks a
//! second would otherwise leave a socket each in TIME_WAIT for a minute, on this node or on the endpoint's, until the
//! ports run out. An HTTP answer is read to its end first, so the endpoint has nothing left to lose by it.

mod datagram;

use super::probe::{CheckFailure, Probe, Progress, Step, Verdict};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Checks `address` once. `request` is what `probe` sends there; `scratch` is where it is read to, shared by all checks
/// of the thread, as none keeps anything there while it waits.
pub(super) async fn check(
    address: SocketAddr,
    request: &[u8],
    probe: &dyn Probe,
    within: Duration,
    scratch: &RefCell<Box<[u8]>>,
) -> Result<(), CheckFailure> {
    let step = Cell::new(Step::Connect);
    let mut progress = probe.begin();
    let exchange = async {
        if let Some(progress) = progress.as_mut().filter(|_| probe.is_datagram()) {
            step.set(Step::Exchange);
            return datagram::ask(address, request, probe, progress, scratch).await;
        }
        let stream = connect(address).await.map_err(|e| CheckFailure::Connect(CheckFailure::number(&e)))?;
        step.set(Step::Exchange);
        send(&stream, request).await.map_err(|e| CheckFailure::Exchange(CheckFailure::number(&e)))?;
        match &mut progress {
            Some(progress) => receive(&stream, probe, progress, scratch).await,
            None => Ok(()),
        }
    };
    if let Ok(outcome) = timeout(within, exchange).await {
        return outcome;
    }
    let late = CheckFailure::Timeout(step.get());
    progress.map_or(Err(late), |progress| progress.interrupted(late))
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
) -> Result<(), CheckFailure> {
    loop {
        let readable = stream.readable().await;
        let mut scratch = scratch.borrow_mut();
        match readable.and_then(|()| stream.try_read(&mut scratch)) {
            Ok(0) => return progress.so_far,
            Ok(n) => {
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
