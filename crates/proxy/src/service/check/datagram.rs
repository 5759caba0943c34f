//! One health check by datagrams: sends one, and looks at what comes back until the probe is content.

use crate::service::probe::{CheckFailure, Probe, Progress, Verdict};
use crate::worker::buffers::Buffers;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Asks `address`. The socket is connected, so that nobody else can answer, and its port is new for each check, so that
/// no late answer to an earlier one counts. The caller keeps the time.
pub(super) async fn ask(
    address: SocketAddr,
    request: &[u8],
    probe: &dyn Probe,
    progress: &mut Progress,
    buffers: &Rc<Buffers>,
) -> Result<(), CheckFailure> {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let connect = |error: std::io::Error| CheckFailure::Connect(CheckFailure::number(&error));
    let exchange = |error: std::io::Error| CheckFailure::Exchange(CheckFailure::number(&error));
    let socket = UdpSocket::bind((any, 0)).await.map_err(connect)?;
    socket.connect(address).await.map_err(connect)?;
    socket.send(request).await.map_err(exchange)?;
    loop {
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await.map_err(exchange)?;
        if ready.is_error() {
            // The network says that nobody listens there, which alone does not make a socket readable.
            if let Some(error) = socket.take_error().map_err(exchange)? {
                return progress.interrupted(exchange(error));
            }
            let _ =
                socket.try_io(Interest::ERROR, || std::io::Result::<()>::Err(ErrorKind::WouldBlock.into()));
        }
        let mut buffer = buffers.lend();
        match socket.try_recv(buffer.room()) {
            Ok(n) => {
                buffer.filled(n);
                if probe.receive(progress, &mut buffer) == Verdict::Done {
                    return progress.so_far;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return progress.interrupted(exchange(error)),
        }
    }
}
