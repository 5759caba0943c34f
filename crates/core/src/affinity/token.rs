//! Tokens: what stands in a cookie. Opaque, signed, and the same on every node that has the secret.
//!
//! ```text
//! id  = base64url(first 96 bits of HMAC(secret, "id",  scope, subject))       16 characters
//! tag = base64url(first 96 bits of HMAC(secret, "tag", id))                   16 characters
//! ```
//!
//! The subject (an endpoint's address, a variant's pool) cannot be read out of the id, nor guessed and compared, without
//! the secret. All tokens of a scope are known beforehand, so reading one is a look-up and a comparison; only an id that
//! is none of them has its tag computed, to tell a token of something that has gone from one that nobody signed.
//!
//! Every client of an endpoint has the same token, so it says nothing about who the client is. What it does tell is
//! which clients share an endpoint, and their number if somebody collects enough.

use super::secret::{Key, Secrets};
use rustc_hash::FxHashMap;

/// Bytes of a token's text.
pub const TOKEN_BYTES: usize = 32;
const HALF: usize = TOKEN_BYTES / 2;

/// A token's text.
pub type Token = [u8; TOKEN_BYTES];

/// The tokens of one scope, and what each stands for.
#[derive(Debug)]
pub struct Tokens<T> {
    by_id: FxHashMap<[u8; HALF], Known<T>>,
    texts: FxHashMap<T, Token>,
    secrets: Secrets,
}

#[derive(Debug)]
struct Known<T> {
    tag: u128,
    subject: T,
    is_current: bool,
}

/// What a cookie's value turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading<T> {
    /// A token of this.
    Of {
        /// What it stands for.
        subject: T,
        /// Whether the current secret signed it; if not, a new one is due.
        is_current: bool,
    },
    /// Signed, but it stands for nothing here: what it was made for has gone, or another scope made it.
    Unknown,
    /// Nobody with the secret made it.
    Tampered,
}

impl<T: Copy + Eq + std::hash::Hash> Tokens<T> {
    /// Makes the tokens of `subjects`, each with the bytes that name it within `scope`.
    pub fn build<'a>(
        secrets: &Secrets,
        scope: &[&[u8]],
        subjects: impl Iterator<Item = (T, &'a [u8])>,
    ) -> Self {
        let (mut by_id, mut texts) = (FxHashMap::default(), FxHashMap::default());
        for (subject, name) in subjects {
            let parts = [scope, &[name]].concat();
            for (key, is_current) in secrets.keys() {
                let id = half(&key.mac("id", &parts));
                let tag = tag(key, &id);
                by_id.entry(id).or_insert(Known { tag: u128::from_ne_bytes(tag), subject, is_current });
                if is_current {
                    let mut text = [0; TOKEN_BYTES];
                    text[..HALF].copy_from_slice(&id);
                    text[HALF..].copy_from_slice(&tag);
                    texts.insert(subject, text);
                }
            }
        }
        Self { by_id, texts, secrets: secrets.clone() }
    }

    /// Reads a cookie's value.
    #[inline]
    pub fn read(&self, value: &[u8]) -> Reading<T> {
        let Ok(token) = Token::try_from(value) else { return Reading::Tampered };
        let ([id, tag], _) = token.as_chunks::<HALF>() else { return Reading::Tampered };
        match self.by_id.get(id) {
            // Numbers are compared in one step, so how long it takes does not tell how much of a guess is right.
            Some(known) if known.tag == u128::from_ne_bytes(*tag) => {
                Reading::Of { subject: known.subject, is_current: known.is_current }
            }
            Some(_) => Reading::Tampered,
            None => self.read_unknown(id, tag),
        }
    }

    #[cold]
    fn read_unknown(&self, id: &[u8; HALF], found: &[u8; HALF]) -> Reading<T> {
        let found = u128::from_ne_bytes(*found);
        let is_signed = self.secrets.keys().any(|(key, _)| u128::from_ne_bytes(tag(key, id)) == found);
        if is_signed { Reading::Unknown } else { Reading::Tampered }
    }

    /// The token of a subject, by the current secret.
    pub fn token(&self, subject: T) -> Option<&Token> {
        self.texts.get(&subject)
    }
}

fn tag(key: &Key, id: &[u8; HALF]) -> [u8; HALF] {
    half(&key.mac("tag", &[id]))
}

/// The first 96 bits in base64url (RFC 4648 §5): 12 bytes become 16 characters without padding.
fn half(code: &[u8; 32]) -> [u8; HALF] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (threes, _) = code.as_chunks::<3>();
    let mut text = [0; HALF];
    let (fours, _) = text.as_chunks_mut::<4>();
    for (four, [a, b, c]) in fours.iter_mut().zip(threes) {
        let bits = u32::from_be_bytes([0, *a, *b, *c]);
        for (digit, shift) in four.iter_mut().zip([18, 12, 6, 0]) {
            *digit = DIGITS[(bits >> shift) as usize & 63];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{AffinitySecrets, Secret};
    use proptest::prelude::*;

    fn secrets(current: &str, previous: Option<&str>) -> Secrets {
        let secret = |text: &str| Secret(text.to_owned());
        let document =
            AffinitySecrets { secret: Some(secret(current)), previous_secret: previous.map(secret) };
        Secrets::build(&document).unwrap().unwrap()
    }

    fn tokens(secrets: &Secrets, scope: &str) -> Tokens<u32> {
        let subjects: [(u32, &[u8]); 3] = [(1, b"10.0.0.1:80"), (2, b"10.0.0.2:80"), (3, b"[::1]:80")];
        Tokens::build(secrets, &[scope.as_bytes()], subjects.into_iter())
    }

    const OLD: &str = "0123456789abcdef";
    const NEW: &str = "fedcba9876543210";

    #[test]
    fn half_is_base64url() {
        let mut code = [0; 32];
        code[..12].copy_from_slice(&[0, 0x10, 0x83, 0x10, 0x51, 0x87, 0x20, 0x92, 0x8b, 0xff, 0xff, 0xfe]);
        assert_eq!(&half(&code), b"ABCDEFGHIJKL___-");
    }

    #[test]
    fn every_node_with_the_secret_reads_it() {
        let (here, there) = (tokens(&secrets(OLD, None), "app"), tokens(&secrets(OLD, None), "app"));
        for subject in 1..=3 {
            let token = here.token(subject).unwrap();
            assert_eq!(there.read(token), Reading::Of { subject, is_current: true });
            assert!(token.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)));
        }
    }

    #[test]
    fn a_rotation_goes_node_by_node() {
        let (old, new) = (secrets(OLD, None), secrets(NEW, Some(OLD)));
        let (before, after) = (tokens(&old, "app"), tokens(&new, "app"));
        let of = |subject, is_current| Reading::Of { subject, is_current };
        assert_eq!(after.read(before.token(2).unwrap()), of(2, false));
        assert_eq!(after.read(after.token(2).unwrap()), of(2, true));
        // First every node learns the new secret as the previous one, so that it can read what others sign already.
        let prepared = tokens(&secrets(OLD, Some(NEW)), "app");
        assert_eq!(prepared.read(after.token(2).unwrap()), of(2, false));
        assert_eq!(before.read(after.token(2).unwrap()), Reading::Tampered);
        assert_eq!(tokens(&secrets(NEW, None), "app").read(before.token(2).unwrap()), Reading::Tampered);
    }

    #[test]
    fn another_scope_and_what_has_gone_are_unknown() {
        let secrets = secrets(OLD, None);
        let (app, shop) = (tokens(&secrets, "app"), tokens(&secrets, "shop"));
        assert_ne!(app.token(1), shop.token(1));
        assert_eq!(shop.read(app.token(1).unwrap()), Reading::Unknown);
        let fewer = Tokens::build(&secrets, &[b"app"], [(2, &b"10.0.0.2:80"[..])].into_iter());
        assert_eq!(fewer.read(app.token(1).unwrap()), Reading::Unknown);
    }

    proptest! {
        #[test]
        fn any_change_is_found(subject in 1_u32..=3, at in 0..TOKEN_BYTES, bits in 1_u8..) {
            let tokens = tokens(&secrets(NEW, Some(OLD)), "app");
            let mut token = *tokens.token(subject).unwrap();
            token[at] ^= bits;
            prop_assert_eq!(tokens.read(&token), Reading::Tampered);
        }

        #[test]
        fn halves_of_two_tokens_make_none(one in 1_u32..=3, other in 1_u32..=3) {
            prop_assume!(one != other);
            let tokens = tokens(&secrets(OLD, None), "app");
            let mut token = *tokens.token(one).unwrap();
            token[HALF..].copy_from_slice(&tokens.token(other).unwrap()[HALF..]);
            prop_assert_eq!(tokens.read(&token), Reading::Tampered);
        }

        #[test]
        fn anything_else_is_tampered(value in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(tokens(&secrets(OLD, None), "app").read(&value), Reading::Tampered);
        }
    }
}
