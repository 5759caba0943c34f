//! From a process to the one before it: packets of connections that the older one still has.
//!
//! Both have the same sockets, and the younger one reads from them. The other end of a pair of Unix sockets goes to it
//! together with them.

use super::seat::Packet;
use bytes::BytesMut;
use quinn_proto::EcnCodepoint;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

/// What stands before a packet: the client's address and port, the address that it came to, and flags.
const HEADER: usize = 16 + 2 + 16 + 1;

/// The largest packet.
const ROOM: usize = 64 * 1024;

/// The address that it came to is known.
const HAS_LOCAL: u8 = 0x10;
/// The client's is one of IPv4, and so is the other.
const IS_V4: u8 = 0x20;

/// What became of a packet that was to go to another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// It is on its way.
    On,
    /// There was no room for it.
    Full,
    /// Nobody is there to take it.
    Nowhere,
}

/// An end of the way.
pub struct Channel(UnixDatagram);

impl Channel {
    /// Both ends.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (own, other) = UnixDatagram::pair()?;
        own.set_nonblocking(true)?;
        other.set_nonblocking(true)?;
        Ok((Self(own), Self(other)))
    }

    /// Sends a packet.
    pub fn send(&self, packet: &Packet) -> Passed {
        let mut bytes = Vec::with_capacity(HEADER + packet.bytes.len());
        let ip = |address: IpAddr| match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        bytes.extend_from_slice(&ip(packet.remote.ip()));
        bytes.extend_from_slice(&packet.remote.port().to_be_bytes());
        bytes.extend_from_slice(&ip(packet.local.unwrap_or(Ipv6Addr::UNSPECIFIED.into())));
        let has_local = if packet.local.is_some() { HAS_LOCAL } else { 0 };
        let is_v4 = if packet.remote.is_ipv4() { IS_V4 } else { 0 };
        bytes.push(packet.ecn.map_or(0, |ecn| ecn as u8) | has_local | is_v4);
        bytes.extend_from_slice(&packet.bytes);
        match self.0.send(&bytes) {
            Ok(_) => Passed::On,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Passed::Full,
            Err(_) => Passed::Nowhere,
        }
    }

    /// Receives a packet.
    ///
    /// # Errors
    /// There is none.
    pub fn receive(&self) -> io::Result<Option<Packet>> {
        let mut room = [0; HEADER + ROOM];
        let n = self.0.recv(&mut room)?;
        Ok(parse(&room[..n]))
    }

    /// Another descriptor of this end, to be watched.
    ///
    /// # Errors
    /// The system has none left.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        Ok(self.0.try_clone()?.into())
    }
}

impl From<OwnedFd> for Channel {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor.into())
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0.into()
    }
}

fn parse(bytes: &[u8]) -> Option<Packet> {
    let (remote, rest) = bytes.split_first_chunk::<16>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let (local, rest) = rest.split_first_chunk::<16>()?;
    let (&flags, rest) = rest.split_first()?;
    let ip = |octets: [u8; 16]| match Ipv6Addr::from(octets) {
        v6 if flags & IS_V4 != 0 => v6.to_canonical(),
        v6 => v6.into(),
    };
    Some(Packet {
        remote: SocketAddr::new(ip(*remote), u16::from_be_bytes(*port)),
        local: (flags & HAS_LOCAL != 0).then(|| ip(*local)),
        ecn: EcnCodepoint::from_bits(flags & 0b11),
        bytes: BytesMut::from(rest),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_arrives_as_it_was() {
        let (own, other) = Channel::pair().unwrap();
        for (remote, local) in [
            ("192.0.2.1:7", None),
            ("192.0.2.1:7", Some("192.0.2.2")),
            ("[2001:db8::1]:7", Some("2001:db8::2")),
            ("[::ffff:192.0.2.1]:7", Some("::ffff:192.0.2.2")),
        ] {
            let (remote, local) = (remote.parse().unwrap(), local.map(|local| local.parse().unwrap()));
            let ecn = Some(EcnCodepoint::Ce);
            let packet = Packet { remote, local, ecn, bytes: BytesMut::from(&b"packet"[..]) };
            assert_eq!(own.send(&packet), Passed::On);
            let packet = other.receive().unwrap().unwrap();
            assert_eq!((packet.remote, packet.local, packet.ecn), (remote, local, ecn));
            assert_eq!(&packet.bytes[..], b"packet");
        }
        assert_eq!(other.receive().err().unwrap().kind(), io::ErrorKind::WouldBlock);
        let remote = "192.0.2.1:7".parse().unwrap();
        let packet = Packet { remote, local: None, ecn: None, bytes: BytesMut::new() };
        let passed: Vec<_> =
            (0..100_000).map(|_| own.send(&packet)).take_while(|one| *one == Passed::On).collect();
        assert!((1..100_000).contains(&passed.len()), "there is an end to it");
        assert_eq!(own.send(&packet), Passed::Full);
        drop(other);
        assert_eq!(own.send(&packet), Passed::Nowhere);
        assert!(parse(&[0; HEADER - 1]).is_none());
    }
}
