//! Hosts of requests and of routes.

/// A host that a route names; lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This name or address.
    Exact(Box<str>),
    /// Every name below this one ("example.com" for "*.example.com"), at any depth, but not itself.
    Below(Box<str>),
}

impl HostPattern {
    /// Whether a host, lower case and without port, fits.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::Below(name) => host
                .strip_suffix(&**name)
                .and_then(|label| label.strip_suffix('.'))
                .is_some_and(|label| !label.is_empty()),
        }
    }
}

/// An authority's host: without port and without the root's dot. IPv6 addresses keep their brackets.
///
/// Read from the end, where the port is: no host that may precede one ends with a colon and digits.
pub fn host_name(authority: &str) -> &str {
    let bytes = authority.as_bytes();
    let digits = bytes.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let host = match bytes[..bytes.len() - digits].last() {
        Some(b':') => &authority[..bytes.len() - digits - 1],
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host)
}

/// Longer names do not exist (RFC 1035 §2.3.4: 255 octets on the wire, 253 as text).
pub(super) const LONGEST_HOST: usize = 253;

/// `host` in lower case, in `buffer` if it is not already; `None` if it is too long to be any route's.
pub(super) fn lower_case<'a>(host: &'a [u8], buffer: &'a mut [u8; LONGEST_HOST]) -> Option<&'a [u8]> {
    if host.len() > LONGEST_HOST {
        return None;
    }
    // Without an early exit, so that the compiler compares many bytes at once.
    if !host.iter().fold(false, |upper, byte| upper | byte.is_ascii_uppercase()) {
        return Some(host);
    }
    let lower = &mut buffer[..host.len()];
    lower.copy_from_slice(host);
    lower.make_ascii_lowercase();
    Some(lower)
}

/// Reads a route's host: "shop.example.com", "*.example.com", "192.0.2.1" or `[2001:db8::1]`.
///
/// # Errors
/// What is not one of these, has a port or upper case: such a host would never match.
pub fn host_pattern(text: &str) -> Result<HostPattern, String> {
    if let Some(v6) = text.strip_prefix('[') {
        let address = v6.strip_suffix(']').and_then(|inner| inner.parse::<std::net::Ipv6Addr>().ok());
        return match address {
            Some(address) if format!("[{address}]") == text => Ok(HostPattern::Exact(text.into())),
            Some(address) => Err(format!("'{text}' must be written [{address}]")),
            None => Err(format!("'{text}' is not an IPv6 address in brackets; hosts have no port")),
        };
    }
    if text.contains(':') {
        return Err(format!("'{text}' has a port; ports do not take part in matching"));
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(format!("'{text}' must be lower case"));
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    let label_is_good = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() > LONGEST_HOST || !name.split('.').all(label_is_good) {
        return Err(format!("'{text}' is not a host such as \"shop.example.com\" or \"*.example.com\""));
    }
    Ok(if name.len() == text.len() {
        HostPattern::Exact(name.into())
    } else {
        HostPattern::Below(name.into())
    })
}

/// Whether `text` may be a `Host` field's value (RFC 9110 §7.2).
pub fn is_host_and_port(text: &str) -> bool {
    let (host, port) = match text.rfind(':').filter(|_| !text.ends_with(']')) {
        Some(colon) => (&text[..colon], Some(&text[colon + 1..])),
        None => (text, None),
    };
    let port_is_good = port.is_none_or(|p| p.bytes().all(|b| b.is_ascii_digit()) && p.parse::<u16>().is_ok());
    port_is_good && !host.starts_with('*') && host_pattern(&host.to_ascii_lowercase()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_root_dots_are_no_part_of_a_host() {
        let cases = [
            ("a.b", "a.b"),
            ("a.b:80", "a.b"),
            ("a.b.:80", "a.b"),
            ("A.b.", "A.b"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:80", "192.0.2.1"),
            ("", ""),
            (":80", ""),
        ];
        for (authority, host) in cases {
            assert_eq!(host_name(authority), host, "{authority}");
        }
    }

    #[test]
    fn patterns() {
        let below = host_pattern("*.example.com").unwrap();
        for (host, fits) in [
            ("a.example.com", true),
            ("a.b.example.com", true),
            ("example.com", false),
            (".example.com", false),
            ("xexample.com", false),
            ("a.example.com.evil", false),
        ] {
            assert_eq!(below.matches(host), fits, "{host}");
        }
        assert!(host_pattern("[::1]").unwrap().matches("[::1]"));
        for bad in [
            "", "*", "*.", "a..b", ".a", "a.", "a b", "*a.b", "a.*.b", "A.b", "a:80", "[::1]:80", "[0:0::1]",
            "é.b",
        ] {
            assert!(host_pattern(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lower_case_borrows_when_it_can() {
        let mut buffer = [0; LONGEST_HOST];
        assert_eq!(lower_case(b"A.b", &mut buffer), Some(&b"a.b"[..]));
        assert_eq!(lower_case(&[b'a'; 254], &mut buffer), None);
    }
}
