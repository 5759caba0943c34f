//! Paths of routes.

use crate::target::normalize_path;
use regex::{Regex, RegexBuilder};

/// A route's condition on the path.
#[derive(Debug, Clone)]
pub enum PathPattern {
    /// Any path, also none (CONNECT).
    Any,
    /// This path.
    Exact(Box<str>),
    /// A path that begins with this.
    Prefix(Box<str>),
    /// A path that this matches as a whole.
    Regex(PathRegex),
}

/// An anchored expression.
#[derive(Debug, Clone)]
pub struct PathRegex {
    /// As the user wrote it.
    pub pattern: Box<str>,
    regex: Regex,
}

impl PathRegex {
    /// The text of the anchored expression.
    pub(super) fn anchored(&self) -> &str {
        self.regex.as_str()
    }
}

/// Memory of a compiled expression, and of the cache of its automaton in each thread. Ordinary path expressions take
/// a few KiB; the limit stops the ones that blow up, such as nested repetitions of large classes.
const REGEX_BYTES: usize = 1 << 20;

/// Longest path that a route may name; longer ones exceed any sane target limit.
const LONGEST_PATH: usize = 8192;

impl PathPattern {
    /// An exact path.
    ///
    /// # Errors
    /// One that is not in normal form: it would never match, because requests' paths are normalised.
    pub fn exact(path: &str) -> Result<Self, String> {
        if path != "*" {
            check_normal(path, path)?;
        }
        Ok(Self::Exact(path.into()))
    }

    /// A prefix.
    ///
    /// # Errors
    /// One that no path in normal form begins with.
    pub fn prefix(prefix: &str) -> Result<Self, String> {
        // What follows the prefix is unknown, so "/." is fine: "/.well-known" begins with it.
        check_normal(prefix, &format!("{prefix}x"))?;
        Ok(Self::Prefix(prefix.into()))
    }

    /// A regular expression for the whole path.
    ///
    /// # Errors
    /// One that does not compile within the size limit.
    pub fn regex(pattern: &str) -> Result<Self, String> {
        // The error shows the pattern as the user wrote it.
        let regex = compile(&anchored(pattern)?).map_err(|error| compile(pattern).err().unwrap_or(error))?;
        Ok(Self::Regex(PathRegex { pattern: pattern.into(), regex }))
    }

    /// Whether `path` fits.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *path,
            Self::Prefix(prefix) => path.starts_with(&**prefix),
            Self::Regex(expression) => expression.regex.is_match(path),
        }
    }
}

/// A copy of `pattern` that matches only whole texts.
///
/// # Errors
/// A pattern that is not an expression by itself: "a)|(b" would escape the group that anchors it. Without a closing
/// parenthesis none can, which spares most patterns a compilation.
pub(super) fn anchored(pattern: &str) -> Result<String, String> {
    if pattern.contains(')') {
        compile(pattern)?;
    }
    Ok(format!(r"\A(?:{pattern})\z"))
}

/// Compiles within the size limit.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(REGEX_BYTES)
        .dfa_size_limit(REGEX_BYTES)
        .build()
        .map_err(|e| e.to_string())
}

/// The text that every match of `pattern`, anchored, begins with; possibly shorter than what could be proved.
pub(super) fn literal_prefix(pattern: &str) -> &str {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let plain = |c: char| !c.is_ascii_punctuation() || "/-_~%,:;=@!".contains(c);
    let Some(end) = pattern.find(|c| !plain(c)) else { return pattern };
    if may_alternate(&pattern[end..]) {
        return "";
    }
    let literal = &pattern[..end];
    // A repetition binds to the last character, which may then be absent.
    match pattern.as_bytes()[end] {
        b'*' | b'?' | b'{' | b'+' => {
            literal.char_indices().next_back().map_or("", |(last, _)| &literal[..last])
        }
        _ => literal,
    }
}

/// Whether there may be a "|" outside of groups, which makes the text before it only one of several beginnings.
fn may_alternate(pattern: &str) -> bool {
    if !pattern.contains('|') {
        return false;
    }
    // Comments (flag x) and classes may hold parentheses that are none; such patterns are not looked into.
    let mut depth = 0_u32;
    let mut bytes = pattern.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'#' => return true,
            b'[' if bytes.by_ref().take_while(|b| *b != b']').any(|b| b"[()\\^".contains(&b)) => return true,
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'|' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

fn check_normal(shown: &str, path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!("'{shown}' must begin with '/'"));
    }
    if path.len() > LONGEST_PATH {
        return Err(format!("longer than {LONGEST_PATH} bytes"));
    }
    if path.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'?' || b == b'#') {
        return Err(format!("'{shown}' has a space, a control character, '?' or '#', which no path has"));
    }
    match normalize_path(path) {
        Err(bad) => Err(format!("'{shown}' can never match: {bad}")),
        Ok(normal) if normal != path => Err(format!(
            "'{shown}' can never match: paths are normalised first; write '{}'",
            normal.get(..normal.len() + shown.len() - path.len()).unwrap_or(&normal)
        )),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn expressions_match_whole_paths() {
        let pattern = PathPattern::regex("/v[0-9]+/x|/y").unwrap();
        for (path, fits) in
            [("/v12/x", true), ("/y", true), ("/v1/x/z", false), ("a/y", false), ("/y\n", false)]
        {
            assert_eq!(pattern.matches(path), fits, "{path}");
        }
    }

    #[test]
    fn expressions_that_escape_or_explode_are_refused() {
        for bad in ["a)|(b", "(", r"(a)\1", r"(\w{1000}){1000}", "(?x)a#"] {
            assert!(PathPattern::regex(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_that_never_match_are_refused() {
        for bad in ["", "a", "/a/../b", "/%7e", "/a?b", "/a b", "/%", "/."] {
            assert!(PathPattern::exact(bad).is_err(), "{bad}");
        }
        assert_eq!(PathPattern::prefix("/a/./b").unwrap_err().split("write ").nth(1), Some("'/a/b'"));
        for bad in ["", "a", "/a/../", "/%2"] {
            assert!(PathPattern::prefix(bad).is_err(), "{bad}");
        }
        assert!(PathPattern::prefix("/.").is_ok() && PathPattern::exact("*").is_ok());
    }

    #[test]
    fn literal_prefixes() {
        let cases = [
            ("/api/v[0-9]+", "/api/v"),
            ("^/api/x$", "/api/x"),
            ("/a?b", "/"),
            ("/ab*", "/a"),
            ("/a{2}", "/"),
            ("/a|/b", ""),
            ("/api/(a|b)/[0-9]+", "/api/"),
            ("/a(b)|c", ""),
            ("/a[(]|b", ""),
            (r"/a\(|b", ""),
            ("(?i)/a", ""),
            (r"/a\.b", "/a"),
            ("/a/(x)", "/a/"),
            ("/abc", "/abc"),
            ("/é?", "/"),
            ("", ""),
        ];
        for (pattern, prefix) in cases {
            assert_eq!(literal_prefix(pattern), prefix, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn every_match_begins_with_the_literal_prefix(pattern in "[/ab?*+.()\\[\\]^$|{},1é\\\\-]{0,8}", path in "[/abé]{0,6}") {
            if let Ok(regex) = PathPattern::regex(&pattern) {
                prop_assert!(!regex.matches(&path) || path.starts_with(literal_prefix(&pattern)), "{pattern} {path}");
            }
        }
    }
}
