//! Connections and datagrams to endpoints that come from the client's own address.
//!
//! IP_TRANSPARENT lets a socket have an address that is none of this machine's. Answers go to that address, so the
//! network has to bring them here: that is the operator's part, and `docs/guides/client-address.md` has it.

use evenly_core::document::DocumentError;
use evenly_core::snapshot::Snapshot;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

/// Lets a socket have others' addresses.
///
/// # Errors
/// The process may not, which takes CAP_NET_ADMIN or CAP_NET_RAW.
pub fn allow(socket: &impl AsFd, is_v4: bool) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if is_v4 { socket.set_ip_transparent_v4(true) } else { socket.set_ip_transparent_v6(true) }
}

/// A socket that is about to be connected to `endpoint` will come from `source`, and from any port.
///
/// # Errors
/// The addresses are of different families, or the system does not give the address.
pub fn appear_as(socket: &impl AsFd, source: IpAddr, endpoint: SocketAddr) -> io::Result<()> {
    if source.is_ipv4() != endpoint.is_ipv4() {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    allow(socket, source.is_ipv4())?;
    // The port is chosen as connections are made: one port may then serve connections to several endpoints.
    setsockopt(socket, sockopt::IpBindAddressNoPort, &true)?;
    SockRef::from(socket).bind(&SocketAddr::new(source, 0).into())
}

/// Whether this process may do what the pools of a snapshot ask for.
///
/// # Errors
/// It may not; the path is the pool's option.
pub fn check(snapshot: &Snapshot) -> Result<(), DocumentError> {
    let Some(place) = snapshot.pools.iter().position(|pool| pool.source_address.is_some()) else {
        return Ok(());
    };
    let tried = Socket::new(Domain::IPV4, Type::DGRAM, None).and_then(|socket| allow(&socket, true));
    tried.map_err(|error| {
        let message = format!("needs the capability CAP_NET_ADMIN or CAP_NET_RAW ({error})");
        DocumentError::new(format!("pools[{place}].source_address"), message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_different_families_go_with_no_socket() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let endpoint = SocketAddr::from(([127, 0, 0, 1], 1));
        let shown = appear_as(&socket, "2001:db8::1".parse().unwrap(), endpoint);
        assert_eq!(shown.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }
}
