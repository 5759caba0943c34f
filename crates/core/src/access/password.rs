//! Hashes of passwords: argon2id (RFC 9106) as Evenly makes them, and bcrypt as `htpasswd -B` does.
//!
//! Verifying takes milliseconds by design, so whoever asks does it on a thread that carries no traffic.

use super::is_same;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// A hash that was read, ready to be compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hash {
    /// `$2b$12$…`, as it stands.
    Bcrypt(Box<str>),
    /// `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`.
    Argon2id {
        /// Memory in KiB, passes, lanes.
        cost: (u32, u32, u32),
        /// 8 to 64 bytes.
        salt: Box<[u8]>,
        /// 16 to 64 bytes.
        hash: Box<[u8]>,
    },
}

/// bcrypt's cost: 2^14 rounds take about a second. A file that asks for more would stop the helpers, not an attacker.
const BCRYPT_COST: std::ops::RangeInclusive<u32> = 4..=14;

/// argon2's memory in KiB (128 MiB), passes and lanes, for the same reason; each helper has that much at once.
const ARGON2_MOST: (u32, u32, u32) = (128 << 10, 16, 16);

/// What OWASP's password storage cheat sheet recommends (2024): 19 MiB, two passes, one lane.
const ARGON2_MADE: (u32, u32, u32) = (19 << 10, 2, 1);

/// What is accepted, for messages.
const EXPECTED: &str = "expected a bcrypt (\"$2b$…\") or argon2id (\"$argon2id$…\") hash";

impl Hash {
    /// Reads a hash.
    ///
    /// # Errors
    /// A text that is none, of an algorithm that is broken or unknown, or one that would take too long.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("$argon2id$") {
            return argon2id(rest)
                .ok_or_else(|| format!("{EXPECTED}: this argon2id hash is malformed or costs too much"));
        }
        if !["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            let kind = match text {
                _ if text.starts_with("$apr1$") || text.starts_with("$1$") => {
                    ", found an MD5 hash, which is broken"
                }
                _ if text.starts_with("{SHA}") => ", found an unsalted SHA-1 hash, which is broken",
                _ => "",
            };
            return Err(format!("{EXPECTED}{kind}"));
        }
        match text.parse::<bcrypt::HashParts>().map(|parts| parts.get_cost()) {
            Ok(cost) if BCRYPT_COST.contains(&cost) => Ok(Self::Bcrypt(text.into())),
            Ok(_) => {
                Err(format!("{EXPECTED} of a cost from {} to {}", BCRYPT_COST.start(), BCRYPT_COST.end()))
            }
            Err(_) => Err(format!("{EXPECTED}: this bcrypt hash is malformed")),
        }
    }

    /// Hashes a password with argon2id; `salt` is random.
    ///
    /// # Errors
    /// A salt that is shorter than 8 bytes.
    pub fn make(password: &[u8], salt: &[u8]) -> Result<String, String> {
        let mut hash = [0; 32];
        derive(ARGON2_MADE, password, salt, &mut hash).ok_or("the salt must have 8 bytes or more")?;
        let (memory, passes, lanes) = ARGON2_MADE;
        let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
        Ok(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}"))
    }

    /// Whether the hash is this password's. Slow by design.
    ///
    /// bcrypt looks at 72 bytes only; a longer password is refused, because it would be as good as its beginning.
    pub fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(hash) => bcrypt::non_truncating_verify(password, hash).unwrap_or(false),
            Self::Argon2id { cost, salt, hash } => {
                let mut derived = [0; 64];
                let Some(derived) = derived.get_mut(..hash.len()) else { return false };
                derive(*cost, password, salt, derived).is_some() && is_same(derived, hash)
            }
        }
    }
}

/// Reads what stands behind the algorithm's name.
fn argon2id(rest: &str) -> Option<Hash> {
    let mut parts = rest.split('$');
    let (version, cost, salt, hash) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version != "v=19" || parts.next().is_some() {
        return None;
    }
    let mut numbers =
        cost.split(',').zip(["m=", "t=", "p="]).map(|(text, key)| text.strip_prefix(key)?.parse().ok());
    let cost: (u32, u32, u32) = (numbers.next()??, numbers.next()??, numbers.next()??);
    if cost.0 > ARGON2_MOST.0 || cost.1 > ARGON2_MOST.1 || cost.2 > ARGON2_MOST.2 {
        return None;
    }
    let salt = STANDARD_NO_PAD.decode(salt).ok().filter(|salt| (8..=64).contains(&salt.len()))?;
    let hash = STANDARD_NO_PAD.decode(hash).ok().filter(|hash| (16..=64).contains(&hash.len()))?;
    Params::new(cost.0, cost.1, cost.2, Some(hash.len())).ok()?;
    Some(Hash::Argon2id { cost, salt: salt.into(), hash: hash.into() })
}

fn derive(
    (memory, passes, lanes): (u32, u32, u32),
    password: &[u8],
    salt: &[u8],
    out: &mut [u8],
) -> Option<()> {
    let params = Params::new(memory, passes, lanes, Some(out.len())).ok()?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(password, salt, out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_verified() {
        let hash = Hash::make(b"open sesame", b"0123456789abcdef").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let hash = Hash::parse(&hash).unwrap();
        assert!(hash.verify(b"open sesame"));
        assert!(!hash.verify(b"open sesame ") && !hash.verify(b""));
        assert!(Hash::make(b"x", b"short").is_err());
    }

    #[test]
    fn hashes_of_others_are_verified() {
        // The reference implementation's own test vector (its test.c, version 0x13).
        let argon2 = Hash::parse(
            "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
        );
        assert!(argon2.as_ref().unwrap().verify(b"password") && !argon2.unwrap().verify(b"passwore"));
        // Openwall's test vector (crypt_blowfish, wrapper.c).
        let bcrypt = Hash::parse("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW").unwrap();
        assert!(bcrypt.verify(b"U*U") && !bcrypt.verify(b"U*V"));
    }

    #[test]
    fn a_password_beyond_what_bcrypt_reads_is_refused() {
        let hash = bcrypt::hash_with_salt([b'x'; 71], 4, [7; 16]).unwrap().to_string();
        let hash = Hash::parse(&hash).unwrap();
        assert!(hash.verify(&[b'x'; 71]) && !hash.verify(&[b'x'; 90]));
    }

    #[test]
    fn weak_costly_and_broken_texts_are_refused() {
        for (text, message) in [
            ("secret", "expected a bcrypt"),
            ("", "expected a bcrypt"),
            ("$apr1$x$y", "MD5"),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1"),
            ("$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "cost from 4 to 14"),
            ("$2b$05$CCCC", "malformed"),
            ("$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f", "too much"),
            ("$argon2id$v=16$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f", "malformed"),
            ("$argon2id$v=19$m=256,t=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f", "malformed"),
        ] {
            let error = Hash::parse(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
