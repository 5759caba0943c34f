//! The PROXY protocol: who a connection's client is, told by the proxy that passes the connection on.
//!
//! Source: "The PROXY protocol, versions 1 & 2" (HAProxy's doc/proxy-protocol.txt). [`parse`] reads both versions,
//! [`write`] writes them; neither does I/O, and neither keeps anything. Strict: whoever is trusted to send a header is
//! trusted to send a right one, and anything else means that the sender is not who the operator thinks.

mod checksum;
mod read;
mod write;

pub use read::{Malformed, Parsed, parse};
pub use write::{Outgoing, write};

use std::net::SocketAddr;

/// The longest header that is read. Version 1 has at most 107 bytes; version 2 may claim 64 KiB, of which senders use a
/// few hundred at most (addresses, a host name, a certificate's common name).
pub const MAX_BYTES: usize = 4096;

/// What every version 2 header begins with (§2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;

/// Types of TLVs that belong to one header and are not passed on: the checksum over it, and padding (§2.2.3, §2.2.4).
const CRC32C: u8 = 0x03;
const NOOP: u8 = 0x04;

/// The versions. Both are read; which one is written, a pool's configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary, with TLVs.
    V2,
}

/// What carries the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Stream,
    /// UDP.
    Datagram,
}

/// Both ends of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// Where the client connected to.
    pub destination: SocketAddr,
}

/// A header that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Whose connection it is; `None` when it is the sender's own (LOCAL, such as a health check) or the sender does not
    /// say (UNKNOWN, UNSPEC, Unix sockets): then the connection's own addresses hold.
    pub addresses: Option<Addresses>,
    /// The TLVs of version 2 as they came, well-formed; empty for version 1.
    pub tlvs: &'a [u8],
}

/// The TLVs of a well-formed sequence, each with its three bytes of head.
fn each(mut tlvs: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_be_bytes([*tlvs.get(1)?, *tlvs.get(2)?]));
        let (one, rest) = tlvs.split_at_checked(3 + length)?;
        tlvs = rest;
        Some(one)
    })
}

#[cfg(test)]
mod tests;
