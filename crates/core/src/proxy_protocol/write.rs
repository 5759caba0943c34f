//! Writes the header that an endpoint gets.

use super::{Addresses, CRC32C, FIXED, MAX_BYTES, NOOP, SIGNATURE, Transport, Version, each};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What a header says.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// The version that the pool's endpoints expect.
    pub version: Version,
    /// What carries the payload.
    pub transport: Transport,
    /// Whose connection it is; `None` for Evenly's own, such as a health check's.
    pub addresses: Option<Addresses>,
    /// TLVs that the client's proxy sent, well-formed; only version 2 can pass them on.
    pub tlvs: &'a [u8],
}

/// Appends the header to `out`.
pub fn write(out: &mut Vec<u8>, outgoing: &Outgoing<'_>) {
    let addresses =
        outgoing.addresses.map(|Addresses { source, destination }| one_family(source, destination));
    match outgoing.version {
        Version::V1 => text(out, addresses),
        Version::V2 => binary(out, outgoing, addresses),
    }
}

/// Both ends in the same family: IPv4 if both are, otherwise IPv6 with IPv4 mapped (RFC 4291 §2.5.5.2).
fn one_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (source, destination) = (canonical(source), canonical(destination));
    if source.is_ipv4() == destination.is_ipv4() {
        return (source, destination);
    }
    let mapped = |address: SocketAddr| SocketAddr::new(IpAddr::V6(v6(address.ip())), address.port());
    (mapped(source), mapped(destination))
}

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

fn text(out: &mut Vec<u8>, addresses: Option<(SocketAddr, SocketAddr)>) {
    let line = match addresses {
        None => "PROXY UNKNOWN\r\n".to_owned(),
        Some((source, destination)) => {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (source.ip(), destination.ip());
            format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port())
        }
    };
    out.extend_from_slice(line.as_bytes());
}

fn binary(out: &mut Vec<u8>, outgoing: &Outgoing<'_>, addresses: Option<(SocketAddr, SocketAddr)>) {
    let start = out.len();
    out.extend_from_slice(SIGNATURE);
    let Some((source, destination)) = addresses else {
        // LOCAL, UNSPEC, nothing behind.
        return out.extend_from_slice(&[0x20, 0, 0, 0]);
    };
    let transport = match outgoing.transport {
        Transport::Stream => 1,
        Transport::Datagram => 2,
    };
    let family = if source.is_ipv4() { 0x10 } else { 0x20 };
    out.extend_from_slice(&[0x21, family | transport, 0, 0]);
    for ip in [source.ip(), destination.ip()] {
        match ip {
            IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
        }
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
    for tlv in each(outgoing.tlvs).filter(|tlv| !matches!(tlv[0], CRC32C | NOOP)) {
        // Mapped addresses are longer than the client's proxy wrote; what does not fit any more stays behind.
        if out.len() - start + tlv.len() <= MAX_BYTES {
            out.extend_from_slice(tlv);
        }
    }
    let length = u16::try_from(out.len() - start - FIXED).expect("MAX_BYTES is below 64 KiB");
    out[start + FIXED - 2..start + FIXED].copy_from_slice(&length.to_be_bytes());
}
