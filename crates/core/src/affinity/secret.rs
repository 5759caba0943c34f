//! The secrets that sign cookies: HMAC-SHA-256 (RFC 2104, FIPS 180-4).
//!
//! Nothing is signed or verified while a request is decided: the cookies of all endpoints are made when a snapshot is
//! built, and a cookie that is none of them is the only one that costs a signature, see [`super::token`].

use super::sip::SipKey;
use crate::document::{AffinitySecrets, DocumentError};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A shorter secret could be found by trying.
const LEAST_BYTES: usize = 16;

/// The secret that signs, and those that still verify.
#[derive(Clone)]
pub struct Secrets {
    /// The current one first.
    keys: Vec<Key>,
}

/// A keyed state, ready to be fed.
#[derive(Clone)]
pub(super) struct Key(Hmac<Sha256>);

impl Secrets {
    /// Takes over the document's secrets; `None` if it has none.
    ///
    /// # Errors
    /// One that is too short, or only the previous one. The paths are relative to the document.
    pub fn build(document: &AffinitySecrets) -> Result<Option<Self>, DocumentError> {
        let given = [("secret", &document.secret), ("previous_secret", &document.previous_secret)];
        let mut keys = Vec::with_capacity(given.len());
        for (field, secret) in given {
            let Some(secret) = secret else { continue };
            if secret.0.len() < LEAST_BYTES {
                let message = format!("must have at least {LEAST_BYTES} bytes");
                return Err(DocumentError::new(format!("affinity.{field}"), message));
            }
            keys.push(Key::new(secret.0.as_bytes()));
        }
        if document.secret.is_none() && document.previous_secret.is_some() {
            let message = "must be set where previous_secret is";
            return Err(DocumentError::new("affinity.secret", message));
        }
        Ok((!keys.is_empty()).then_some(Self { keys }))
    }

    /// The keys, with whether each is the current one.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&Key, bool)> {
        self.keys.iter().enumerate().map(|(index, key)| (key, index == 0))
    }

    /// A hash key for a table, secret as these are.
    pub(super) fn sip_key(&self, scope: &str) -> SipKey {
        let mac = self.keys[0].mac("table", &[scope.as_bytes()]);
        let (words, _) = mac.as_chunks::<8>();
        SipKey(u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.keys.len())
    }
}

impl Key {
    fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"))
    }

    /// The code of `parts`. Each goes in behind its length, so that moving a byte from one to the next changes it;
    /// `purpose` keeps codes for one thing from being good for another.
    pub(super) fn mac(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut state = self.0.clone();
        for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
            state.update(&(part.len() as u64).to_le_bytes());
            state.update(part);
        }
        state.finalize().into_bytes().into()
    }
}
