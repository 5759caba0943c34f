//! Users and their passwords, as `basic_auth` names them.

use super::password::Hash;
use super::verdicts::Tag;
use super::{Credentials, check_user};
use crate::document::DocumentError;
use hmac::{Hmac, KeyInit, Mac};
use rustc_hash::FxHashMap;
use sha2::Sha256;
use std::sync::Arc;

/// A user who may come in with the right password.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    /// Without controls and colons.
    pub name: Box<str>,
    hash: Hash,
    /// The hash as it was written: part of a verdict's tag, so that another password makes another tag.
    text: Box<str>,
}

/// The users of one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Users {
    by_name: FxHashMap<Box<str>, Arc<User>>,
    /// Whoever has no name here is compared with this user in vain, so that the time does not tell who has one.
    decoy: Arc<User>,
}

/// Credentials, and the user whose password they have to be.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The user of that name, or the decoy.
    pub user: Arc<User>,
    is_known: bool,
    credentials: Credentials,
}

impl Users {
    /// Reads name and hash of each user. Error paths are relative to the list: `[3]`.
    ///
    /// # Errors
    /// No user at all, a name twice, a hash that is none.
    pub fn build(users: &[(String, String)]) -> Result<Self, DocumentError> {
        let mut by_name: FxHashMap<Box<str>, Arc<User>> = FxHashMap::default();
        for (i, (name, text)) in users.iter().enumerate() {
            let fail = |message: String| DocumentError::new(format!("[{i}]"), message);
            check_user(name).map_err(fail)?;
            let hash = Hash::parse(text).map_err(fail)?;
            let user = Arc::new(User { name: name.as_str().into(), hash, text: text.as_str().into() });
            if by_name.insert(user.name.clone(), user).is_some() {
                return Err(fail(format!("'{name}' is there already")));
            }
        }
        let decoy = users.first().and_then(|(name, _)| by_name.get(name.as_str())).cloned();
        let decoy = decoy.ok_or_else(|| DocumentError::new("", "has no user, so nobody could come in"))?;
        Ok(Self { by_name, decoy })
    }

    /// What credentials have to be held against.
    pub fn claim(&self, credentials: Credentials) -> Claim {
        let user = self.by_name.get(credentials.user.as_str());
        Claim { is_known: user.is_some(), user: Arc::clone(user.unwrap_or(&self.decoy)), credentials }
    }
}

impl Claim {
    /// Whether it is right. Slow by design, and equally slow for users that do not exist.
    pub fn verify(&self) -> bool {
        self.user.hash.verify(&self.credentials.password) && self.is_known
    }

    /// Stands for the claim in a table of verdicts; `key` is a secret of the process.
    pub fn tag(&self, key: &[u8; 32]) -> Tag {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        let parts = [self.credentials.user.as_bytes(), self.user.text.as_bytes(), &self.credentials.password];
        for part in parts {
            // Each with its length, so that no two lists of parts are the same bytes.
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(password: &str) -> String {
        bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap().to_string()
    }

    fn users(list: &[(&str, &str)]) -> Result<Users, DocumentError> {
        let list: Vec<_> = list.iter().map(|(name, hash)| (name.to_string(), hash.to_string())).collect();
        Users::build(&list)
    }

    fn claim(users: &Users, user: &str, password: &str) -> Claim {
        users.claim(Credentials { user: user.into(), password: password.into() })
    }

    #[test]
    fn only_the_user_s_own_password_is_right() {
        let users = users(&[("ada", &hash("one")), ("bob", &hash("two"))]).unwrap();
        for (user, password, is_right) in [
            ("ada", "one", true),
            ("bob", "two", true),
            ("ada", "two", false),
            ("eve", "one", false), // the decoy's password does not help whoever is unknown
            ("ada", "", false),
        ] {
            assert_eq!(claim(&users, user, password).verify(), is_right, "{user} {password}");
        }
    }

    #[test]
    fn a_tag_stands_for_user_hash_and_password() {
        let (before, after) =
            (users(&[("ada", &hash("one"))]).unwrap(), users(&[("ada", &hash("new"))]).unwrap());
        let tag =
            |users: &Users, user: &str, password: &str, key: u8| claim(users, user, password).tag(&[key; 32]);
        let tags = [
            tag(&before, "ada", "one", 1),
            tag(&before, "ada", "one", 2),
            tag(&after, "ada", "one", 1),
            tag(&before, "ada", "two", 1),
            tag(&before, "adaone", "", 1),
        ];
        assert_eq!(tag(&before, "ada", "one", 1), tags[0]);
        assert!((1..tags.len()).all(|i| !tags[..i].contains(&tags[i])));
    }

    #[test]
    fn lists_that_cannot_be_meant_are_refused() {
        assert_eq!(users(&[]).unwrap_err().path, "");
        assert_eq!(users(&[("a", &hash("x")), ("a", &hash("y"))]).unwrap_err().path, "[1]");
        assert_eq!(users(&[("a", "plain")]).unwrap_err().path, "[0]");
        assert_eq!(users(&[("a:b", &hash("x"))]).unwrap_err().path, "[0]");
    }
}
