//! Which peers' forwarding fields are believed, and whose address a request then counts as.

use crate::document::DocumentError;
use crate::route::Fields;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Networks of trusted proxies, merged and sorted, so that a look-up is one binary search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedNetworks {
    ranges: Box<[(u128, u128)]>,
}

impl TrustedNetworks {
    /// Reads "10.0.0.0/8" or "fd00::/8". IPv4 networks written as IPv4-mapped IPv6 ones are the same networks.
    ///
    /// # Errors
    /// A text that is not an address, a slash and a prefix length, or whose address has bits set behind the prefix
    /// (a slip that would otherwise trust more than was meant). Paths are relative to the list: `[2]`.
    pub fn build(networks: &[String]) -> Result<Self, DocumentError> {
        let mut ranges = Vec::with_capacity(networks.len());
        for (i, network) in networks.iter().enumerate() {
            ranges.push(range(network).map_err(|message| DocumentError::new(format!("[{i}]"), message))?);
        }
        ranges.sort_unstable();
        ranges.dedup_by(|next, kept| {
            let touches = next.0 <= kept.1.saturating_add(1);
            if touches {
                kept.1 = kept.1.max(next.1);
            }
            touches
        });
        Ok(Self { ranges: ranges.into() })
    }

    /// Whether no peer is trusted.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether `address` is in one of the networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = number(address);
        let after = self.ranges.partition_point(|(first, _)| *first <= address);
        after.checked_sub(1).is_some_and(|at| address <= self.ranges[at].1)
    }

    /// The client's address: the peer's, or, if the peer is trusted, the rightmost address in `X-Forwarded-For` that
    /// is not trusted itself. An element that is not an address ends the walk from the right, because nothing to its
    /// left was written by a proxy one can trust. If all are trusted, the leftmost counts.
    ///
    /// The walk is done from left to right with the same result, so it needs no memory; its time is bounded by the
    /// size of the head, and only trusted peers can cause it.
    pub fn client_address(&self, peer: IpAddr, fields: &dyn Fields) -> IpAddr {
        let peer = peer.to_canonical();
        if self.is_empty() || !self.contains(peer) {
            return peer;
        }
        let mut client: Option<IpAddr> = None;
        fields.any("x-forwarded-for", &mut |value| {
            for element in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|e| !e.is_empty())
            {
                client = match parse_element(element) {
                    Some(address) if !self.contains(address) => Some(address),
                    Some(trusted) => client.or(Some(trusted)),
                    None => None,
                };
            }
            false
        });
        client.unwrap_or(peer)
    }
}

/// "192.0.2.1", "2001:db8::1", `[2001:db8::1]`, and both with a port, as proxies write them.
fn parse_element(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip())),
    };
    address.map(|address| address.to_canonical())
}

/// Both families on one line of numbers: IPv4 sits where IPv4-mapped addresses do.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// First and last address of a network.
pub(crate) fn range(network: &str) -> Result<(u128, u128), String> {
    let expected = || format!("'{network}' is not a network such as \"10.0.0.0/8\" or \"fd00::/8\"");
    let (address, length) = network.split_once('/').ok_or_else(expected)?;
    let address: IpAddr = address.parse().map_err(|_| expected())?;
    if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
        return Err(expected());
    }
    let length: u32 = length.parse().map_err(|_| expected())?;
    let (width, first) = (if address.is_ipv4() { 32 } else { 128 }, number(address));
    if length > width {
        return Err(format!("'{network}' has a prefix longer than {width} bits"));
    }
    let hosts = 1_u128.checked_shl(width - length).map_or(u128::MAX, |size| size - 1);
    if first & hosts != 0 {
        let meant = match (address, Ipv6Addr::from_bits(first & !hosts)) {
            (IpAddr::V4(_), v6) => v6.to_canonical(),
            (IpAddr::V6(_), v6) => IpAddr::V6(v6),
        };
        return Err(format!("'{network}' has bits set behind the prefix; the network is '{meant}/{length}'"));
    }
    Ok((first, first | hosts))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `X-Forwarded-For`, one per field.
    struct ForwardedFor(&'static [&'static str]);

    impl Fields for ForwardedFor {
        fn first(&self, _: &str) -> Option<&[u8]> {
            self.0.first().map(|value| value.as_bytes())
        }

        fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
            name.eq_ignore_ascii_case("X-Forwarded-For") && self.0.iter().any(|value| test(value.as_bytes()))
        }
    }

    fn networks(list: &[&str]) -> Result<TrustedNetworks, DocumentError> {
        TrustedNetworks::build(&list.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn membership() {
        let trusted =
            networks(&["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "fd00::/8", "::ffff:203.0.113.0/120"])
                .unwrap();
        for inside in ["10.0.0.0", "10.255.255.255", "192.0.2.7", "::ffff:10.2.3.4", "fdff::1", "203.0.113.9"]
        {
            assert!(trusted.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.0", "192.0.2.8", "fe00::", "::1", "::a00:1"] {
            assert!(!trusted.contains(outside.parse().unwrap()), "{outside}");
        }
        assert!(networks(&["::/0"]).unwrap().contains("192.0.2.1".parse().unwrap()));
        assert!(!networks(&["0.0.0.0/0"]).unwrap().contains("::1".parse().unwrap()));
        assert!(!TrustedNetworks::default().contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn slips_are_refused_with_their_place() {
        for text in
            ["10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/+8", "10.0/8", "x/8", "10.0.0.0/8 "]
        {
            let error = networks(&["::1/128", text]).unwrap_err();
            assert_eq!(error.path, "[1]", "{text}");
        }
        let error = networks(&["10.1.2.3/8"]).unwrap_err();
        assert!(error.message.ends_with("the network is '10.0.0.0/8'"), "{error}");
    }

    #[test]
    fn the_client_is_the_rightmost_untrusted_address() {
        let trusted = networks(&["10.0.0.0/8"]).unwrap();
        let cases: [(&str, &'static [&'static str], &str); 14] = [
            ("192.0.2.9", &["198.51.100.1"], "192.0.2.9"), // an untrusted peer may claim anything
            ("10.0.0.1", &[], "10.0.0.1"),
            ("::ffff:10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.1", "198.51.100.1, 10.0.0.2", "10.0.0.3"], "198.51.100.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1,, "], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", &["198.51.100.1:5000, [2001:db8::2]"], "2001:db8::2"),
            ("10.0.0.1", &["198.51.100.1:5000"], "198.51.100.1"),
        ];
        for (peer, values, client) in cases {
            let found = trusted.client_address(peer.parse().unwrap(), &ForwardedFor(values));
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {values:?}");
        }
    }
}
