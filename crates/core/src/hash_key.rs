//! What the hash balancers hash: one value of a request, chosen by the pool.

use crate::document::{self, Balance, DocumentError, HashSource};
use crate::pool::hash::hash;
use crate::route::{Request, cookie, host_name, inside, query_parameter};
use crate::rules::is_token;
use std::net::IpAddr;

/// A hash key's source, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    ClientIp,
    /// The host, without port and without regard to case.
    Host,
    /// The path, without query.
    Path,
    /// Path and query.
    Uri,
    /// A header's first value.
    Header(Box<str>),
    /// A cookie's value.
    Cookie(Box<str>),
    /// A query parameter's first value, undecoded.
    Query(Box<str>),
}

impl HashKey {
    /// What a pool's balancer hashes: its `hash_key`, for ip-hash the client's address, for the others nothing.
    ///
    /// # Errors
    /// As [`HashKey::build`], with the path "hash_key.name".
    pub fn of_pool(pool: &document::Pool) -> Result<Option<Self>, DocumentError> {
        match (&pool.hash_key, pool.balance) {
            (None, Balance::IpHash) => Ok(Some(Self::ClientIp)),
            (None, _) => Ok(None),
            (Some(key), _) => Self::build(key).map(Some).map_err(inside("hash_key")),
        }
    }

    /// Checks that the sources that need a name have one, and the others have none. The error's path is "name".
    ///
    /// # Errors
    /// A name that is missing, superfluous, or, for headers and cookies, not a token.
    pub fn build(document: &document::HashKey) -> Result<Self, DocumentError> {
        let fail = |message: &str| Err(DocumentError::new("name", message));
        let named = |make: fn(Box<str>) -> Self, token: bool| match document.name.as_deref() {
            None | Some("") => fail("the name of the header, cookie or query parameter is missing"),
            Some(name) if token && !is_token(name) => fail("a header's or cookie's name must be a token"),
            Some(name) => Ok(make(name.into())),
        };
        let nameless = |key: Self| match document.name {
            None => Ok(key),
            Some(_) => fail("only header, cookie and query have a name"),
        };
        match document.source {
            HashSource::ClientIp => nameless(Self::ClientIp),
            HashSource::Host => nameless(Self::Host),
            HashSource::Path => nameless(Self::Path),
            HashSource::Uri => nameless(Self::Uri),
            HashSource::Header => named(Self::Header, true),
            HashSource::Cookie => named(Self::Cookie, true),
            HashSource::Query => named(Self::Query, false),
        }
    }

    /// The hash of the request's value; `None` when the request has none: then the balancer spreads such requests.
    ///
    /// The result depends on nothing else, so all nodes agree. Only [`HashKey::ClientIp`] works without a request
    /// ([`HashKey::of_address`]).
    pub fn key(&self, request: &Request<'_>, client_ip: IpAddr) -> Option<u64> {
        match self {
            Self::ClientIp => Some(Self::of_address(client_ip)),
            Self::Host => Some(hash_lower(host_name(request.host).as_bytes())),
            Self::Path => Some(hash(request.path.as_bytes())),
            Self::Uri => Some(
                request.query.map_or(0, |query| hash(query.as_bytes()).rotate_left(32))
                    ^ hash(request.path.as_bytes()),
            ),
            Self::Header(name) => request.fields.first(name).map(hash),
            Self::Cookie(name) => {
                let mut found = None;
                cookie(request.fields, name, &mut |value| {
                    found = Some(hash(value));
                    true
                });
                found
            }
            Self::Query(name) => {
                let mut found = None;
                query_parameter(request.query.unwrap_or_default(), name, &mut |value| {
                    found = Some(hash(value));
                    true
                });
                found
            }
        }
    }

    /// The hash of an address; an IPv4-mapped one is the IPv4 one.
    pub fn of_address(address: IpAddr) -> u64 {
        match address.to_canonical() {
            IpAddr::V4(v4) => hash(&v4.octets()),
            IpAddr::V6(v6) => hash(&v6.octets()),
        }
    }
}

/// Hashes without regard to case; copies only when there is an upper-case letter, and only 255 bytes, which no host
/// name exceeds (RFC 1035 §2.3.4).
fn hash_lower(text: &[u8]) -> u64 {
    if !text.iter().any(u8::is_ascii_uppercase) {
        return hash(text);
    }
    let mut lower = [0_u8; 255];
    let length = text.len().min(lower.len());
    lower[..length].copy_from_slice(&text[..length]);
    lower[..length].make_ascii_lowercase();
    hash(&lower[..length])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Fields;

    struct Cookie;

    impl Fields for Cookie {
        fn first(&self, name: &str) -> Option<&[u8]> {
            name.eq_ignore_ascii_case("cookie").then_some(b"a=1; user=ann")
        }

        fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
            self.first(name).is_some_and(test)
        }
    }

    fn key(source: HashSource, name: Option<&str>) -> Result<HashKey, DocumentError> {
        HashKey::build(&document::HashKey { source, name: name.map(String::from) })
    }

    #[test]
    fn every_source_hashes_its_value() {
        let request = Request {
            method: "GET",
            host: "Shop.Test:80",
            path: "/a",
            query: Some("q=1&p"),
            fields: &Cookie,
            tls: None,
            connect: false,
        };
        let ask = |source, name| key(source, name).unwrap().key(&request, [192, 0, 2, 1].into());
        assert_eq!(ask(HashSource::ClientIp, None), Some(hash(&[192, 0, 2, 1])));
        assert_eq!(ask(HashSource::Host, None), Some(hash(b"shop.test")));
        assert_eq!(ask(HashSource::Path, None), Some(hash(b"/a")));
        assert_eq!(ask(HashSource::Header, Some("Cookie")), Some(hash(b"a=1; user=ann")));
        assert_eq!(ask(HashSource::Header, Some("X-User")), None);
        assert_eq!(ask(HashSource::Cookie, Some("user")), Some(hash(b"ann")));
        assert_eq!(ask(HashSource::Cookie, Some("User")), None);
        assert_eq!(ask(HashSource::Query, Some("q")), Some(hash(b"1")));
        assert_eq!(ask(HashSource::Query, Some("p")), Some(hash(b"")));
        assert_eq!(ask(HashSource::Query, Some("x")), None);
        let uri =
            |query| key(HashSource::Uri, None).unwrap().key(&Request { query, ..request }, [0; 4].into());
        assert_eq!(uri(None), Some(hash(b"/a")));
        assert_ne!(uri(Some("q=1")), uri(Some("q=2")));
    }

    #[test]
    fn both_forms_of_an_address_are_one_key() {
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(HashKey::of_address(mapped), HashKey::of_address([192, 0, 2, 1].into()));
    }

    #[test]
    fn names_where_they_belong() {
        for (source, name) in [
            (HashSource::Header, None),
            (HashSource::Cookie, Some("")),
            (HashSource::Header, Some("a b")),
            (HashSource::Path, Some("x")),
        ] {
            assert_eq!(key(source, name).unwrap_err().path, "name");
        }
    }
}
