//! Forward-auth: a service that is asked whether a request may pass.

use crate::document::{self, DocumentError, OnError};
use crate::nearest::unknown;
use crate::route::{PoolIndex, PoolIndexes, duration};
use std::time::Duration;

/// Fields that say what is asked for: a service that got the client's beside Evenly's might judge by the wrong one.
const ASKED: [&str; 2] = ["X-Forwarded-Method", "X-Forwarded-Uri"];

/// The service, and what it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardAuth {
    /// Its pool.
    pub pool: PoolIndex,
    /// The target that it is asked for.
    pub path: Box<str>,
    /// Fields of the client's request that it gets.
    pub request_headers: Box<[Box<str>]>,
    /// Fields of its answer that the endpoint gets; the client's own ones of these names never reach it.
    pub response_headers: Box<[Box<str>]>,
    /// For the whole exchange with it.
    pub timeout: Duration,
    /// Whether a request passes when the service gives no answer.
    pub allows_on_error: bool,
}

impl ForwardAuth {
    /// Checks names and resolves the pool. Error paths are relative to the table: `path`.
    ///
    /// # Errors
    /// A pool that is not there, a path that is none, a field that Evenly writes itself.
    pub fn build(document: &document::ForwardAuth, pools: &PoolIndexes<'_>) -> Result<Self, DocumentError> {
        let pool = pools.get(document.pool.as_str()).copied();
        let path = document.path.as_str();
        if !path.starts_with('/') || path.bytes().any(|b| b <= b' ' || b >= 0x7f || b == b'#') {
            let message = format!("'{path}' is not a path, which begins with '/' and has no space");
            return Err(DocumentError::new("path", message));
        }
        let names = |list: &str, names: &[String]| {
            let checked = names.iter().enumerate().map(|(i, name)| {
                super::check_field(name)
                    .map_err(|message| DocumentError::new(format!("{list}[{i}]"), message))?;
                Ok(name.as_str().into())
            });
            checked.collect::<Result<Box<[Box<str>]>, DocumentError>>()
        };
        Ok(Self {
            pool: pool.ok_or_else(|| {
                DocumentError::new("pool", unknown("pool", &document.pool, pools.keys().copied()))
            })?,
            path: path.into(),
            request_headers: {
                let own = |name: &String| ASKED.iter().any(|own| own.eq_ignore_ascii_case(name));
                if let Some(i) = document.request_headers.iter().position(own) {
                    let message = format!("'{}' is written by Evenly itself", document.request_headers[i]);
                    return Err(DocumentError::new(format!("request_headers[{i}]"), message));
                }
                names("request_headers", &document.request_headers)?
            },
            response_headers: names("response_headers", &document.response_headers)?,
            timeout: duration("timeout_ms", document.timeout_ms)?,
            allows_on_error: document.on_error == OnError::Allow,
        })
    }

    /// Whether the service is told the field called `name`.
    pub fn tells(&self, name: &str) -> bool {
        self.request_headers.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Whether the endpoint gets the field called `name` from the service's answer.
    pub fn passes_on(&self, name: &str) -> bool {
        self.response_headers.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}
