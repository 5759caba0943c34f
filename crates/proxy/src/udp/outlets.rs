//! The sockets towards endpoints of one relay and one address family, and one epoll that says which have answers.
//!
//! They are not connected, because each carries sessions to several endpoints; which ones, [`Sources`] knows. An epoll
//! of their own, instead of a task and a registration with the runtime for each, keeps a socket's cost in this process at
//! a few bytes, and brings all answers of a moment together, so that they leave in one batch.

use super::batch::send_from;
use crate::transparent;
use evenly_core::sessions::{Claim, Sources};
use nix::sys::socket::{setsockopt, sockopt};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::net::{SendAncillaryBuffer, SendFlags};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

/// Room for what an endpoint answers at once on one socket, which seldom carries more than a few sessions.
const BURST_BYTES: usize = 256 << 10;

/// Sockets that one look finds at most.
const LOOK: usize = 256;

/// The sockets.
pub struct Outlets {
    /// Which session is on which.
    pub sources: Sources,
    sockets: Vec<UdpSocket>,
    epoll: OwnedFd,
    domain: Domain,
    ready: Vec<epoll::Event>,
}

impl Outlets {
    /// None open, and never more than `most`.
    pub fn new(domain: Domain, most: u32) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self {
            sources: Sources::new(most),
            sockets: Vec::new(),
            epoll,
            domain,
            ready: Vec::with_capacity(LOOK),
        })
    }

    /// What becomes readable when any socket has answers.
    pub fn epoll(&self) -> io::Result<OwnedFd> {
        self.epoll.try_clone()
    }

    /// A socket for a session to `endpoint`; `None` when there is none left.
    pub fn claim(&mut self, endpoint: SocketAddr) -> Option<u32> {
        match self.sources.claim(endpoint)? {
            Claim::Open(source) => Some(source),
            Claim::New(source) => match self.open(source) {
                Ok(()) => {
                    self.sources.opened(endpoint);
                    Some(source)
                }
                // No descriptor or port is left: those that rest have to do.
                Err(_) => self.sources.claim_open(endpoint),
            },
        }
    }

    /// Sends to an endpoint, behind a header if there is one, and from the client's address if it is to be seen.
    pub fn send(
        &self,
        source: u32,
        endpoint: SocketAddr,
        (header, client): (Option<&[u8]>, Option<IpAddr>),
        payload: &[u8],
    ) -> io::Result<()> {
        let socket = self.socket(source)?;
        let slices = || [IoSlice::new(header.unwrap_or_default()), IoSlice::new(payload)];
        let send = || -> io::Result<usize> {
            match (client, header) {
                (Some(client), _) => Ok(send_from(socket.as_fd(), client, endpoint, &slices())?),
                (None, None) => Ok(rustix::net::sendto(socket, payload, SendFlags::DONTWAIT, &endpoint)?),
                (None, Some(_)) => {
                    let mut control = SendAncillaryBuffer::default();
                    let flags = SendFlags::DONTWAIT;
                    Ok(rustix::net::sendmsg_addr(socket, &endpoint, &slices(), &mut control, flags)?)
                }
            }
        };
        match send() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                // What an earlier datagram met is told by the next call, whoever that one is for; the details are in the
                // error queue.
                send().map(drop)
            }
            sent => sent.map(drop),
        }
    }

    /// The socket of a number.
    pub fn socket(&self, source: u32) -> io::Result<&UdpSocket> {
        self.sockets.get(source as usize).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Numbers of sockets that have something, and whether there may be more of them.
    pub fn ready(&mut self, sources: &mut Vec<u32>) -> bool {
        self.ready.clear();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let found = epoll::wait(&self.epoll, spare_capacity(&mut self.ready), Some(&at_once)).unwrap_or(0);
        sources.extend(self.ready.iter().filter_map(|event| u32::try_from(event.data.u64()).ok()));
        found == LOOK
    }

    /// Closes what a burst has left over.
    pub fn shrink(&mut self) {
        let left = self.sources.shrink();
        self.sockets.truncate(left as usize);
    }

    fn open(&mut self, source: u32) -> io::Result<()> {
        let socket = Socket::new(self.domain, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        // Best effort; so are the reports of unreachable endpoints.
        let _ = socket.set_recv_buffer_size(BURST_BYTES);
        let any: SocketAddr = if self.domain == Domain::IPV4 {
            let _ = setsockopt(&socket, sockopt::Ipv4RecvErr, &true);
            ([0, 0, 0, 0], 0).into()
        } else {
            let _ = setsockopt(&socket, sockopt::Ipv6RecvErr, &true);
            ([0_u16; 8], 0).into()
        };
        // Best effort as well: where it may not be, no pool that needs it was let in.
        let _ = transparent::allow(&socket, self.domain == Domain::IPV4);
        // Now, not by the first datagram: a port that is to be had for nobody shows here.
        socket.bind(&any.into())?;
        let socket: UdpSocket = socket.into();
        let data = epoll::EventData::new_u64(u64::from(source));
        epoll::add(&self.epoll, socket.as_fd(), data, epoll::EventFlags::IN | epoll::EventFlags::ET)?;
        self.sockets.push(socket);
        Ok(())
    }
}
