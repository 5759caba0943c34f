//! Reads a header off the front of what came.

use super::checksum;
use super::{Addresses, FIXED, Header, MAX_BYTES, SIGNATURE, each};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";

/// The longest line of version 1, its end included (§2.1).
const LINE_BYTES: usize = 107;

/// How far a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// All bytes so far belong to a header, and it is not complete.
    More,
    /// A header, and how many bytes it takes.
    Header(Header<'a>, usize),
}

/// Not a PROXY protocol header, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// Reads the header that `bytes` begin with. What follows it is left alone.
///
/// # Errors
/// What cannot be the beginning of a header, however it goes on.
pub fn parse(bytes: &[u8]) -> Result<Parsed<'_>, Malformed> {
    if begins(bytes, SIGNATURE) {
        return binary(bytes);
    }
    if begins(bytes, WORD) {
        return text(bytes);
    }
    Err(Malformed("neither version's signature"))
}

/// Whether `bytes` begin like `signature`, as far as they go.
fn begins(bytes: &[u8], signature: &[u8]) -> bool {
    let common = bytes.len().min(signature.len());
    bytes[..common] == signature[..common]
}

/// Version 2 (§2.2).
fn binary(bytes: &[u8]) -> Result<Parsed<'_>, Malformed> {
    if bytes.len() < FIXED {
        return Ok(Parsed::More);
    }
    let (version, command) = (bytes[12] >> 4, bytes[12] & 0xF);
    if version != 2 || command > 1 {
        return Err(Malformed("a version or command that does not exist"));
    }
    let length = FIXED + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if length > MAX_BYTES {
        return Err(Malformed("longer than 4,096 bytes"));
    }
    let Some(header) = bytes.get(..length) else { return Ok(Parsed::More) };
    let (family, transport) = (bytes[13] >> 4, bytes[13] & 0xF);
    if family > 3 || transport > 2 {
        return Err(Malformed("an address family or transport that does not exist"));
    }
    let block = &header[FIXED..];
    // UNSPEC has no addresses; those of Unix sockets are two paths of 108 bytes.
    let size = [0, 12, 36, 216][usize::from(family)];
    if command == 0 {
        // LOCAL: the receiver must take whatever is in the block, and ignore it.
        return Ok(Parsed::Header(Header { addresses: None, tlvs: &[] }, length));
    }
    let Some((addresses, tlvs)) = block.split_at_checked(size) else {
        return Err(Malformed("shorter than its addresses"));
    };
    if each(tlvs).map(<[u8]>::len).sum::<usize>() != tlvs.len() {
        return Err(Malformed("a TLV that ends behind the header"));
    }
    if !checksum::holds(header, tlvs) {
        return Err(Malformed("a wrong checksum"));
    }
    let addresses = match family {
        1 => Some(pair(addresses, 4, |ip| {
            let octets: [u8; 4] = ip.try_into().ok()?;
            Some(Ipv4Addr::from(octets).into())
        })),
        2 => Some(pair(addresses, 16, |ip| {
            let octets: [u8; 16] = ip.try_into().ok()?;
            Some(Ipv6Addr::from(octets).into())
        })),
        _ => None,
    };
    Ok(Parsed::Header(Header { addresses: addresses.flatten(), tlvs }, length))
}

/// Source address, destination address, source port, destination port; `width` is that of an address.
fn pair(block: &[u8], width: usize, ip: impl Fn(&[u8]) -> Option<IpAddr>) -> Option<Addresses> {
    let port = |at: usize| Some(u16::from_be_bytes([*block.get(at)?, *block.get(at + 1)?]));
    Some(Addresses {
        source: SocketAddr::new(ip(&block[..width])?, port(2 * width)?),
        destination: SocketAddr::new(ip(&block[width..2 * width])?, port(2 * width + 2)?),
    })
}

/// Version 1 (§2.1).
fn text(bytes: &[u8]) -> Result<Parsed<'_>, Malformed> {
    let line = &bytes[..bytes.len().min(LINE_BYTES)];
    let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() < LINE_BYTES {
            Ok(Parsed::More)
        } else {
            Err(Malformed("a line without end"))
        };
    };
    let line = line[..end].strip_suffix(b"\r").ok_or(Malformed("a line that ends without CR"))?;
    let line = std::str::from_utf8(line).map_err(|_| Malformed("bytes that are not ASCII"))?;
    let mut words = line.split(' ').skip(1);
    let is_v4 = match words.next() {
        // The sender does not know; what else is on the line must be ignored.
        Some("UNKNOWN") => return Ok(Parsed::Header(Header { addresses: None, tlvs: &[] }, end + 1)),
        Some("TCP4") => true,
        Some("TCP6") => false,
        _ => return Err(Malformed("a protocol that does not exist")),
    };
    let mut address = || {
        let ip: IpAddr = words.next()?.parse().ok()?;
        (ip.is_ipv4() == is_v4).then_some(ip)
    };
    let ips = address().zip(address()).ok_or(Malformed("an address that is none of its family"))?;
    let ports = words.next().and_then(port).zip(words.next().and_then(port));
    let ports = ports.ok_or(Malformed("a port that is none"))?;
    if words.next().is_some() {
        return Err(Malformed("more than it should have"));
    }
    let addresses =
        Addresses { source: SocketAddr::new(ips.0, ports.0), destination: SocketAddr::new(ips.1, ports.1) };
    Ok(Parsed::Header(Header { addresses: Some(addresses), tlvs: &[] }, end + 1))
}

/// A port in decimal digits without leading zeros.
fn port(word: &str) -> Option<u16> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    is_plain.then(|| word.parse().ok())?
}
