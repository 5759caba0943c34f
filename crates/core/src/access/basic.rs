//! Reads `Authorization: Basic …` (RFC 7617). The bytes are a stranger's: whatever is not exactly the scheme's grammar
//! is no credentials.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A user's name and password as the client sent them.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Without controls and colons.
    pub user: String,
    /// Any bytes but controls.
    pub password: Vec<u8>,
}

/// Bytes of a name and password together: more is no password that somebody types or that a tool generates, and
/// hashing costs time with length.
const LONGEST: usize = 1024;

impl Credentials {
    /// Whether a value of `Authorization` is of this scheme at all; names of schemes compare without case.
    pub fn is_basic(value: &[u8]) -> bool {
        value.len() > 6 && value[..6].eq_ignore_ascii_case(b"basic ")
    }

    /// Reads the value of `Authorization`; `None` unless it is this scheme and well formed.
    pub fn parse(value: &[u8]) -> Option<Self> {
        if !Self::is_basic(value) {
            return None;
        }
        let encoded = value[6..].trim_ascii();
        if encoded.len() > LONGEST.div_ceil(3) * 4 {
            return None;
        }
        let mut user = STANDARD.decode(encoded).ok()?;
        // A name has no colon, a password may (RFC 7617 §2). Controls are in neither.
        let colon = user.iter().position(|byte| *byte == b':')?;
        if user.iter().any(u8::is_ascii_control) {
            return None;
        }
        let password = user.split_off(colon + 1);
        user.truncate(colon);
        Some(Self { user: String::from_utf8(user).ok().filter(|user| !user.is_empty())?, password })
    }
}

/// Never shows the password, wherever it is printed.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(value: &str) -> Option<(String, String)> {
        let credentials = Credentials::parse(value.as_bytes())?;
        Some((credentials.user, String::from_utf8(credentials.password).unwrap()))
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(parsed("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"));
        assert_eq!(parsed("basic dGVzdDoxMjPCow=="), pair("test", "123\u{a3}"));
        assert_eq!(parsed("BASIC   YTpiOmM="), pair("a", "b:c"));
        assert_eq!(parsed("Basic YTo="), pair("a", ""));
    }

    #[test]
    fn anything_else_is_no_credentials() {
        for value in [
            "",
            "Basic",
            "Basic ",
            "Basic  ",
            "Bearer YTpi",
            "BasicYTpi",
            "Basic YTpi=",
            "Basic YTpi YTpi",
            "Basic !!!!",
            "Basic YWI=",     // no colon
            "Basic OmI=",     // no name
            "Basic YTpiAA==", // a NUL
            "Basic YQo6Yg==", // a line feed in the name
            "Basic /zpi",     // a name that is not UTF-8
            "Basic YTo",      // no padding
        ] {
            assert_eq!(parsed(value), None, "{value:?}");
        }
        let long = format!("Basic {}", STANDARD.encode(format!("a:{}", "x".repeat(2000))));
        assert_eq!(parsed(&long), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(value in prop::collection::vec(any::<u8>(), 0..200), scheme in any::<bool>()) {
            let value = if scheme { [b"Basic ", &value[..]].concat() } else { value };
            if let Some(credentials) = Credentials::parse(&value) {
                prop_assert!(!credentials.user.is_empty() && !credentials.user.contains(':'));
                prop_assert!(!credentials.user.bytes().any(|b| b.is_ascii_control()));
            }
        }

        #[test]
        fn what_was_written_is_read(user in "[^:\\x00-\\x1f\\x7f]{1,40}", password in "[^\\x00-\\x1f\\x7f]{0,60}") {
            let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            prop_assert_eq!(parsed(&value), Some((user, password)));
        }
    }
}
