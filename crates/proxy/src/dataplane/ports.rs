//! Every socket that clients come to: bound before a snapshot is applied, shared out to the workers, and kept as long as a
//! snapshot needs it.

use crate::quic::{self, Channel, Keys, seats};
use crate::sockets::{Bind, BindError, Groups, Sockets};
use crate::udp::Datagrams;
use evenly_core::document::{Protocol, Secret};
use evenly_core::listener::Listener;
use evenly_core::snapshot::Snapshot;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The originals; workers have duplicates.
pub struct Ports {
    sockets: Sockets,
    datagrams: Datagrams,
    /// Of listeners that speak HTTP/3: for UDP, on the ports that their other sockets have.
    quic: Groups<UdpSocket>,
    keys: Arc<Keys>,
    secret: Secret,
    /// Ways to a predecessor that may still have connections.
    predecessors: BTreeMap<SocketAddr, Arc<Channel>>,
}

/// One worker's new sockets.
#[derive(Default)]
pub struct Share {
    pub sockets: Vec<(SocketAddr, TcpListener)>,
    pub datagrams: Vec<(SocketAddr, UdpSocket)>,
    pub quic: Vec<quic::Share>,
}

/// Sockets for a successor, by address, and the own ends of the ways from it.
type Duplicates = (Vec<(SocketAddr, Vec<OwnedFd>)>, Vec<(SocketAddr, Channel)>);

/// What is bound to an address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Streams,
    Datagrams,
    Quic,
}

impl Ports {
    /// None yet. What proves to clients of HTTP/3 that they deal with the same server comes of `secret`; `generation` is
    /// the process's place in the line of those with the same sockets.
    pub fn new(secret: Secret, generation: u8) -> Self {
        Self {
            sockets: Sockets::default(),
            datagrams: Datagrams::default(),
            quic: Groups::default(),
            keys: Arc::new(Keys::new(&secret, generation)),
            secret,
            predecessors: BTreeMap::new(),
        }
    }

    /// What they were made with.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Takes over sockets, each kind to its own.
    pub fn adopt(
        &mut self,
        inherited: Vec<(SocketAddr, Vec<OwnedFd>)>,
        snapshot: &Snapshot,
    ) -> io::Result<()> {
        let (mut streams, mut datagrams) = (Vec::new(), Vec::new());
        for (bind, descriptors) in inherited {
            for socket in descriptors.into_iter().map(socket2::Socket::from) {
                if socket.domain()? == socket2::Domain::UNIX {
                    self.predecessors.insert(bind, Arc::new(OwnedFd::from(socket).into()));
                    continue;
                }
                let is_datagram = socket.r#type()? == socket2::Type::DGRAM;
                if is_datagram { &mut datagrams } else { &mut streams }.push((bind, socket));
            }
        }
        for (bind, socket) in streams {
            self.sockets.adopt(bind, socket)?;
        }
        for (bind, socket) in datagrams {
            // A listener of datagrams may have the same address with port 0, but not the same port.
            let local = socket.local_addr()?.as_socket();
            if is_bound(snapshot, bind, Kind::Quic) && local == Some(self.sockets.local(bind)) {
                socket.set_nonblocking(true)?;
                self.quic.add(bind, socket.into());
            } else {
                self.datagrams.adopt(bind, socket)?;
            }
        }
        Ok(())
    }

    /// Makes sure of every socket that a snapshot needs; those that the workers do not have from `running`, for each.
    ///
    /// # Errors
    /// An address cannot be had; what was bound new is closed again.
    pub fn bind(
        &mut self,
        snapshot: &Snapshot,
        workers: usize,
        running: Option<&Snapshot>,
    ) -> Result<Vec<Share>, BindError> {
        let bound = self.bind_all(snapshot, workers, running);
        if let (Err(_), Some(running)) = (&bound, running) {
            self.retain(running);
        }
        let shares = bound?;
        for listener in listeners(snapshot, Kind::Quic) {
            listener.announce(listener.bind.iter().map(|bind| self.sockets.local(*bind).port()).collect());
        }
        Ok(shares)
    }

    fn bind_all(
        &mut self,
        snapshot: &Snapshot,
        workers: usize,
        running: Option<&Snapshot>,
    ) -> Result<Vec<Share>, BindError> {
        let known = |kind| move |bind| running.is_some_and(|running| is_bound(running, bind, kind));
        let sockets = self.sockets.bind(&binds(snapshot, Kind::Streams), workers, known(Kind::Streams))?;
        let datagrams =
            self.datagrams.bind(&binds(snapshot, Kind::Datagrams), workers, known(Kind::Datagrams))?;
        let local = |bind| self.sockets.local(bind);
        let open = |_: SocketAddr, bind: &Bind| quic::bind(local(bind.address), bind);
        let quic = self.quic.share(&binds(snapshot, Kind::Quic), workers, known(Kind::Quic), open)?;
        let mut shares: Vec<Share> = sockets
            .into_iter()
            .zip(datagrams)
            .map(|(sockets, datagrams)| Share { sockets, datagrams, quic: Vec::new() })
            .collect();
        self.seat(&mut shares, quic);
        Ok(shares)
    }

    /// Gives each worker its sockets for HTTP/3, with its seat at each address.
    fn seat(&self, shares: &mut [Share], sockets: Vec<Vec<(SocketAddr, UdpSocket)>>) {
        let workers = shares.len();
        let mut by_bind: BTreeMap<SocketAddr, Vec<Vec<UdpSocket>>> = BTreeMap::new();
        for (worker, own) in sockets.into_iter().enumerate() {
            for (bind, socket) in own {
                let all = by_bind.entry(bind).or_insert_with(|| (0..workers).map(|_| Vec::new()).collect());
                all[worker].push(socket);
            }
        }
        for (bind, all) in by_bind {
            let predecessor = self.predecessors.get(&bind);
            for ((share, sockets), seat) in
                shares.iter_mut().zip(all).zip(seats(workers, &self.keys, predecessor))
            {
                share.quic.push(quic::Share { bind, sockets, seat });
            }
        }
    }

    /// Closes the sockets that a snapshot does not need.
    pub fn retain(&mut self, snapshot: &Snapshot) {
        self.sockets.retain(|bind| is_bound(snapshot, bind, Kind::Streams));
        self.datagrams.retain(|bind| is_bound(snapshot, bind, Kind::Datagrams));
        self.quic.retain(|bind| is_bound(snapshot, bind, Kind::Quic));
    }

    /// Keeps new clients away from addresses that a snapshot does not have.
    pub fn hold_off(&self, snapshot: &Snapshot) {
        self.sockets.hold_off(|bind| !is_bound(snapshot, bind, Kind::Streams));
    }

    /// Closes all.
    pub fn close(&mut self) {
        self.sockets.retain(|_| false);
        self.datagrams.retain(|_| false);
        self.quic.retain(|_| false);
    }

    /// Duplicates for a successor; and for one of the workers, the ways on which it passes on what is not its own.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn duplicates(&self) -> io::Result<Duplicates> {
        let mut all = self.sockets.duplicates()?;
        all.extend(self.datagrams.duplicates()?);
        let mut channels = Vec::new();
        for (bind, mut sockets) in self.quic.duplicates()? {
            let (own, other) = Channel::pair()?;
            sockets.push(other.into());
            channels.push((bind, own));
            all.push((bind, sockets));
        }
        Ok((all, channels))
    }

    /// The process's place in the line of those with the same sockets.
    pub fn generation(&self) -> u8 {
        self.keys.generation
    }

    /// Where an address of the configuration really is: the port, when the system chose it.
    pub fn local(&self, bind: SocketAddr) -> SocketAddr {
        self.datagrams.local(bind).unwrap_or_else(|| self.sockets.local(bind))
    }
}

/// Whether a listener takes datagrams.
pub fn is_udp(listener: &Listener) -> bool {
    listener.protocol == Protocol::Udp
}

/// The listeners that need this kind of sockets.
fn listeners(snapshot: &Snapshot, kind: Kind) -> impl Iterator<Item = &Arc<Listener>> {
    snapshot.listeners.iter().filter(move |listener| match kind {
        Kind::Streams => !is_udp(listener),
        Kind::Datagrams => is_udp(listener),
        Kind::Quic => listener.http3,
    })
}

/// The addresses that a snapshot needs them on.
fn binds(snapshot: &Snapshot, kind: Kind) -> Vec<Bind> {
    Bind::all(listeners(snapshot, kind).map(|listener| (&*listener.bind, listener.backlog)))
}

fn is_bound(snapshot: &Snapshot, bind: SocketAddr, kind: Kind) -> bool {
    listeners(snapshot, kind).any(|listener| listener.bind.contains(&bind))
}
