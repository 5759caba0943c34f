//! `host [":" port]`, as it stands in `Host`, in absolute-form and in authority-form targets.

use super::alphanumeric_and;
use std::net::Ipv6Addr;

/// Checks an authority and returns it as text, with whether it has a port; `None` if it is not one.
///
/// The host is an IPv6 address in brackets or a reg-name (RFC 3986 §3.2.2) without two things the grammar would
/// allow: a comma, because `Host` must not be a list, and percent-encoding, because it has two spellings for one
/// name and endpoints differ in whether they decode it. It must not be empty. A port is 0 to 65,535 or empty.
#[inline]
pub(super) fn parse_authority(bytes: &[u8]) -> Option<(&str, Port)> {
    let host_length = if bytes.first() == Some(&b'[') {
        bracketed_length(bytes)?
    } else {
        bytes.iter().position(|&byte| !HOST_BYTES[usize::from(byte)]).unwrap_or(bytes.len())
    };
    if host_length == 0 {
        return None;
    }
    let port = match &bytes[host_length..] {
        [] => Port::Absent,
        [b':', digits @ ..] => parse_port(digits)?,
        _ => return None,
    };
    let text = std::str::from_utf8(bytes).ok()?;
    Some((text, port))
}

/// What stands behind the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// Nothing, or a colon alone.
    Absent,
    /// A number.
    Given,
}

/// The length of an IPv6 address with its brackets. A zone is not allowed: it means something on one machine only.
#[cold]
fn bracketed_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|&byte| byte == b']')?;
    let address = std::str::from_utf8(&bytes[1..end]).ok()?;
    address.parse::<Ipv6Addr>().ok().map(|_| end + 1)
}

fn parse_port(digits: &[u8]) -> Option<Port> {
    if digits.is_empty() {
        return Some(Port::Absent);
    }
    if digits.len() > LONGEST_PORT || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let port = digits.iter().fold(0, |port, digit| port * 10 + u32::from(digit - b'0'));
    (port <= u32::from(u16::MAX)).then_some(Port::Given)
}

/// Digits of 65535; more could only be zeros in front.
const LONGEST_PORT: usize = 5;

/// Unreserved bytes and sub-delimiters but the comma.
static HOST_BYTES: [bool; 256] = alphanumeric_and(b"-._~!$&'()*+;=");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_port_are_told_from_anything_else() {
        for (text, port) in [
            ("a", Some(Port::Absent)),
            ("a:", Some(Port::Absent)),
            ("shop.example.com:8080", Some(Port::Given)),
            ("10.0.0.1:65535", Some(Port::Given)),
            ("[::1]", Some(Port::Absent)),
            ("[::ffff:10.0.0.1]:80", Some(Port::Given)),
            ("a_b~c!$&'()*+;=", Some(Port::Absent)),
            ("", None),
            (":80", None),
            ("a:65536", None),
            ("a:8a", None),
            ("a:+8", None),
            ("a:80:80", None),
            ("::1", None),
            ("[]", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[fe80::1%25eth0]", None),
            ("[v1.a]", None),
            ("[10.0.0.1]", None),
            ("a b", None),
            ("a,b", None),
            ("user@a", None),
            ("a/b", None),
            ("a?b", None),
            ("a#b", None),
            ("a\\b", None),
            ("a%41", None),
            ("\u{e4}.example", None),
        ] {
            assert_eq!(parse_authority(text.as_bytes()).map(|(_, port)| port), port, "{text:?}");
        }
    }
}
