//! Listening sockets: bound before a snapshot is applied, kept while any snapshot names their address.
//!
//! Every worker has its own socket on each address (SO_REUSEPORT), so that the kernel spreads connections and no
//! worker waits for another. The originals stay here; workers get duplicates, and so does a successor.

mod groups;

pub use groups::Groups;

use rustix::net::sockopt::set_ipv6_v6only;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

/// The listening sockets by the address in the configuration, one for each worker.
#[derive(Default)]
pub struct Sockets {
    groups: Groups<TcpListener>,
    /// Addresses whose sockets came from elsewhere, and may live on there.
    adopted: BTreeSet<SocketAddr>,
}

/// An address to listen on.
#[derive(Debug, Clone, Copy)]
pub struct Bind {
    /// The address; port 0 lets the system choose one.
    pub address: SocketAddr,
    /// Length of the accept queue.
    pub backlog: u32,
    /// Whether an IPv6 wildcard leaves IPv4 to another socket.
    pub only_v6: bool,
}

/// An address that could not be had.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub error: io::Error,
}

impl Bind {
    /// The addresses of a set of listeners. `[::]` takes IPv4 as well, unless `0.0.0.0` with the same port is there.
    pub fn all<'a>(listeners: impl IntoIterator<Item = (&'a [SocketAddr], u32)>) -> Vec<Self> {
        let pairs = listeners
            .into_iter()
            .flat_map(|(addresses, backlog)| addresses.iter().map(move |a| (*a, backlog)));
        let pairs: Vec<_> = pairs.collect();
        let any_v4 = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
        let has_v4 = |port| pairs.iter().any(|(address, _)| *address == any_v4(port));
        let bind = |&(address, backlog): &(SocketAddr, u32)| {
            let only_v6 = address.is_ipv6() && has_v4(address.port());
            Self { address, backlog, only_v6 }
        };
        pairs.iter().map(bind).collect()
    }
}

impl Sockets {
    /// Takes over a listening socket from a parent or from systemd. Those whose address the first configuration does
    /// not name are closed by [`Sockets::retain`].
    pub fn adopt(&mut self, address: SocketAddr, socket: Socket) -> io::Result<()> {
        self.adopted.insert(address);
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        self.groups.add(address, socket.into());
        Ok(())
    }

    /// Makes sure of `workers` sockets on every address. On an error, what was bound new is closed again.
    ///
    /// Returns for each worker the duplicates of the sockets that are new to it. `known` tells which addresses the
    /// workers accept on already.
    pub fn bind(
        &mut self,
        binds: &[Bind],
        workers: usize,
        known: impl Fn(SocketAddr) -> bool,
    ) -> Result<Vec<Vec<(SocketAddr, TcpListener)>>, BindError> {
        for bind in binds {
            for socket in self.groups.of(bind.address) {
                // The length of the queue may have changed; setting it again is allowed at any time.
                let set = rustix::net::listen(socket, backlog(bind.backlog));
                set.map_err(|error| BindError { address: bind.address, error: error.into() })?;
            }
        }
        self.groups.share(binds, workers, known, listen)
    }

    /// Keeps new clients away from addresses that are to be closed: their first packet is dropped, so that they ask
    /// again in a second and are refused then, or reach who listens there by that time. Without it, a client that
    /// connects between a worker's last look into the queue and the socket's end would be connected and reset.
    ///
    /// Best effort: where the kernel refuses the filter, that moment stays. Sockets that were adopted are left alone,
    /// since the filter would hold for whoever gave them, too.
    pub fn hold_off(&self, is_leaving: impl Fn(SocketAddr) -> bool) {
        let drop_all = [socket2::SockFilter::new(BPF_RETURN, 0, 0, 0)];
        let is_own = |address: &SocketAddr| !self.adopted.contains(address);
        let leaving = self.groups.iter().filter(|(address, _)| is_own(address) && is_leaving(**address));
        for socket in leaving.flat_map(|(_, sockets)| sockets) {
            let _ = socket2::SockRef::from(socket).attach_filter(&drop_all);
        }
    }

    /// Closes the sockets of addresses that are not needed any more.
    pub fn retain(&mut self, is_needed: impl Fn(SocketAddr) -> bool) {
        self.groups.retain(&is_needed);
        self.adopted.retain(|address| is_needed(*address));
    }

    /// Duplicates for a successor.
    pub fn duplicates(&self) -> io::Result<Vec<(SocketAddr, Vec<OwnedFd>)>> {
        self.groups.duplicates()
    }

    /// Where an address of the configuration really listens: the port, when the system chose it.
    pub fn local(&self, bind: SocketAddr) -> SocketAddr {
        self.groups.local(bind).unwrap_or(bind)
    }
}

/// The instruction `BPF_RET | BPF_K` of a socket filter: how many bytes of the packet to keep; 0 drops it (bpf(4)).
const BPF_RETURN: u16 = 0x06;

/// Binds one socket of its own to `address`.
fn listen(address: SocketAddr, bind: &Bind) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for connections of its predecessor to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        set_ipv6_v6only(&socket, bind.only_v6)?;
    }
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it, which saves a call for each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog(bind.backlog))?;
    Ok(socket.into())
}

fn backlog(length: u32) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
