//! A route of the document → [`Route`]: every text parsed, every name resolved.

use super::{
    Action, Conditions, Fault, HostRewrite, Mirror, PathPattern, PoolIndex, Rewrite, Route, RouteId, Split,
    Timeouts, host_pattern, is_host_and_port,
};
use crate::access::Guard;
use crate::answer::Answer;
use crate::compression::Compression;
use crate::document::{self, DocumentError, PathMatch};
use crate::nearest::unknown;
use crate::retry::Policy;
use crate::rules::{Rules, Side};
use crate::template::Template;
use rustc_hash::FxHashMap;
use std::time::Duration;

/// Pools of the document by name.
pub type PoolIndexes<'a> = FxHashMap<&'a str, PoolIndex>;

impl Route {
    /// Checks and compiles. Error paths are relative to the route: `hosts[0]`.
    ///
    /// # Errors
    /// The first value that cannot be meant as it stands, or that would be ignored.
    pub fn build(
        document: &document::Route,
        id: RouteId,
        pools: &PoolIndexes<'_>,
    ) -> Result<Self, DocumentError> {
        let path = path(document)?;
        check_ignored(document)?;
        let rewrite = document.rewrite.as_ref().map(|rewrite| Rewrite::build(rewrite, &path)).transpose();
        Ok(Self {
            id,
            name: document.name.as_str().into(),
            hosts: hosts(document)?,
            conditions: Conditions::build(document)?,
            action: action(&document.action, pools)?,
            rewrite: rewrite.map_err(inside("rewrite"))?,
            host_rewrite: host_rewrite(&document.host_rewrite)?,
            request_rules: Rules::build(&document.request_headers, Side::Request)
                .map_err(inside("request_headers"))?,
            response_rules: Rules::build(&document.response_headers, Side::Response)
                .map_err(inside("response_headers"))?,
            timeouts: timeouts(&document.timeouts)?,
            priority: document.priority,
            retry: document.retry.as_ref().map(Policy::build).transpose().map_err(inside("retry"))?,
            body_bytes: document.body_bytes,
            allow_upgrade: document.allow_upgrade,
            early_data: document.early_data,
            guard: guard(document, pools)?,
            compression: compression(&document.compression)?,
            mirror: mirror(document, pools)?,
            fault: document.fault.as_ref().map(Fault::build).transpose().map_err(inside("fault"))?,
            path,
        })
    }
}

fn guard(document: &document::Route, pools: &PoolIndexes<'_>) -> Result<Option<Box<Guard>>, DocumentError> {
    let guard = document.guard.as_ref().map(|guard| Guard::build(guard, pools).map(Box::new));
    guard.transpose().map_err(inside("guard"))
}

pub(crate) fn compression(
    document: &Option<document::Compression>,
) -> Result<Option<Box<Compression>>, DocumentError> {
    let compression = document.as_ref().map(|compression| Compression::build(compression).map(Box::new));
    compression.transpose().map_err(inside("compression"))
}

/// Puts a part's name before the path of an error inside of it.
pub fn inside(part: &str) -> impl Fn(DocumentError) -> DocumentError {
    move |error| {
        let dot = if error.path.is_empty() || error.path.starts_with('[') { "" } else { "." };
        DocumentError::new(format!("{part}{dot}{}", error.path), error.message)
    }
}

fn path(document: &document::Route) -> Result<PathPattern, DocumentError> {
    match &document.path {
        None => Ok(PathPattern::Any),
        Some(PathMatch::Exact(path)) => PathPattern::exact(path),
        Some(PathMatch::Prefix(prefix)) => PathPattern::prefix(prefix),
        Some(PathMatch::Regex(pattern)) => PathPattern::regex(pattern),
    }
    .map_err(|message| DocumentError::new("path.value", message))
}

fn hosts(document: &document::Route) -> Result<Box<[super::HostPattern]>, DocumentError> {
    let Some(hosts) = &document.hosts else { return Ok(Box::default()) };
    if hosts.is_empty() {
        return Err(DocumentError::new(
            "hosts",
            "is empty, so nothing could match; null stands for any host",
        ));
    }
    let pattern = |(i, host): (usize, &String)| {
        host_pattern(host).map_err(|message| DocumentError::new(format!("hosts[{i}]"), message))
    };
    hosts.iter().enumerate().map(pattern).collect()
}

fn action(document: &document::Action, pools: &PoolIndexes<'_>) -> Result<Action, DocumentError> {
    let find = |name: &str, path: &str| match pools.get(name) {
        Some(index) => Ok(*index),
        None => Err(DocumentError::new(path, unknown("pool", name, pools.keys().copied()))),
    };
    match document {
        document::Action::Pool { pool } => Ok(Action::Pool(find(pool, "action.pool")?)),
        document::Action::Split { pools: shares, .. } => {
            let mut resolved = Vec::with_capacity(shares.len());
            for (i, (pool, weight)) in shares.iter().enumerate() {
                resolved.push((find(pool, &format!("action.pools[{i}]"))?, *weight));
            }
            let split = Split::new(resolved);
            split.map(Action::Split).ok_or_else(|| DocumentError::new("action.pools", "no weight is above 0"))
        }
        document::Action::Redirect { location, status } => {
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                let message = format!("{status} is not 301, 302, 303, 307 or 308");
                return Err(DocumentError::new("action.status", message));
            }
            let location = match location.as_str() {
                "" => Err("is empty".into()),
                text => Template::parse(text),
            };
            let location = location.map_err(|message| DocumentError::new("action.location", message))?;
            Ok(Action::Redirect { status: *status, location })
        }
        document::Action::Respond { status, content_type, body } => {
            Answer::new(*status, content_type, body).map(Action::Respond).map_err(inside("action"))
        }
    }
}

fn mirror(document: &document::Route, pools: &PoolIndexes<'_>) -> Result<Option<Mirror>, DocumentError> {
    let Some(mirror) = &document.mirror else { return Ok(None) };
    let Some(pool) = pools.get(mirror.pool.as_str()) else {
        return Err(DocumentError::new("mirror.pool", unknown("pool", &mirror.pool, pools.keys().copied())));
    };
    Mirror::build(mirror, *pool).map(Some).map_err(inside("mirror"))
}

/// Refuses what only forwarding heeds on routes that do not forward: ignoring it would hide a misunderstanding.
fn check_ignored(route: &document::Route) -> Result<(), DocumentError> {
    if matches!(route.action, document::Action::Pool { .. } | document::Action::Split { .. }) {
        return Ok(());
    }
    let set = [
        ("rewrite", route.rewrite.is_some()),
        ("host_rewrite", route.host_rewrite != document::HostRewrite::Preserve),
        ("request_headers", route.request_headers != document::FieldRules::default()),
        ("timeouts", route.timeouts != document::RouteTimeouts::default()),
        ("retry", route.retry.is_some()),
        ("allow_connect", route.allow_connect),
        ("compression", route.compression.is_some()),
        ("fault", route.fault.is_some()),
        ("mirror", route.mirror.is_some()),
    ];
    match set.into_iter().find(|(_, is_set)| *is_set) {
        Some((field, _)) => {
            Err(DocumentError::new(field, "has no effect on a route that does not forward to a pool"))
        }
        None => Ok(()),
    }
}

fn host_rewrite(document: &document::HostRewrite) -> Result<HostRewrite, DocumentError> {
    Ok(match document {
        document::HostRewrite::Preserve => HostRewrite::Preserve,
        document::HostRewrite::Endpoint => HostRewrite::Endpoint,
        document::HostRewrite::Literal { value } => {
            if !is_host_and_port(value) {
                let message = format!("'{value}' is not a host, or a host and a port");
                return Err(DocumentError::new("host_rewrite.value", message));
            }
            HostRewrite::Literal(value.as_str().into())
        }
    })
}

fn timeouts(document: &document::RouteTimeouts) -> Result<Timeouts, DocumentError> {
    let timeout = |field: &str, milliseconds: Option<u64>| {
        milliseconds.map(|value| duration(&format!("timeouts.{field}"), value)).transpose()
    };
    Ok(Timeouts {
        connect: timeout("connect_ms", document.connect_ms)?,
        response: timeout("response_ms", document.response_ms)?,
        request: timeout("request_ms", document.request_ms)?,
        idle: timeout("idle_ms", document.idle_ms)?,
    })
}

/// A deadline's length: above 0, and at most a year, so that adding it to a point in time cannot overflow.
pub(crate) fn duration(path: &str, milliseconds: u64) -> Result<Duration, DocumentError> {
    const YEAR_MS: u64 = 365 * 24 * 60 * 60 * 1000;
    match milliseconds {
        0 => Err(DocumentError::new(path, "must be above 0; a deadline cannot be turned off")),
        1..=YEAR_MS => Ok(Duration::from_millis(milliseconds)),
        _ => Err(DocumentError::new(path, "must be at most a year")),
    }
}
