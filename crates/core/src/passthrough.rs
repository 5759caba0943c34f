//! Which pool a TCP connection goes to: by what its TLS ClientHello asks for, or to the one there is.

use crate::client_hello::Hello;
use crate::document::{DocumentError, Listener, TlsRoute};
use crate::pool::Pool;
use crate::route::{HostPattern, host_pattern};
use std::sync::Arc;

/// A TCP listener's routes, in file order, and where everything else goes.
#[derive(Debug)]
pub struct Passthrough {
    routes: Box<[Match]>,
    default: Option<Arc<Pool>>,
}

/// One route. What is `None` matches everything, a client that names nothing too.
#[derive(Debug)]
struct Match {
    names: Option<Box<[HostPattern]>>,
    protocols: Option<Box<[Box<str>]>>,
    pool: Arc<Pool>,
}

impl Passthrough {
    /// Reads a listener's routes. Error paths are relative to the listener: `tls_routes[0].sni[1]`.
    ///
    /// # Errors
    /// A name that is none, an empty list, a pool that does not exist.
    pub fn build(listener: &Listener, pools: &[Arc<Pool>]) -> Result<Self, DocumentError> {
        let find = |name: &str, path: String| {
            let pool = pools.iter().find(|pool| *pool.name == *name);
            pool.cloned().ok_or_else(|| DocumentError::new(path, format!("unknown pool '{name}'")))
        };
        let build = |(i, route): (usize, &TlsRoute)| {
            let at = |field: &str| format!("tls_routes[{i}].{field}");
            Ok(Match {
                names: route.sni.as_deref().map(|names| patterns(names, &at("sni"))).transpose()?,
                protocols: route.alpn.as_deref().map(|names| protocols(names, &at("alpn"))).transpose()?,
                pool: find(&route.pool, at("pool"))?,
            })
        };
        let routes =
            listener.tls_routes.iter().enumerate().map(build).collect::<Result<_, DocumentError>>()?;
        let default = listener.pool.as_deref().map(|name| find(name, "pool".into())).transpose()?;
        Ok(Self { routes, default })
    }

    /// Whether the ClientHello has to be read first.
    pub fn needs_hello(&self) -> bool {
        !self.routes.is_empty()
    }

    /// Where a connection goes of which nothing is known.
    pub fn default(&self) -> Option<&Arc<Pool>> {
        self.default.as_ref()
    }

    /// Where a connection with this ClientHello goes; `None` if no route matches and there is no pool for the rest.
    pub fn pool(&self, hello: &Hello) -> Option<&Arc<Pool>> {
        let matching = self.routes.iter().find(|route| route.matches(hello));
        matching.map(|route| &route.pool).or(self.default.as_ref())
    }
}

impl Match {
    fn matches(&self, hello: &Hello) -> bool {
        let is_named = |names: &[HostPattern]| {
            hello.server_name.as_deref().is_some_and(|name| names.iter().any(|one| one.matches(name)))
        };
        let is_offered = |wanted: &[Box<str>]| {
            hello.protocols().any(|offered| wanted.iter().any(|one| one.as_bytes() == offered))
        };
        self.names.as_deref().is_none_or(is_named) && self.protocols.as_deref().is_none_or(is_offered)
    }
}

fn patterns(names: &[String], path: &str) -> Result<Box<[HostPattern]>, DocumentError> {
    filled(names, path)?;
    let pattern = |(i, name): (usize, &String)| {
        let fail = |message: String| DocumentError::new(format!("{path}[{i}]"), message);
        // RFC 6066 §3 allows host names only.
        if name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err(fail(format!("'{name}' is an address, which clients never name")));
        }
        host_pattern(name).map_err(fail)
    };
    names.iter().enumerate().map(pattern).collect()
}

fn protocols(names: &[String], path: &str) -> Result<Box<[Box<str>]>, DocumentError> {
    filled(names, path)?;
    let protocol = |(i, name): (usize, &String)| {
        if (1..=255).contains(&name.len()) {
            return Ok(name.as_str().into());
        }
        Err(DocumentError::new(format!("{path}[{i}]"), "must have 1 to 255 bytes"))
    };
    names.iter().enumerate().map(protocol).collect()
}

fn filled(list: &[String], path: &str) -> Result<(), DocumentError> {
    if list.is_empty() {
        return Err(DocumentError::new(path, "is empty, so nothing could match; null stands for everything"));
    }
    Ok(())
}
