//! UDP sockets that clients send to: bound before a snapshot is applied, one for each worker, kept while any snapshot
//! names their address. The originals stay here; workers get duplicates, and so does a successor.

use crate::sockets::{Bind, BindError};
use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::sockopt::set_ipv6_v6only;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;

/// Room for bursts in the kernel, in either direction; it grants at most `net.core.rmem_max` and `wmem_max`.
const BURST_BYTES: usize = 4 << 20;

/// The sockets by the address in the configuration, one for each worker.
#[derive(Default)]
pub struct Datagrams {
    by_bind: BTreeMap<SocketAddr, Vec<UdpSocket>>,
}

impl Datagrams {
    /// Takes over a socket from a parent.
    pub fn adopt(&mut self, bind: SocketAddr, socket: Socket) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        self.by_bind.entry(bind).or_default().push(socket.into());
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
        let mut new = BTreeMap::new();
        let mut shares: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        for bind in binds {
            let at = |error| BindError { address: bind.address, error };
            let have = self.by_bind.get(&bind.address).map_or(&[][..], Vec::as_slice);
            let mut made: Vec<UdpSocket> = Vec::new();
            while have.len() + made.len() < workers {
                // With port 0 the others have to follow the first.
                let first = have.first().or(made.first()).and_then(|socket| socket.local_addr().ok());
                made.push(open(first.unwrap_or(bind.address), bind.only_v6).map_err(at)?);
            }
            if !known(bind.address) {
                for (index, socket) in have.iter().chain(&made).enumerate() {
                    shares[index % workers].push((bind.address, socket.try_clone().map_err(at)?));
                }
            }
            new.insert(bind.address, made);
        }
        for (address, made) in new {
            self.by_bind.entry(address).or_default().extend(made);
        }
        Ok(shares)
    }

    /// Closes the sockets of addresses that are not needed any more.
    pub fn retain(&mut self, is_needed: impl Fn(SocketAddr) -> bool) {
        self.by_bind.retain(|address, _| is_needed(*address));
    }

    /// Duplicates for a successor.
    pub fn duplicates(&self) -> io::Result<Vec<(SocketAddr, Vec<OwnedFd>)>> {
        let duplicate = |(address, sockets): (&SocketAddr, &Vec<UdpSocket>)| {
            let copies = sockets.iter().map(|socket| socket.try_clone().map(OwnedFd::from));
            Ok((*address, copies.collect::<io::Result<Vec<_>>>()?))
        };
        self.by_bind.iter().map(duplicate).collect()
    }

    /// Where an address of the configuration really is: the port, when the system chose it.
    pub fn local(&self, bind: SocketAddr) -> Option<SocketAddr> {
        self.by_bind.get(&bind)?.first()?.local_addr().ok()
    }
}

fn open(address: SocketAddr, only_v6: bool) -> io::Result<UdpSocket> {
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
