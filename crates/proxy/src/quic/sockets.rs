//! The UDP sockets of listeners that speak HTTP/3: on the address that their TCP sockets have.

use crate::sockets::Bind;
use crate::udp;
use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use std::io;
use std::net::{SocketAddr, UdpSocket};

/// Binds one socket of its own to `address`, where QUIC is spoken.
///
/// # Errors
/// The address cannot be had.
pub fn bind(address: SocketAddr, bind: &Bind) -> io::Result<UdpSocket> {
    let socket = udp::open(address, bind.only_v6)?;
    // No packet may be cut on its way (RFC 9000 §14): so larger ones are tried, and what does not fit is lost.
    match address {
        SocketAddr::V4(_) => set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE)?,
        SocketAddr::V6(_) => set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::PROBE)?,
    }
    // A socket for both families has both settings.
    if address.is_ipv6() && !bind.only_v6 {
        let _ = set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE);
        let _ = setsockopt(&socket, sockopt::IpRecvTos, &true);
    }
    // Both are only good to have: packets come one by one then, and congestion shows by loss alone.
    let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
    let _ = match address {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::IpRecvTos, &true),
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvTClass, &true),
    };
    Ok(socket)
}
