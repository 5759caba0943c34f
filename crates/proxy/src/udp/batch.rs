//! Many datagrams in one system call, in either direction, with the local address that they came to or leave from.

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, sendmsg,
};
use nix::{cmsg_space, libc};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Datagrams in a batch. A system call costs about what four datagrams do; at 32 hardly anything of it is left for each.
pub const BATCH: usize = 32;

/// Room for the largest datagram, and an odd number of cache lines more, so that the beginnings of all do not fall on
/// the same cache sets.
const SLOT: usize = 65_536 + 192;

/// Where a datagram lies, and between whom it goes.
#[derive(Debug, Clone, Copy)]
pub struct Datagram {
    slot: usize,
    length: usize,
    /// The peer: who sent it, or who gets it.
    pub peer: SocketAddr,
    /// The local address that it came to, or leaves from; `None` where the socket has only one.
    pub local: Option<IpAddr>,
}

/// Room for a batch. Most of it is never touched: datagrams are small.
pub struct Batch {
    bytes: Box<[u8]>,
}

/// The heads of a socket's batches. Each socket has its own: the kernel shortens them to what this socket needs.
pub struct Heads(MultiHeaders<SockaddrStorage>);

impl Heads {
    /// For receiving on a socket of the address family of `local`, with the local addresses if it `is_any`.
    pub fn receiving(local: SocketAddr, is_any: bool) -> Self {
        let space = match local {
            _ if !is_any => None,
            SocketAddr::V4(_) => Some(cmsg_space!(libc::in_pktinfo)),
            SocketAddr::V6(_) => Some(cmsg_space!(libc::in6_pktinfo)),
        };
        Self(MultiHeaders::preallocate(BATCH, space))
    }

    /// For sending; otherwise as [`Heads::receiving`].
    pub fn sending(local: SocketAddr, is_any: bool) -> Self {
        Self::receiving(local, is_any)
    }
}

impl Datagram {
    /// The same payload, to `peer` from `local`.
    pub fn onwards(self, peer: SocketAddr, local: Option<IpAddr>) -> Self {
        Self { peer, local, ..self }
    }

    /// Bytes of the payload.
    pub fn length(&self) -> usize {
        self.length
    }
}

impl Batch {
    /// Empty.
    pub fn new() -> Self {
        Self { bytes: vec![0; BATCH * SLOT].into_boxed_slice() }
    }

    /// A datagram's payload.
    pub fn payload(&self, datagram: &Datagram) -> &[u8] {
        &self.bytes[datagram.slot * SLOT..][..datagram.length]
    }

    /// Receives what there is, at most `most`, into the slots from `first` on, and appends it to `received`; how many
    /// that were. Less than `most` means that the socket is empty.
    pub fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        heads: &mut Heads,
        first: usize,
        most: usize,
        received: &mut Vec<Datagram>,
    ) -> io::Result<usize> {
        let mut slots = self.bytes[first * SLOT..].chunks_exact_mut(SLOT);
        let mut slices: [[IoSliceMut<'_>; 1]; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())]);
        let wanted = &mut slices[..most.min(BATCH - first)];
        let results =
            recvmmsg(socket.as_raw_fd(), &mut heads.0, wanted.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        let mut count = 0;
        for message in results {
            let local = message.cmsgs().ok().and_then(|mut all| all.find_map(|one| local_address(&one)));
            if let Some(peer) = message.address.as_ref().and_then(socket_address) {
                received.push(Datagram { slot: first + count, length: message.bytes, peer, local });
            }
            count += 1;
        }
        Ok(count)
    }

    /// Sends datagrams, all from the local address of the first one; how many of them the kernel took.
    pub fn send(
        &self,
        socket: BorrowedFd<'_>,
        heads: &mut Heads,
        datagrams: &[Datagram],
    ) -> io::Result<usize> {
        let local = datagrams.first().and_then(|first| first.local);
        let alike = datagrams.iter().take(BATCH).take_while(|one| one.local == local);
        let mut slices: [[IoSlice<'_>; 1]; BATCH] = [[IoSlice::new(&[])]; BATCH];
        let mut addresses: [Option<SockaddrStorage>; BATCH] = [None; BATCH];
        let mut count = 0;
        for datagram in alike {
            slices[count] = [IoSlice::new(self.payload(datagram))];
            addresses[count] = Some(datagram.peer.into());
            count += 1;
        }
        let (fd, slices, addresses) = (socket.as_raw_fd(), &slices[..count], &addresses[..count]);
        let flags = MsgFlags::MSG_DONTWAIT;
        let sent = match local {
            None => {
                sendmmsg(fd, &mut heads.0, slices, addresses, [] as [ControlMessage<'_>; 0], flags)?.count()
            }
            Some(IpAddr::V4(ip)) => {
                let information = v4_information(ip);
                let control = [ControlMessage::Ipv4PacketInfo(&information)];
                sendmmsg(fd, &mut heads.0, slices, addresses, control, flags)?.count()
            }
            Some(IpAddr::V6(ip)) => {
                let information = v6_information(ip);
                let control = [ControlMessage::Ipv6PacketInfo(&information)];
                sendmmsg(fd, &mut heads.0, slices, addresses, control, flags)?.count()
            }
        };
        Ok(sent)
    }
}

/// Sends one datagram to `endpoint` from an address that need not be this machine's; its size.
pub fn send_from(
    socket: BorrowedFd<'_>,
    source: IpAddr,
    endpoint: SocketAddr,
    slices: &[IoSlice<'_>],
) -> nix::Result<usize> {
    let (fd, to) = (socket.as_raw_fd(), SockaddrStorage::from(endpoint));
    let send = |control| sendmsg(fd, slices, &[control], MsgFlags::MSG_DONTWAIT, Some(&to));
    match source {
        IpAddr::V4(ip) => send(ControlMessage::Ipv4PacketInfo(&v4_information(ip))),
        IpAddr::V6(ip) => send(ControlMessage::Ipv6PacketInfo(&v6_information(ip))),
    }
}

/// The datagram that an error message from the network (ICMP) is about: where it had been sent, and whether that cannot be
/// reached. The other messages are about its size. `None` when there is no message left.
pub fn refused(socket: BorrowedFd<'_>) -> Option<(SocketAddr, bool)> {
    let mut quoted = [0; 1];
    let mut slices = [IoSliceMut::new(&mut quoted)];
    let mut space = cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = nix::sys::socket::recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut slices,
        Some(&mut space),
        flags,
    )
    .ok()?;
    let is_unreachable = |message: ControlMessageOwned| match message {
        ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
            i32::try_from(error.ee_errno) != Ok(libc::EMSGSIZE)
        }
        _ => false,
    };
    Some((socket_address(message.address.as_ref()?)?, message.cmsgs().ok()?.any(is_unreachable)))
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddrV4::from(*v4).into());
    }
    address.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into())
}

/// The local address in a control message: the one to answer from (`ipi_spec_dst`), which for a datagram to a broadcast
/// address is another than the one it was sent to.
fn local_address(message: &ControlMessageOwned) -> Option<IpAddr> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(Ipv4Addr::from_bits(u32::from_be(info.ipi_spec_dst.s_addr)).into())
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into()),
        _ => None,
    }
}

/// That a datagram leaves from this address.
pub fn v4_information(ip: Ipv4Addr) -> libc::in_pktinfo {
    let any = libc::in_addr { s_addr: 0 };
    let own = libc::in_addr { s_addr: ip.to_bits().to_be() };
    libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: own, ipi_addr: any }
}

/// That a datagram leaves from this address.
pub fn v6_information(ip: Ipv6Addr) -> libc::in6_pktinfo {
    libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: ip.octets() }, ipi6_ifindex: 0 }
}
