//! API keys: random words that stand for a client. The configuration has only their SHA-256, which is enough because,
//! unlike passwords, they are drawn from a space too large to be searched.

use super::is_same;
use crate::document::{self, DocumentError};
use sha2::{Digest, Sha256};

/// Keys by their hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTable {
    /// Sorted by hash.
    entries: Box<[(Fingerprint, Box<str>)]>,
}

/// A key's SHA-256.
type Fingerprint = [u8; 32];

/// A longer word is no key that anybody hands out; hashing costs time with length.
const LONGEST: usize = 512;

impl KeyTable {
    /// Reads name and hash of each key. Error paths are relative to the list: `[3]`.
    ///
    /// # Errors
    /// A hash that is not 64 hexadecimal digits, or one that two names share.
    pub fn build(keys: &[(String, String)]) -> Result<Self, DocumentError> {
        let mut entries: Vec<(Fingerprint, Box<str>)> = Vec::with_capacity(keys.len());
        for (i, (name, digits)) in keys.iter().enumerate() {
            let fail = |message: String| DocumentError::new(format!("[{i}]"), message);
            super::check_user(name).map_err(fail)?;
            let hash = from_hex(digits)
                .ok_or_else(|| fail("expected the key's SHA-256, 64 hexadecimal digits".into()))?;
            if let Some((_, other)) = entries.iter().find(|(known, _)| *known == hash) {
                return Err(fail(format!("'{name}' and '{other}' have the same key")));
            }
            entries.push((hash, name.as_str().into()));
        }
        entries.sort_unstable();
        Ok(Self { entries: entries.into() })
    }

    /// The name that a key stands for.
    ///
    /// Only hashes are compared, and those by a search that stops at the first eight bytes and a comparison of constant
    /// time: what an attacker could learn from the time is a prefix of a hash, from which no key follows.
    pub fn find(&self, key: &[u8]) -> Option<&str> {
        if key.is_empty() || key.len() > LONGEST {
            return None;
        }
        let hash: Fingerprint = Sha256::digest(key).into();
        let from = self.entries.partition_point(|(known, _)| known[..8] < hash[..8]);
        let near = self.entries[from..].iter().take_while(|(known, _)| known[..8] == hash[..8]);
        near.filter(|(known, _)| is_same(known, &hash)).map(|(_, name)| &**name).next()
    }
}

/// Where a request carries its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The value of this field.
    Header(Box<str>),
    /// The value of this query parameter, as it is written.
    Query(Box<str>),
}

impl KeySource {
    /// The document's source.
    pub fn of(document: &document::KeySource) -> Self {
        match document {
            document::KeySource::Header { name } => Self::Header(name.as_str().into()),
            document::KeySource::Query { name } => Self::Query(name.as_str().into()),
        }
    }
}

/// `query` without any parameter called `name`; `None` if nothing is left.
pub fn without_parameter(query: &str, name: &str) -> Option<String> {
    let kept: Vec<&str> =
        query.split('&').filter(|pair| pair.split('=').next().is_some_and(|own| own != name)).collect();
    Some(kept.join("&")).filter(|query| !query.is_empty())
}

/// `target` with the value of each query parameter called `name` replaced, for logs.
pub fn hide_parameter(target: &str, name: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let hidden = query.split('&').map(|pair| match pair.split_once('=') {
        Some((own, _)) if own == name => format!("{own}=***"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", hidden.collect::<Vec<_>>().join("&"))
}

fn from_hex(digits: &str) -> Option<Fingerprint> {
    let digits = digits.as_bytes();
    let mut hash = [0; 32];
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of "abc" (FIPS 180-4, example).
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn table(keys: &[(&str, &str)]) -> Result<KeyTable, DocumentError> {
        let owned: Vec<_> = keys.iter().map(|(name, hash)| (name.to_string(), hash.to_string())).collect();
        KeyTable::build(&owned)
    }

    #[test]
    fn a_key_stands_for_its_name() {
        let zeros = "0".repeat(64);
        let keys = table(&[("ci", ABC), ("other", &zeros)]).unwrap();
        assert_eq!(keys.find(b"abc"), Some("ci"));
        for unknown in [&b"abd"[..], b"", b"ABC", &[b'x'; 600]] {
            assert_eq!(keys.find(unknown), None);
        }
    }

    #[test]
    fn what_is_no_hash_is_refused_with_its_place() {
        for (name, digits) in
            [("b", "abc"), ("b", &ABC[1..]), ("b", ABC), ("b", &ABC.replace('b', "g")), ("b:c", ABC)]
        {
            let error = table(&[("a", ABC), (name, digits)]).unwrap_err();
            assert_eq!(error.path, "[1]", "{digits}");
        }
    }

    #[test]
    fn a_key_leaves_the_query_and_the_log() {
        assert_eq!(without_parameter("a=1&key=x&b", "key").as_deref(), Some("a=1&b"));
        assert_eq!(without_parameter("key=x&key=y", "key"), None);
        assert_eq!(without_parameter("keys=x", "key").as_deref(), Some("keys=x"));
        assert_eq!(hide_parameter("/p?a=1&key=x&key", "key"), "/p?a=1&key=***&key");
        assert_eq!(hide_parameter("/p", "key"), "/p");
    }
}
