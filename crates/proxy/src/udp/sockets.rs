//! UDP sockets that clients send to: bound before a snapshot is applied, one for each worker, kept while any snapshot
//! names their address. The originals stay here; workers get duplicates, and so does a successor.

use crate::sockets::{Bind, BindError, Groups};
use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::sockopt::set_ipv6_v6only;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;

/// Room for bursts in the kernel, in either direction; it grants at most `net.core.rmem_max` and `wmem_max`.
const BURST_BYTES: usize = 4 << 20;

/// The sockets by the address in the configuration, one for each worker.
#[derive(Default)]
pub struct Datagrams {
    groups: Groups<UdpSocket>,
}

impl Datagrams {
    /// Takes over a socket from a parent.
    pub fn adopt(&mut self, bind: SocketAddr, socket: Socket) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        self.groups.add(bind, socket.into());
        Ok(())
    }

    /// Makes sure of `workers` sockets on every address; for each worker the duplicates that are new to it. On an error,
    /// what was bound new is closed again. `known` tells which addresses the workers have already.
    pub fn bind(
        &mut self,
        binds: &[Bind],
        workers: usize,
        known: impl Fn(SocketAddr) -> bool,
    ) -> Result<Vec<Vec<(SocketAddr, UdpSocket)>>, BindError> {
        self.groups.share(binds, workers, known, |address, bind| open(address, bind.only_v6))
    }

    /// Closes the sockets of addresses that are not needed any more.
    pub fn retain(&mut self, is_needed: impl Fn(SocketAddr) -> bool) {
        self.groups.retain(is_needed);
    }

    /// Duplicates for a successor.
    pub fn duplicates(&self) -> io::Result<Vec<(SocketAddr, Vec<OwnedFd>)>> {
        self.groups.duplicates()
    }

    /// Where an address of the configuration really is: the port, when the system chose it.
    pub fn local(&self, bind: SocketAddr) -> Option<SocketAddr> {
        self.groups.local(bind)
    }
}

/// Binds one socket of its own to `address`.
///
/// # Errors
/// The address cannot be had.
pub fn open(address: SocketAddr, only_v6: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        set_ipv6_v6only(&socket, only_v6)?;
    }
    // An answer must come from the address that was asked; a socket bound to all of them has to be told which it was.
    if address.ip().is_unspecified() {
        match address {
            SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
    }
    // Best effort: with less, bursts are dropped sooner.
    let _ = socket.set_recv_buffer_size(BURST_BYTES);
    let _ = socket.set_send_buffer_size(BURST_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
