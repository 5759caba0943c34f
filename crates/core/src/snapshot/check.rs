//! What must hold between the parts of a document; each part checks itself when it is built.

use super::{pools, tls};
use crate::document::{Document, DocumentError, OnDeny, Protocol};
use crate::nearest::unknown;
use crate::proxy_protocol::Version;
use crate::route::inside;
use rustc_hash::FxHashMap;
use std::net::SocketAddr;

/// Names appear in metrics, logs and URLs.
const LONGEST_NAME: usize = 128;

/// Below, one long request's line would not fit a worker's ring; above, the rings of many workers take the memory.
const RING_BYTES: std::ops::RangeInclusive<u32> = 4096..=64 << 20;

/// Checks names and references.
///
/// # Errors
/// The first value that breaks a rule, with its path.
pub(super) fn check(document: &Document) -> Result<(), DocumentError> {
    if document.workers == 0 {
        return Err(DocumentError::new("workers", "must be at least 1"));
    }
    if document.max_connections == 0 {
        return Err(DocumentError::new("max_connections", "must be above 0"));
    }
    names("listeners", document.listeners.iter().map(|listener| listener.name.as_str()))?;
    names("pools", document.pools.iter().map(|pool| pool.name.as_str()))?;
    names("certificates", document.certificates.iter().map(|certificate| certificate.name.as_str()))?;
    names("routes", document.routes.iter().map(|route| route.name.as_str()))?;
    for (i, pool) in document.pools.iter().enumerate() {
        pools::check(pool).map_err(inside(&format!("pools[{i}]")))?;
    }
    binds(document)?;
    listener_pools(document)?;
    protocol_options(document)?;
    tls::check(document)?;
    route_listeners(document)?;
    match &document.access_log {
        Some(log) if log.path.is_empty() => Err(DocumentError::new("access_log.path", "is empty")),
        Some(log) if !RING_BYTES.contains(&log.ring_bytes) => {
            let message = format!("must be from {} to {}", RING_BYTES.start(), RING_BYTES.end());
            Err(DocumentError::new("access_log.ring_bytes", message))
        }
        _ => Ok(()),
    }
}

fn names<'a>(list: &str, names: impl Iterator<Item = &'a str>) -> Result<(), DocumentError> {
    let mut seen: FxHashMap<&str, usize> = FxHashMap::default();
    for (i, name) in names.enumerate() {
        let fail = |message| Err(DocumentError::new(format!("{list}[{i}].name"), message));
        if name.is_empty() || name.len() > LONGEST_NAME {
            return fail(format!("must have 1 to {LONGEST_NAME} bytes"));
        }
        if name.chars().any(|c| c.is_control() || c == '"' || c == '\\') {
            return fail("must not have control characters, quotes or backslashes".into());
        }
        if let Some(first) = seen.insert(name, i) {
            return fail(format!("'{name}' is already the name of {list}[{first}]"));
        }
    }
    Ok(())
}

/// Two sockets on one address would share its connections at random. Port 0 is a new port each time, and an address
/// beside the wildcard of the same port is more specific, which the kernel prefers.
fn binds(document: &Document) -> Result<(), DocumentError> {
    let mut seen: FxHashMap<(SocketAddr, bool), &str> = FxHashMap::default();
    for (i, listener) in document.listeners.iter().enumerate() {
        for (j, address) in listener.bind.iter().enumerate().filter(|(_, address)| address.port() != 0) {
            // Ports of UDP are others than those of TCP; HTTP/3 takes both.
            let is_udp = listener.protocol == Protocol::Udp;
            for is_udp in [is_udp].into_iter().chain(listener.http3.then_some(true)) {
                if let Some(first) = seen.insert((*address, is_udp), &listener.name) {
                    let message = format!("{address} is already bound by listener '{first}'");
                    return Err(DocumentError::new(format!("listeners[{i}].bind[{j}]"), message));
                }
            }
        }
    }
    Ok(())
}

fn listener_pools(document: &Document) -> Result<(), DocumentError> {
    for (i, listener) in document.listeners.iter().enumerate() {
        let fail = |message: String| Err(DocumentError::new(format!("listeners[{i}].pool"), message));
        match (listener.protocol, &listener.pool) {
            (Protocol::Http, None) => {}
            (Protocol::Http, Some(_)) => {
                return fail("an http listener has routes, not a pool".into());
            }
            (Protocol::Tcp, None) if !listener.tls_routes.is_empty() => {}
            (Protocol::Tcp, None) => return fail("a tcp listener needs a pool".into()),
            (Protocol::Udp, None) => return fail("a udp listener needs a pool".into()),
            (Protocol::Tcp | Protocol::Udp, Some(name)) => {
                let pools = || document.pools.iter().map(|pool| pool.name.as_str());
                if !pools().any(|pool| pool == name) {
                    return fail(unknown("pool", name, pools()));
                }
            }
        }
    }
    Ok(())
}

/// What one protocol has and the others have not.
fn protocol_options(document: &Document) -> Result<(), DocumentError> {
    for (i, listener) in document.listeners.iter().enumerate() {
        let fail =
            |field: &str, message: &str| Err(DocumentError::new(format!("listeners[{i}].{field}"), message));
        let protocol = listener.protocol;
        if protocol != Protocol::Tcp && !listener.tls_routes.is_empty() {
            return fail("tls_routes", "belong to a tcp listener");
        }
        if protocol == Protocol::Udp && listener.proxy_protocol.is_some() {
            return fail("proxy_protocol", "is not read from datagrams");
        }
        if protocol == Protocol::Udp && listener.tls.is_some() {
            return fail("tls", "is not spoken over datagrams here");
        }
        if listener.http3 && (protocol != Protocol::Http || listener.tls.is_none()) {
            return fail("http3", "needs an http listener with tls");
        }
        if listener.http3 && listener.proxy_protocol.is_some() {
            return fail("http3", "has no place for proxy_protocol");
        }
        if listener.tls.is_some() && !listener.tls_routes.is_empty() {
            return fail("tls_routes", "pass TLS through, and this listener terminates it");
        }
        if (protocol == Protocol::Udp) != listener.sessions.is_some() {
            return fail("sessions", "must be set for udp, and null for the others");
        }
        if protocol == Protocol::Udp && listener.access.on_deny != OnDeny::Drop {
            return fail("access.on_deny", "must be drop for udp: there is no connection to end");
        }
        let text = |pool: &&crate::document::Pool| {
            Some(&pool.name) == listener.pool.as_ref() && pool.proxy_protocol == Some(Version::V1)
        };
        if protocol == Protocol::Udp && document.pools.iter().find(text).is_some() {
            return fail("pool", "its endpoints get PROXY protocol version 1, which has no datagrams");
        }
    }
    Ok(())
}

fn route_listeners(document: &Document) -> Result<(), DocumentError> {
    let protocols: FxHashMap<&str, Protocol> =
        document.listeners.iter().map(|listener| (listener.name.as_str(), listener.protocol)).collect();
    for (i, route) in document.routes.iter().enumerate() {
        let Some(names) = &route.listeners else { continue };
        if names.is_empty() {
            let message = "is empty, so nothing could match; null stands for all listeners";
            return Err(DocumentError::new(format!("routes[{i}].listeners"), message));
        }
        for (j, name) in names.iter().enumerate() {
            let fail = |message| Err(DocumentError::new(format!("routes[{i}].listeners[{j}]"), message));
            match protocols.get(name.as_str()) {
                Some(Protocol::Http) => {}
                Some(Protocol::Tcp) => {
                    return fail(format!("'{name}' is a tcp listener, and these routes are for requests"));
                }
                Some(Protocol::Udp) => {
                    return fail(format!("'{name}' is a udp listener, which has no routes"));
                }
                None => return fail(unknown("listener", name, protocols.keys().copied())),
            }
        }
    }
    Ok(())
}
