//! *Admit*: who may use a route. Addresses, passwords and keys are judged here; what takes time (verifying a password,
//! asking a service) is handed back to be done, and the request is judged once more with what came of it.
//!
//! | part | file |
//! |---|---|
//! | client addresses | `networks.rs` |
//! | names and passwords | `basic.rs` reads them, `users.rs` knows whose they are, `password.rs` verifies |
//! | what verifying found out lately | `verdicts.rs` |
//! | API keys | `keys.rs` |
//! | a service that is asked | `forward.rs` |
//! | what all of them tell endpoints, and no client may | `identity_fields.rs` |

mod basic;
mod forward;
mod identity_fields;
mod keys;
mod networks;
mod password;
mod users;
mod verdicts;

pub use basic::Credentials;
pub use forward::ForwardAuth;
pub use identity_fields::IdentityFields;
pub use keys::{KeySource, KeyTable, hide_parameter, without_parameter};
pub use networks::Networks;
pub use password::Hash;
pub use users::{Claim, User, Users};
pub use verdicts::{Tag, Verdicts};

use crate::document::{self, DocumentError};
use crate::error::Failure;
use crate::route::{PoolIndexes, Request, duration, inside, query_parameter};
use crate::rules::{Side, check_name};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a request has to show before a route's action is done: all parts that are there, in this order, but of
/// passwords and keys one.
#[derive(Debug)]
pub struct Guard {
    networks: Option<Networks>,
    basic: Option<BasicAuth>,
    keys: Option<ApiKeys>,
    forward: Option<Arc<ForwardAuth>>,
    /// Fields that only Evenly may tell the endpoint, and secrets that are kept from it.
    dropped: Box<[Box<str>]>,
}

/// Names and passwords.
#[derive(Debug)]
struct BasicAuth {
    /// The `WWW-Authenticate` line.
    challenge: Box<[u8]>,
    users: Users,
    cache: Duration,
    user_header: Box<str>,
}

/// Keys.
#[derive(Debug)]
struct ApiKeys {
    source: KeySource,
    table: KeyTable,
    user_header: Box<str>,
    strip: bool,
}

/// What is to be done with a request.
#[derive(Debug)]
pub enum Judgement<'g> {
    /// It passes.
    Pass(Option<Identity<'g>>),
    /// Verify this claim and judge again; the verdict holds for so long.
    Verify(Claim, Duration),
    /// Ask this service and judge again.
    Ask(&'g Arc<ForwardAuth>),
    /// It is refused, with this line in the answer.
    Refuse(Failure, Option<&'g [u8]>),
}

/// Whose request it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity<'g> {
    /// The user's or the key's name.
    pub name: Box<str>,
    /// The field that tells the endpoint.
    pub header: &'g str,
}

/// No scheme is registered for keys, and a 401 must name one (RFC 9110 §15.5.2).
const KEY_CHALLENGE: &[u8] = b"WWW-Authenticate: ApiKey\r\n";

impl Guard {
    /// Checks and compiles. Error paths are relative to the guard: `basic_auth.users[0]`.
    ///
    /// # Errors
    /// The first value that cannot be meant as it stands.
    pub fn build(document: &document::Guard, pools: &PoolIndexes<'_>) -> Result<Self, DocumentError> {
        let document::Guard { access, basic_auth, api_keys, forward_auth } = document;
        let networks = access.as_ref().map(Networks::build).transpose().map_err(inside("access"))?;
        let basic = basic_auth.as_ref().map(BasicAuth::build).transpose().map_err(inside("basic_auth"))?;
        let keys = api_keys.as_ref().map(ApiKeys::build).transpose().map_err(inside("api_keys"))?;
        let forward =
            forward_auth.as_ref().map(|forward| ForwardAuth::build(forward, pools).map(Arc::new)).transpose();
        let forward = forward.map_err(inside("forward_auth"))?;
        let mut dropped: Vec<Box<str>> = Vec::new();
        if let Some(basic) = basic_auth {
            dropped.push(basic.user_header.as_str().into());
            dropped.extend(basic.strip.then(|| "Authorization".into()));
        }
        if let Some(keys) = api_keys {
            dropped.push(keys.user_header.as_str().into());
            if let (document::KeySource::Header { name }, true) = (&keys.source, keys.strip) {
                dropped.push(name.as_str().into());
            }
        }
        dropped.extend(forward.iter().flat_map(|forward| forward.response_headers.iter().cloned()));
        Ok(Self { networks, basic, keys, forward, dropped: dropped.into() })
    }

    /// Judges a request of the client `address`. `verdict` says what is known of a claim; `is_asked`: the service has
    /// let the request pass.
    pub fn judge(
        &self,
        address: IpAddr,
        request: &Request<'_>,
        verdict: &mut dyn FnMut(&Claim) -> Option<bool>,
        is_asked: bool,
    ) -> Judgement<'_> {
        if self.networks.as_ref().is_some_and(|networks| !networks.allows(address)) {
            return Judgement::Refuse(Failure::AddressDenied, None);
        }
        let identity = match self.identify(request, verdict) {
            Ok(identity) => identity,
            Err(judgement) => return judgement,
        };
        match &self.forward {
            Some(forward) if !is_asked => Judgement::Ask(forward),
            _ => Judgement::Pass(identity),
        }
    }

    /// Whose request it is, if anybody has to be known.
    fn identify(
        &self,
        request: &Request<'_>,
        verdict: &mut dyn FnMut(&Claim) -> Option<bool>,
    ) -> Result<Option<Identity<'_>>, Judgement<'_>> {
        if let Some(keys) = &self.keys
            && let Some(key) = keys.key_of(request)
        {
            let name = keys.table.find(&key).ok_or(Judgement::Refuse(Failure::KeyUnknown, None))?;
            return Ok(Some(Identity { name: name.into(), header: &keys.user_header }));
        }
        let Some(basic) = &self.basic else {
            let missing = Judgement::Refuse(Failure::AuthMissing, Some(KEY_CHALLENGE));
            return if self.keys.is_some() { Err(missing) } else { Ok(None) };
        };
        let refuse = |failure| Err(Judgement::Refuse(failure, Some(&*basic.challenge)));
        let Some(value) = only(|visit| request.fields.any("authorization", visit)) else {
            return refuse(Failure::AuthMissing);
        };
        if !Credentials::is_basic(&value) {
            return refuse(Failure::AuthMissing);
        }
        let Some(credentials) = Credentials::parse(&value) else { return refuse(Failure::AuthWrong) };
        let claim = basic.users.claim(credentials);
        match verdict(&claim) {
            Some(true) => Ok(Some(Identity { name: claim.user.name.clone(), header: &basic.user_header })),
            Some(false) => refuse(Failure::AuthWrong),
            None => Err(Judgement::Verify(claim, basic.cache)),
        }
    }

    /// Whether a request passes when the service gives no answer.
    pub fn allows_on_error(&self) -> bool {
        self.forward.as_ref().is_some_and(|forward| forward.allows_on_error)
    }

    /// Whether the client's field called `name` is kept from the endpoint. `-` and `_` count as the same, because
    /// servers that hand fields to programs as CGI variables cannot tell them apart.
    pub fn drops(&self, name: &str) -> bool {
        self.dropped.iter().any(|own| is_alike(own, name))
    }

    /// The fields that tell the endpoint whose request it is.
    fn told(&self) -> impl Iterator<Item = &str> {
        let basic = self.basic.iter().map(|basic| &*basic.user_header);
        let keys = self.keys.iter().map(|keys| &*keys.user_header);
        let answers = self.forward.iter().flat_map(|forward| &forward.response_headers).map(|name| &**name);
        basic.chain(keys).chain(answers)
    }

    /// The query parameter that carries a key, and whether it is kept from the endpoint; it is never logged.
    pub fn secret_parameter(&self) -> Option<(&str, bool)> {
        match self.keys.as_ref().map(|keys| (&keys.source, keys.strip))? {
            (KeySource::Query(name), strip) => Some((name, strip)),
            (KeySource::Header(_), _) => None,
        }
    }
}

impl BasicAuth {
    fn build(document: &document::BasicAuth) -> Result<Self, DocumentError> {
        let realm = document.realm.as_str();
        if realm.is_empty() || realm.bytes().any(|b| !(b' '..0x7f).contains(&b) || b == b'"' || b == b'\\') {
            return Err(DocumentError::new(
                "realm",
                "must be printable ASCII without quotes and backslashes",
            ));
        }
        check_field(&document.user_header).map_err(|message| DocumentError::new("user_header", message))?;
        let cache = match document.cache_ms {
            0 => Duration::ZERO,
            milliseconds => duration("cache_ms", milliseconds)?,
        };
        let challenge = format!("WWW-Authenticate: Basic realm=\"{realm}\", charset=\"UTF-8\"\r\n");
        Ok(Self {
            challenge: challenge.into_bytes().into(),
            users: Users::build(&document.users).map_err(inside("users"))?,
            cache,
            user_header: document.user_header.as_str().into(),
        })
    }
}

impl ApiKeys {
    fn build(document: &document::ApiKeys) -> Result<Self, DocumentError> {
        if document.keys.is_empty() {
            return Err(DocumentError::new("keys", "has no key, so nobody could come in"));
        }
        if let document::KeySource::Header { name } = &document.source {
            check_field(name).map_err(|message| DocumentError::new("source.name", message))?;
        }
        check_field(&document.user_header).map_err(|message| DocumentError::new("user_header", message))?;
        Ok(Self {
            source: KeySource::of(&document.source),
            table: KeyTable::build(&document.keys).map_err(inside("keys"))?,
            user_header: document.user_header.as_str().into(),
            strip: document.strip,
        })
    }

    /// The key that a request carries; two are as good as a wrong one.
    fn key_of(&self, request: &Request<'_>) -> Option<Vec<u8>> {
        match &self.source {
            KeySource::Header(name) => only(|visit| request.fields.any(name, visit)),
            KeySource::Query(name) => {
                only(|visit| query_parameter(request.query.unwrap_or_default(), name, visit))
            }
        }
    }
}

/// The one value that is visited; an empty one, which is never right, if there are several: each reader might take another
/// one for the true one.
fn only(values: impl FnOnce(&mut dyn FnMut(&[u8]) -> bool) -> bool) -> Option<Vec<u8>> {
    let mut found: Option<Vec<u8>> = None;
    values(&mut |value| {
        found = Some(if found.is_some() { Vec::new() } else { value.to_vec() });
        false
    });
    found
}

/// Whether a name may stand in a header and in logs, and be told apart from a password.
fn check_user(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > 128 || name.chars().any(|c| c.is_control() || c == ':') {
        return Err("a name has 1 to 128 bytes, no colon and no control characters".into());
    }
    Ok(())
}

/// Whether a field may be passed between client, service and endpoint under its own name.
fn check_field(name: &str) -> Result<(), String> {
    const FORWARDING: [&str; 5] =
        ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "forwarded"];
    check_name(name, Side::Request)?;
    if FORWARDING.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return Err(format!("'{name}' is written by Evenly itself"));
    }
    Ok(())
}

/// Whether two names of fields are one to a reader that takes `-` and `_` for the same.
fn is_alike(one: &str, other: &str) -> bool {
    let alike =
        |a: u8, b: u8| a.eq_ignore_ascii_case(&b) || (matches!(a, b'-' | b'_') && matches!(b, b'-' | b'_'));
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(|(one, other)| alike(one, other))
}

/// Compares in a time that depends on the lengths only.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b));
    one.len() == other.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests;
