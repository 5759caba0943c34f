//! Affinity to a variant: a client stays on the pool that a route's split chose for it.

use super::cookie::Cookie;
use super::secret::Secrets;
use super::token::{Reading, Tokens};
use super::{Ignored, Outcome, Told};
use crate::document::{AffinityCookie, DocumentError};
use crate::route::{PoolIndex, Request, cookie, inside};

/// The variants of a split, and the cookie that names one opaquely.
#[derive(Debug)]
pub struct Variants {
    cookie: Cookie,
    tokens: Tokens<PoolIndex>,
}

/// Which variant a client is on.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// Its pool, if the client was there before.
    pub pool: Option<PoolIndex>,
    /// Whether the client must be told its variant, again or for the first time.
    pub is_due: bool,
    /// For *record*.
    pub told: Told,
}

impl Variants {
    /// The variants among `pools` (name, weight and place); one of weight 0 is none any more, so its clients move.
    /// The cookie's name is part of what is signed, the route's is not: routes with one cookie share their variants.
    ///
    /// # Errors
    /// As [`Cookie::build`], with the path "action.affinity", or no secret to sign with.
    pub fn build<'a>(
        document: &AffinityCookie,
        pools: impl Iterator<Item = (&'a str, u32, PoolIndex)>,
        secrets: Option<&Secrets>,
    ) -> Result<Self, DocumentError> {
        let cookie = Cookie::build(document).map_err(inside("action.affinity"))?;
        let secrets = secrets
            .ok_or_else(|| DocumentError::new("action.affinity", "needs the document's affinity.secret"))?;
        let live = pools.filter(|(_, weight, _)| *weight > 0).map(|(name, _, pool)| (pool, name.as_bytes()));
        let tokens = Tokens::build(secrets, &[b"split", document.name.as_bytes()], live);
        Ok(Self { cookie, tokens })
    }

    /// The variant that a request's cookie names.
    pub fn read(&self, request: &Request<'_>) -> Variant {
        let mut variant =
            Variant { pool: None, is_due: true, told: Told { outcome: Outcome::New, ..Told::default() } };
        cookie(request.fields, &self.cookie.name, &mut |value| {
            match self.tokens.read(value) {
                Reading::Of { subject, is_current } => {
                    variant = Variant {
                        pool: Some(subject),
                        is_due: !is_current,
                        told: Told { outcome: Outcome::Hit, ignored: Ignored::Nothing },
                    };
                }
                Reading::Unknown => {
                    variant.told = Told { outcome: Outcome::Moved, ignored: Ignored::Unknown };
                }
                Reading::Tampered => variant.told.ignored = Ignored::Tampered,
            }
            variant.pool.is_some()
        });
        variant
    }

    /// Appends the `Set-Cookie` line that names a variant. `is_https`: the request came over TLS.
    pub fn write_cookie(&self, out: &mut Vec<u8>, pool: PoolIndex, is_https: bool) {
        if let Some(token) = self.tokens.token(pool) {
            self.cookie.write(out, token, is_https);
        }
    }
}
