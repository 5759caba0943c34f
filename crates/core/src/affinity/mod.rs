//! Affinity: the same client goes to the same endpoint for as long as that endpoint can serve it.
//!
//! ```text
//! request ── Affinity::clue ──> Clue ── pick ──> Lease ── the response comes ── Affinity::answered ──> Set-Cookie?
//!            (cookie or key)         (before the balancer)                       (the table, too)
//! ```
//!
//! * By a **cookie** ([`cookie`], [`token`], [`secret`]): signed, so nothing is remembered, and every node that has the
//!   secret reads it.
//! * By a **value** of the request ([`source`]): remembered in a [`table`], which all workers share.
//! * [`pick`] puts both before the balancer: a client stays while its endpoint drains, moves once when it dies, and
//!   belongs to whichever endpoint answered last.
//! * [`split`] keeps a client on its variant of a route's split.
//!
//! For what is no HTTP request, [`Affinity::clue_of_address`] and [`Affinity::clue_of_server_name`] make the clue.

mod cookie;
mod lru;
pub mod pick;
mod secret;
mod sip;
mod source;
pub mod split;
pub mod table;
mod token;

pub use pick::{Ask, pick};
pub use secret::Secrets;
pub use sip::SipKey;
pub use source::Source;
pub use split::Variants;

use crate::document::{self, DocumentError};
use crate::pool::hash;
use crate::pool::{Endpoint, Nanos};
use crate::route::{Request, duration, inside};
use cookie::Cookie;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::Arc;
use table::{Bounds, Key, Table};
use token::{Reading, Tokens};

/// Where a client belongs: an endpoint of a pool, by the hash of its address. It means the same after a reload, in a
/// successor process and on another node, which an endpoint's number would not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(NonZeroU64);

impl Place {
    /// The place of an endpoint.
    pub fn of(endpoint: &Endpoint) -> Self {
        Self::of_hash(endpoint.hash())
    }

    /// The place of the endpoint at an address.
    pub fn of_address(address: SocketAddr) -> Self {
        Self::of_hash(hash::address(address))
    }

    pub(crate) fn of_hash(hash: u64) -> Self {
        Self(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
    }

    pub(crate) fn hash(self) -> u64 {
        self.0.get()
    }
}

/// How a pool knows its clients again.
#[derive(Debug)]
pub enum Affinity {
    /// By a cookie of Evenly's.
    Cookie(CookieAffinity),
    /// By a value that is remembered.
    Table(TableAffinity),
}

/// Affinity by a cookie of Evenly's.
#[derive(Debug)]
pub struct CookieAffinity {
    cookie: Cookie,
    tokens: Tokens<Place>,
}

/// Affinity by a value that is remembered.
#[derive(Debug)]
pub struct TableAffinity {
    source: Source,
    bounds: Bounds,
    table: Arc<Table>,
}

/// What became of affinity for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    /// The request shows nothing that a client could be known by.
    #[default]
    None,
    /// The client went where it belongs.
    Hit,
    /// The client was not known.
    New,
    /// The endpoint that the client belonged to cannot serve it any more.
    Moved,
    /// The endpoint that the client belongs to holds as many requests as it may, so another one serves this request.
    Spilled,
}

/// A cookie that could not be heeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ignored {
    /// There was none.
    #[default]
    Nothing,
    /// Nobody with the secret made it.
    Tampered,
    /// Its endpoint, or variant, has gone, or another pool made it.
    Unknown,
}

/// What *record* says of affinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// What became of it.
    pub outcome: Outcome,
    /// What was ignored on the way.
    pub ignored: Ignored,
}

/// What a request shows of its client, and what is made of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clue {
    key: Option<Key>,
    /// Where the client belongs, as far as it is known.
    place: Option<Place>,
    /// Whether the cookie is a former secret's.
    is_old: bool,
    /// For *record*.
    pub told: Told,
}

impl Outcome {
    /// As the access log and the metrics write it; empty for [`Outcome::None`].
    pub fn reason(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Hit => "hit",
            Self::New => "new",
            Self::Moved => "moved",
            Self::Spilled => "spilled",
        }
    }
}

impl Affinity {
    /// Checks and builds a pool's affinity; `previous` is that of the running pool of the same name, whose table goes on
    /// if clients are still known by the same value. Error paths are relative to the pool.
    ///
    /// # Errors
    /// A value that cannot be meant, a hash balancer (which needs no affinity), or no secret to sign with.
    pub fn build(
        pool: &document::Pool,
        previous: Option<&Self>,
        secrets: Option<&Secrets>,
    ) -> Result<Option<Self>, DocumentError> {
        let Some(document) = &pool.affinity else { return Ok(None) };
        use document::Balance::{IpHash, Maglev, RingHash};
        if matches!(pool.balance, IpHash | RingHash | Maglev) {
            let message =
                "must be null for the hash balancers, which send a key to its endpoint by themselves";
            return Err(DocumentError::new("affinity", message));
        }
        let Some(secrets) = secrets else {
            return Err(DocumentError::new("affinity", "needs the document's affinity.secret"));
        };
        use document::Affinity as Document;
        let (source, table) = match document {
            Document::Cookie { cookie } => {
                let cookie = Cookie::build(cookie).map_err(inside("cookie")).map_err(inside("affinity"))?;
                let names: Vec<(Place, String)> = pool
                    .endpoints
                    .iter()
                    .map(|endpoint| (Place::of_address(endpoint.address), endpoint.address.to_string()))
                    .collect();
                let subjects = names.iter().map(|(place, name)| (*place, name.as_bytes()));
                let tokens = Tokens::build(secrets, &[b"pool", pool.name.as_bytes()], subjects);
                return Ok(Some(Self::Cookie(CookieAffinity { cookie, tokens })));
            }
            Document::Learn { name, table } => (Source::named(Source::Learn, name, false), table),
            Document::SourceIp { v4_bits, v6_bits, table } => (Source::source_ip(*v4_bits, *v6_bits), table),
            Document::Sni { table } => (Ok(Source::ServerName), table),
            Document::Header { name, table } => (Source::named(Source::Header, name, false), table),
            Document::Query { name, table } => (Source::named(Source::Query, name, true), table),
        };
        let source = source.map_err(inside("affinity"))?;
        let bounds = bounds(table).map_err(inside("affinity.table"))?;
        let table = match previous {
            Some(Self::Table(before)) if before.source == source => Arc::clone(&before.table),
            _ => Arc::new(Table::new(secrets.sip_key(&pool.name))),
        };
        Ok(Some(Self::Table(TableAffinity { source, bounds, table })))
    }

    /// What an HTTP request shows.
    #[inline]
    pub fn clue(&self, request: &Request<'_>, client_ip: IpAddr) -> Clue {
        match self {
            Self::Cookie(affinity) => affinity.clue(request),
            Self::Table(TableAffinity { source, table, .. }) => {
                Clue::of_key(source.value(request, client_ip, |value| table.key(value)))
            }
        }
    }

    /// What a connection or datagram shows that is no HTTP request: where it comes from.
    pub fn clue_of_address(&self, client_ip: IpAddr) -> Clue {
        match self {
            Self::Cookie(_) => Clue::default(),
            Self::Table(TableAffinity { source, table, .. }) => {
                Clue::of_key(source.of_address(client_ip, |value| table.key(value)))
            }
        }
    }

    /// What a connection over TLS shows besides, where clients are known by that: the name that its client asked for, if it
    /// did. Names compare without case.
    pub fn clue_of_server_name(&self, name: Option<&str>) -> Option<Clue> {
        let Self::Table(TableAffinity { source: Source::ServerName, table, .. }) = self else { return None };
        let key = name.map(|name| table.key(name.to_ascii_lowercase().as_bytes()));
        Some(Clue::of_key(key))
    }

    /// Whether clients are known by the name that they ask for over TLS.
    pub fn is_by_server_name(&self) -> bool {
        matches!(self, Self::Table(TableAffinity { source: Source::ServerName, .. }))
    }

    /// An endpoint has answered, so the client belongs to it from here on, whatever was said before. Whether the client
    /// must be told, with [`Affinity::write_cookie`].
    #[inline]
    pub fn answered(&self, clue: &mut Clue, place: Place, now: Nanos) -> bool {
        // Who was only let in elsewhere for once goes on belonging to where it did.
        if clue.told.outcome == Outcome::Spilled {
            return false;
        }
        let is_elsewhere = clue.place != Some(place);
        if is_elsewhere && clue.told.outcome == Outcome::Hit {
            clue.told.outcome = Outcome::Moved;
        }
        match self {
            Self::Cookie(_) => is_elsewhere || clue.is_old,
            Self::Table(affinity) => {
                if let (true, Some(key)) = (is_elsewhere, clue.key) {
                    affinity.table.put(key, place, affinity.bounds, now);
                    clue.place = Some(place);
                }
                false
            }
        }
    }

    /// Whether [`Affinity::learn`] wants to see an answer's `Set-Cookie` lines.
    #[inline]
    pub fn learns(&self) -> bool {
        matches!(self, Self::Table(TableAffinity { source: Source::Learn(_), .. }))
    }

    /// Learns the application's cookie from the value of a `Set-Cookie` line of the endpoint at `place`.
    pub fn learn(&self, clue: &mut Clue, line: &[u8], place: Place, now: Nanos) {
        let Self::Table(TableAffinity { source: Source::Learn(name), bounds, table }) = self else { return };
        let Some(value) = source::set_cookie(line, name) else { return };
        table.put(table.key(value), place, *bounds, now);
        if clue.told.outcome == Outcome::None {
            clue.told.outcome = Outcome::New;
        }
    }

    /// Appends the `Set-Cookie` line for the endpoint at `place`. `is_https`: the request came over TLS.
    pub fn write_cookie(&self, out: &mut Vec<u8>, place: Place, is_https: bool) {
        let Self::Cookie(CookieAffinity { cookie, tokens }) = self else { return };
        if let Some(token) = tokens.token(place) {
            cookie.write(out, token, is_https);
        }
    }

    /// The table, with its bounds, if clients are remembered.
    pub fn table(&self) -> Option<(&Arc<Table>, Bounds)> {
        match self {
            Self::Cookie(_) => None,
            Self::Table(affinity) => Some((&affinity.table, affinity.bounds)),
        }
    }

    /// Goes on with a predecessor's entries, of which so many are kept, before anything is served.
    pub fn inherit(&mut self, sip: SipKey, (entries, kept): (&[(u64, u64)], usize)) {
        if let Self::Table(affinity) = self {
            affinity.table = Arc::new(Table::import(sip, (entries, kept), affinity.bounds));
        }
    }

    /// Whether connections without HTTP can be known again by it.
    pub fn is_for_streams(&self) -> bool {
        matches!(
            self,
            Self::Table(TableAffinity { source: Source::SourceIp { .. } | Source::ServerName, .. })
        )
    }

    /// As the configuration writes it, for `evenly status`.
    pub fn describe(&self) -> String {
        match self {
            Self::Cookie(affinity) => format!("cookie {}", affinity.cookie.name),
            Self::Table(affinity) => affinity.source.describe(),
        }
    }

    /// Where the client belongs, as far as it is known.
    #[inline]
    fn find(&self, clue: &mut Clue, now: Nanos) -> Option<Place> {
        if let (Self::Table(affinity), Some(key)) = (self, clue.key) {
            clue.place = affinity.table.find(key, affinity.bounds, now);
        }
        clue.place
    }

    /// Claims a place for a client that is not known, or whose endpoint has died; where it belongs from now on.
    fn claim(&self, clue: &mut Clue, place: Place, now: Nanos) -> Place {
        let (Self::Table(affinity), Some(key)) = (self, clue.key) else { return place };
        let holds = affinity.table.claim(key, clue.place, place, affinity.bounds, now);
        clue.place = Some(holds);
        holds
    }
}

impl CookieAffinity {
    fn clue(&self, request: &Request<'_>) -> Clue {
        let mut clue = Clue { told: Told { outcome: Outcome::New, ..Told::default() }, ..Clue::default() };
        // A browser may send several of one name, set for several paths: the first good one counts.
        crate::route::cookie(request.fields, &self.cookie.name, &mut |value| {
            match self.tokens.read(value) {
                Reading::Of { subject, is_current } => {
                    (clue.place, clue.is_old) = (Some(subject), !is_current);
                    clue.told = Told { outcome: Outcome::Hit, ignored: Ignored::Nothing };
                }
                Reading::Unknown => {
                    clue.told = Told { outcome: Outcome::Moved, ignored: Ignored::Unknown };
                }
                Reading::Tampered => clue.told.ignored = Ignored::Tampered,
            }
            clue.place.is_some()
        });
        clue
    }
}

impl Clue {
    fn of_key(key: Option<Key>) -> Self {
        Self { key, ..Self::default() }
    }
}

fn bounds(document: &document::AffinityTable) -> Result<Bounds, DocumentError> {
    if document.max_entries == 0 {
        return Err(DocumentError::new("max_entries", "must be at least 1"));
    }
    let ttl = duration("ttl_ms", document.ttl_ms)?;
    Ok(Bounds {
        most: document.max_entries as usize,
        ttl: Nanos::try_from(ttl.as_nanos()).unwrap_or(Nanos::MAX),
    })
}

#[cfg(test)]
mod tests;
