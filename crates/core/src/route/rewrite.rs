//! How a path changes before it is forwarded. The query is not touched.

use super::PathPattern;
use super::path::compile;
use crate::document::{DocumentError, PathRewrite};
use crate::target::{BadPath, normalize_joined};
use regex::Regex;

/// A compiled rewrite.
#[derive(Debug, Clone)]
pub enum Rewrite {
    /// The first bytes are replaced.
    Prefix {
        /// How many: the length of what the route's prefix or exact path matched.
        cut: usize,
        /// By what.
        replacement: Box<str>,
    },
    /// The first match is replaced.
    Regex {
        /// The expression.
        pattern: Regex,
        /// With `$1` and `${name}` for groups.
        replacement: Box<str>,
    },
}

impl Rewrite {
    /// Checks and compiles. Error paths are relative: "replacement".
    ///
    /// # Errors
    /// A prefix rewrite on a route without prefix or exact path, an expression that does not compile, a group that
    /// does not exist, or a replacement that is not part of a path.
    pub fn build(document: &PathRewrite, path: &PathPattern) -> Result<Self, DocumentError> {
        let at_replacement = |message| DocumentError::new("replacement", message);
        match document {
            PathRewrite::Prefix { replacement } => {
                let (PathPattern::Prefix(matched) | PathPattern::Exact(matched)) = path else {
                    let message =
                        "a prefix is replaced only where the route matches a prefix or an exact path";
                    return Err(DocumentError::new("type", message));
                };
                if !replacement.is_empty() {
                    PathPattern::prefix(replacement).map_err(at_replacement)?;
                }
                Ok(Self::Prefix { cut: matched.len(), replacement: replacement.as_str().into() })
            }
            PathRewrite::Regex { pattern, replacement } => {
                let pattern = compile(pattern).map_err(|message| DocumentError::new("pattern", message))?;
                check_groups(replacement, &pattern).map_err(at_replacement)?;
                if replacement.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'?' || b == b'#') {
                    let message = "a space, a control character, '?' or '#' cannot be part of a path";
                    return Err(DocumentError::new("replacement", message));
                }
                Ok(Self::Regex { pattern, replacement: replacement.as_str().into() })
            }
        }
    }

    /// Appends the rewritten path, in normal form and beginning with "/": what a rewrite puts together may be an escape
    /// that neither part was. Where replacement and rest both have a slash at the seam, one stays.
    ///
    /// # Errors
    /// [`BadPath`] when the result has a broken escape, or a dot segment: `path` has none, so that the rewrite has made
    /// it, and to resolve it would let a client leave the place that it was sent to ("/files../x" below "/public/").
    pub fn write(&self, path: &str, out: &mut Vec<u8>) -> Result<(), BadPath> {
        let start = out.len();
        match self {
            Self::Prefix { cut, replacement } => {
                let rest = path.get(*cut..).unwrap_or_default();
                let rest =
                    if replacement.ends_with('/') { rest.strip_prefix('/').unwrap_or(rest) } else { rest };
                out.extend_from_slice(replacement.as_bytes());
                if replacement.is_empty() && !rest.starts_with('/') {
                    out.push(b'/');
                }
                out.extend_from_slice(rest.as_bytes());
            }
            Self::Regex { pattern, replacement } => {
                let replaced = pattern.replacen(path, 1, &**replacement);
                if !replaced.starts_with('/') {
                    out.push(b'/');
                }
                out.extend_from_slice(replaced.as_bytes());
            }
        }
        // Both parts are text, so the whole is.
        let written = std::str::from_utf8(&out[start..]).map_err(|_| BadPath)?;
        if let std::borrow::Cow::Owned(normal) = normalize_joined(written)? {
            out.truncate(start);
            out.extend_from_slice(normal.as_bytes());
        }
        Ok(())
    }
}

/// Refuses references to groups that are not there: they would be replaced by nothing. "$1a" refers to a group called
/// "1a", a known trap, so the message shows the way to write it.
fn check_groups(replacement: &str, pattern: &Regex) -> Result<(), String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = replacement;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        let name = match rest.strip_prefix('{') {
            Some(braced) => braced.split_once('}').map(|(name, _)| name),
            None => Some(&rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())]),
        };
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Err("'$' without a group; a literal dollar is '$$'".into());
        };
        let known = match name.parse::<usize>() {
            Ok(number) => number < pattern.captures_len(),
            Err(_) => pattern.capture_names().flatten().any(|group| group == name),
        };
        if !known {
            return Err(format!(
                "the pattern has no group '{name}'; write ${{NAME}} where letters follow a group"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(matched: &str, replacement: &str) -> Rewrite {
        let document = PathRewrite::Prefix { replacement: replacement.into() };
        Rewrite::build(&document, &PathPattern::prefix(matched).unwrap()).unwrap()
    }

    fn regex(pattern: &str, replacement: &str) -> Result<Rewrite, DocumentError> {
        let document = PathRewrite::Regex { pattern: pattern.into(), replacement: replacement.into() };
        Rewrite::build(&document, &PathPattern::Any)
    }

    fn written(rewrite: &Rewrite, path: &str) -> Result<String, BadPath> {
        let mut out = b"GET ".to_vec();
        rewrite.write(path, &mut out)?;
        Ok(String::from_utf8(out.split_off(4)).unwrap())
    }

    #[test]
    fn prefixes() {
        for (matched, replacement, path, result) in [
            ("/api/", "/", "/api/users", "/users"),
            ("/api", "/", "/api/users", "/users"),
            ("/api", "", "/api/users", "/users"),
            ("/api/", "", "/api/users", "/users"),
            ("/api", "", "/api", "/"),
            ("/api", "/v2", "/api/users", "/v2/users"),
            ("/api", "/v2/", "/api//users", "/v2//users"),
            ("/a", "/b/.", "/awell-known/x", "/b/.well-known/x"),
            ("/a", "/b/", "/a.../x", "/b/.../x"),
        ] {
            assert_eq!(
                written(&prefix(matched, replacement), path).as_deref(),
                Ok(result),
                "{matched} {replacement} {path}"
            );
        }
    }

    #[test]
    fn expressions() {
        for (pattern, replacement, path, result) in [
            ("^/u/([0-9]+)", "/users/$1", "/u/7/x", "/users/7/x"),
            ("(?<a>x)", "${a}y$$", "/x/x", "/xy$/x"),
            ("^/", "", "/a", "/a"),
            ("nothing", "z", "/a", "/a"),
        ] {
            assert_eq!(
                written(&regex(pattern, replacement).unwrap(), path).as_deref(),
                Ok(result),
                "{pattern}"
            );
        }
        assert_eq!(written(&regex("F", "").unwrap(), "/%2F"), Err(BadPath));
    }

    #[test]
    fn no_rewrite_makes_a_dot_segment() {
        for (matched, replacement, path) in [
            ("/files", "/public/", "/files../private/a.txt"),
            ("/files", "/public/", "/files.."),
            ("/files", "/public/", "/files./a.txt"),
            ("/v1", "/api/v1/", "/v1../admin"),
            ("/ab", "/", "/ab../x"),
            ("/a", "/b/.", "/a./x"),
            ("/a", "/b/.", "/a/x"),
        ] {
            assert_eq!(written(&prefix(matched, replacement), path), Err(BadPath), "{matched} {path}");
        }
        for (pattern, replacement, path) in [
            ("^/files", "/public/", "/files../private"),
            ("^/files(.*)", "/public/${1}", "/files../private"),
            ("x", "", "/.x./b"),
            ("^/a", "/b/../c", "/a"),
            ("C3", "2E", "/%C3/x"),
        ] {
            assert_eq!(written(&regex(pattern, replacement).unwrap(), path), Err(BadPath), "{pattern}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (pattern, replacement, path) in [
            ("(", "/", "pattern"),
            ("(a)", "$2", "replacement"),
            ("(a)", "$1a", "replacement"),
            ("(a)", "$", "replacement"),
            ("(a)", "${1", "replacement"),
            ("a", "/x?y", "replacement"),
        ] {
            assert_eq!(regex(pattern, replacement).unwrap_err().path, path, "{pattern} {replacement}");
        }
        let document = PathRewrite::Prefix { replacement: "/".into() };
        assert_eq!(Rewrite::build(&document, &PathPattern::Any).unwrap_err().path, "type");
        let document = PathRewrite::Prefix { replacement: "x".into() };
        assert!(Rewrite::build(&document, &PathPattern::prefix("/").unwrap()).is_err());
    }
}
