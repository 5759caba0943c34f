//! Packets from and to a socket: several of one client in one system call where the kernel can (UDP_GRO, UDP_SEGMENT),
//! with the local address that they came to, and with the marks for congestion (ECN, RFC 9000 §13.4).

use crate::udp::{v4_information, v6_information};
use bytes::BytesMut;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg};
use nix::{cmsg_space, libc};
use quinn_proto::{EcnCodepoint, Transmit};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Packets that leave in one call: what the kernel takes at once (UDP_MAX_SEGMENTS was 64 before 6.9), and at 1452 bytes
/// not more than a datagram may have.
pub const SEGMENTS: usize = 40;

/// Room for the largest datagram, which is also what the kernel joins at most.
const ROOM: usize = 64 * 1024;

/// What came in one call: packets of one client, all of one size but for the last.
pub struct Received {
    /// Who sent them.
    pub remote: SocketAddr,
    /// The address that they came to, where the socket has several.
    pub local: Option<IpAddr>,
    /// How the network marked them.
    pub ecn: Option<EcnCodepoint>,
    length: usize,
    segment: usize,
}

/// Room to receive into; one for all sockets of a worker.
pub struct Wire {
    room: Box<[u8]>,
    control: Vec<u8>,
}

impl Wire {
    /// Empty.
    pub fn new() -> Self {
        Self {
            room: vec![0; ROOM].into_boxed_slice(),
            control: cmsg_space!(libc::in6_pktinfo, libc::in_pktinfo, libc::c_int, libc::c_int),
        }
    }

    /// Receives what came next.
    ///
    /// # Errors
    /// `WouldBlock`: nothing did.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<Option<Received>> {
        let mut slices = [IoSliceMut::new(&mut self.room)];
        let message = recvmsg::<SockaddrStorage>(
            socket.as_raw_fd(),
            &mut slices,
            Some(&mut self.control),
            MsgFlags::MSG_DONTWAIT,
        )?;
        let Some(remote) = message.address.as_ref().and_then(socket_address) else { return Ok(None) };
        let length = message.bytes;
        let mut received = Received { remote, local: None, ecn: None, length, segment: length.max(1) };
        for one in message.cmsgs()? {
            match one {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    let own = Ipv4Addr::from_bits(u32::from_be(info.ipi_spec_dst.s_addr));
                    received.local = Some(own.into());
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    received.local = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                ControlMessageOwned::UdpGroSegments(size) => {
                    received.segment = usize::try_from(size).unwrap_or_default().clamp(1, length.max(1));
                }
                ControlMessageOwned::Ipv4Tos(tos) => received.ecn = EcnCodepoint::from_bits(tos),
                ControlMessageOwned::Ipv6TClass(class) => {
                    received.ecn = EcnCodepoint::from_bits((class & 0b11).try_into().unwrap_or_default());
                }
                _ => {}
            }
        }
        Ok(Some(received))
    }

    /// The packets that were received last.
    pub fn packets(&self, received: &Received) -> impl Iterator<Item = BytesMut> {
        self.room[..received.length].chunks(received.segment).map(BytesMut::from)
    }
}

/// Sends packets of one connection. `is_any`: the socket is bound to all addresses, so that it has to be told from which
/// one.
///
/// # Errors
/// The kernel did not take them: they are lost, as any packet may be.
pub fn send(socket: BorrowedFd<'_>, is_any: bool, transmit: &Transmit, bytes: &[u8]) -> io::Result<()> {
    let segment = transmit.segment_size.filter(|size| *size < bytes.len());
    let Some(size) = segment.and_then(|size| u16::try_from(size).ok()) else {
        return send_one(socket, is_any, transmit, bytes, None);
    };
    match send_one(socket, is_any, transmit, bytes, Some(size)) {
        // Devices that cannot compute checksums say EIO, kernels without it EINVAL: one by one, then.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL)) => {
            let mut packets = bytes.chunks(usize::from(size));
            packets.try_for_each(|packet| send_one(socket, is_any, transmit, packet, None))
        }
        sent => sent,
    }
}

fn send_one(
    socket: BorrowedFd<'_>,
    is_any: bool,
    transmit: &Transmit,
    bytes: &[u8],
    segment: Option<u16>,
) -> io::Result<()> {
    let marks = transmit.ecn.map_or(0, |ecn| ecn as u8);
    let class = i32::from(marks);
    let (v4, v6);
    let mut control = Vec::with_capacity(3);
    // An IPv4 client of a socket for both families is IPv4 to the kernel where marks are concerned.
    match transmit.destination.ip().to_canonical() {
        _ if marks == 0 => {}
        IpAddr::V4(_) => control.push(ControlMessage::Ipv4Tos(&marks)),
        IpAddr::V6(_) => control.push(ControlMessage::Ipv6TClass(&class)),
    }
    match transmit.src_ip.filter(|_| is_any) {
        Some(IpAddr::V4(ip)) => {
            v4 = v4_information(ip);
            control.push(ControlMessage::Ipv4PacketInfo(&v4));
        }
        Some(IpAddr::V6(ip)) => {
            v6 = v6_information(ip);
            control.push(ControlMessage::Ipv6PacketInfo(&v6));
        }
        None => {}
    }
    if let Some(size) = &segment {
        control.push(ControlMessage::UdpGsoSegments(size));
    }
    let to = SockaddrStorage::from(transmit.destination);
    let slices = [IoSlice::new(bytes)];
    sendmsg(socket.as_raw_fd(), &slices, &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
    Ok(())
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddrV4::from(*v4).into());
    }
    address.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into())
}
