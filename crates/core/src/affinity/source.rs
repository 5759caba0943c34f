//! By which value of a request a table knows a client again.

use crate::document::DocumentError;
use crate::route::{Request, cookie, query_parameter};
use crate::rules::is_token;
use std::net::IpAddr;

/// Where the value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The application's cookie, learned from its responses.
    Learn(Box<str>),
    /// The client's network.
    SourceIp {
        /// The bits of an IPv4 address that count.
        v4: u32,
        /// The bits of an IPv6 address that count.
        v6: u128,
    },
    /// The name that a TLS client asks for.
    ServerName,
    /// A header's first value.
    Header(Box<str>),
    /// A query parameter's first value.
    Query(Box<str>),
}

impl Source {
    /// A cookie's or header's name, or with `is_free` a parameter's.
    ///
    /// # Errors
    /// A name that no request can have; the path is "name".
    pub(super) fn named(
        make: fn(Box<str>) -> Self,
        name: &str,
        is_free: bool,
    ) -> Result<Self, DocumentError> {
        if name.is_empty() || !(is_free || is_token(name)) {
            return Err(DocumentError::new(
                "name",
                format!("'{name}' is not a name that a request can have"),
            ));
        }
        Ok(make(name.into()))
    }

    /// The leading bits that count, by family.
    ///
    /// # Errors
    /// More bits than an address has, or none.
    pub(super) fn source_ip(v4_bits: u8, v6_bits: u8) -> Result<Self, DocumentError> {
        for (field, bits, width) in [("v4_bits", v4_bits, 32), ("v6_bits", v6_bits, 128)] {
            if !(1..=width).contains(&bits) {
                return Err(DocumentError::new(field, format!("must be between 1 and {width}")));
            }
        }
        Ok(Self::SourceIp { v4: u32::MAX << (32 - v4_bits), v6: u128::MAX << (128 - v6_bits) })
    }

    /// Hands over the value of a request, if it has one.
    pub(super) fn value<T>(
        &self,
        request: &Request<'_>,
        client_ip: IpAddr,
        mut take: impl FnMut(&[u8]) -> T,
    ) -> Option<T> {
        match self {
            Self::SourceIp { .. } => self.of_address(client_ip, take),
            // Said before the request, by its connection.
            Self::ServerName => None,
            Self::Header(name) => request.fields.first(name).filter(|value| !value.is_empty()).map(take),
            Self::Learn(name) => {
                let mut taken = None;
                cookie(request.fields, name, &mut |value| {
                    taken = (!value.is_empty()).then(|| take(value));
                    taken.is_some()
                });
                taken
            }
            Self::Query(name) => {
                let mut taken = None;
                query_parameter(request.query.unwrap_or_default(), name, &mut |value| {
                    taken = (!value.is_empty()).then(|| take(value));
                    taken.is_some()
                });
                taken
            }
        }
    }

    /// Hands over an address' network, if that is what clients are known by. An IPv4-mapped address is the IPv4 one.
    pub(super) fn of_address<T>(&self, address: IpAddr, mut take: impl FnMut(&[u8]) -> T) -> Option<T> {
        let Self::SourceIp { v4, v6 } = self else { return None };
        Some(match address.to_canonical() {
            IpAddr::V4(address) => take(&(address.to_bits() & v4).to_be_bytes()),
            IpAddr::V6(address) => take(&(address.to_bits() & v6).to_be_bytes()),
        })
    }

    /// As the configuration writes it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Learn(name) => format!("learn {name}"),
            Self::SourceIp { v4, v6 } => format!("source_ip /{},/{}", v4.count_ones(), v6.count_ones()),
            Self::ServerName => "sni".to_owned(),
            Self::Header(name) => format!("header {name}"),
            Self::Query(name) => format!("query {name}"),
        }
    }
}

/// The value that a `Set-Cookie` line gives to the cookie called `name`, if it is that cookie's and not its end.
pub(super) fn set_cookie<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(name.as_bytes())?.trim_ascii_start().strip_prefix(b"=")?;
    let value = rest.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_one_client() {
        let source = Source::source_ip(24, 64).unwrap();
        let of = |address: &str| source.of_address(address.parse().unwrap(), <[u8]>::to_vec);
        assert_eq!(of("192.0.2.1"), of("192.0.2.254"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.9"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(source.describe(), "source_ip /24,/64");
        for (v4, v6, field) in
            [(0, 64, "v4_bits"), (33, 64, "v4_bits"), (32, 0, "v6_bits"), (32, 129, "v6_bits")]
        {
            assert_eq!(Source::source_ip(v4, v6).unwrap_err().path, field);
        }
    }

    #[test]
    fn set_cookie_lines() {
        for (line, value) in [
            ("JSESSIONID=abc; Path=/", Some("abc")),
            ("JSESSIONID=abc", Some("abc")),
            ("JSESSIONID = a=b ;HttpOnly", Some("a=b")),
            ("JSESSIONID=; Max-Age=0", None),
            ("JSESSIONID", None),
            ("JSESSIONID2=abc", None),
            ("jsessionid=abc", None),
        ] {
            assert_eq!(set_cookie(line.as_bytes(), "JSESSIONID"), value.map(str::as_bytes), "{line}");
        }
    }
}
