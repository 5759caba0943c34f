//! Sockets by the address in the configuration, one for each worker: what listeners of streams and of datagrams have in
//! common.

use super::{Bind, BindError};
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

/// A socket that workers and a successor get duplicates of.
pub trait Bound: Sized + Into<OwnedFd> {
    /// Where it is bound.
    fn address(&self) -> io::Result<SocketAddr>;
    /// Another descriptor of it.
    fn duplicate(&self) -> io::Result<Self>;
}

impl Bound for TcpListener {
    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn duplicate(&self) -> io::Result<Self> {
        self.try_clone()
    }
}

impl Bound for UdpSocket {
    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn duplicate(&self) -> io::Result<Self> {
        self.try_clone()
    }
}

/// The originals.
pub struct Groups<S> {
    by_bind: BTreeMap<SocketAddr, Vec<S>>,
}

impl<S> Default for Groups<S> {
    fn default() -> Self {
        Self { by_bind: BTreeMap::new() }
    }
}

impl<S: Bound> Groups<S> {
    /// Adds a socket that is there already.
    pub fn add(&mut self, bind: SocketAddr, socket: S) {
        self.by_bind.entry(bind).or_default().push(socket);
    }

    /// The sockets of an address.
    pub fn of(&self, bind: SocketAddr) -> &[S] {
        self.by_bind.get(&bind).map_or(&[], Vec::as_slice)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&SocketAddr, &Vec<S>)> {
        self.by_bind.iter()
    }

    /// Makes sure of `workers` sockets on every address, with `open`. On an error, what was bound new is closed again.
    ///
    /// Returns for each worker the duplicates of the sockets that are new to it. `known` tells which addresses the
    /// workers have already.
    pub fn share(
        &mut self,
        binds: &[Bind],
        workers: usize,
        known: impl Fn(SocketAddr) -> bool,
        open: impl Fn(SocketAddr, &Bind) -> io::Result<S>,
    ) -> Result<Vec<Vec<(SocketAddr, S)>>, BindError> {
        let mut new = BTreeMap::new();
        let mut shares: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        for bind in binds {
            let at = |error| BindError { address: bind.address, error };
            let have = self.of(bind.address);
            let mut made: Vec<S> = Vec::new();
            while have.len() + made.len() < workers {
                // With port 0 the others have to follow the first.
                let first = have.first().or(made.first()).and_then(|socket| socket.address().ok());
                made.push(open(first.unwrap_or(bind.address), bind).map_err(at)?);
            }
            if !known(bind.address) {
                // More sockets than workers (a parent that had more) are spread over those there are.
                for (index, socket) in have.iter().chain(&made).enumerate() {
                    shares[index % workers].push((bind.address, socket.duplicate().map_err(at)?));
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
        let duplicate = |(address, sockets): (&SocketAddr, &Vec<S>)| {
            let copies = sockets.iter().map(|socket| socket.duplicate().map(Into::into));
            Ok((*address, copies.collect::<io::Result<Vec<_>>>()?))
        };
        self.by_bind.iter().map(duplicate).collect()
    }

    /// Where an address of the configuration really is: the port, when the system chose it.
    pub fn local(&self, bind: SocketAddr) -> Option<SocketAddr> {
        self.of(bind).first()?.address().ok()
    }
}
