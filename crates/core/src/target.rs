//! Normalises request paths, so that the path that was routed is the path that the endpoint resolves.
//!
//! Without this, `/public/%2e%2e/admin` takes the route for `/public/` and reaches the endpoint as `/admin`. The
//! equivalences applied are those of RFC 3986 §6.2.2: escapes of unreserved characters are decoded, the digits of
//! the other escapes are upper case, and dot segments are removed (§5.2.4), never above the root. `%2F` stays
//! escaped, and empty segments ("//") stay, because both can mean something to the endpoint.

use std::borrow::Cow;

/// A path that is answered 400: an escape that is not `%` and two hex digits, an escaped NUL, or a dot segment that a
/// rewrite has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPath;

impl std::fmt::Display for BadPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the path has a '%' without two hex digits after it, an escaped NUL, or a dot segment made by a rewrite")
    }
}

impl std::error::Error for BadPath {}

/// The normal form of `path`, which is a target's path without query. Borrows when it is normal already.
///
/// A path that does not begin with "/" (`*`, or CONNECT's empty one) has no segments and is only checked for escapes.
///
/// # Errors
/// [`BadPath`]: answered 400, because what the endpoint would make of it cannot be known.
pub fn normalize_path(path: &str) -> Result<Cow<'_, str>, BadPath> {
    if !may_need_work(path.as_bytes()) || is_normal(path.as_bytes())? {
        return Ok(Cow::Borrowed(path));
    }
    rewritten(path).map(Cow::Owned)
}

/// The normal form of a path that somebody has put together and that may have no dot segment.
///
/// # Errors
/// [`BadPath`] as above, and for a dot segment: removing it could lead out of what the path was put below.
pub(crate) fn normalize_joined(path: &str) -> Result<Cow<'_, str>, BadPath> {
    if !may_need_work(path.as_bytes()) || is_normal(path.as_bytes())? {
        return Ok(Cow::Borrowed(path));
    }
    let mut out = String::with_capacity(path.len());
    decode(path, &mut out)?;
    if out.split('/').any(|segment| is_dots(segment.as_bytes())) {
        return Err(BadPath);
    }
    Ok(Cow::Owned(out))
}

/// Whether there is a `%` or `.` at all. Blocks of 16 without an exit inside let the compiler use vector compares.
fn may_need_work(path: &[u8]) -> bool {
    path.chunks(16)
        .any(|block| block.iter().fold(false, |found, &byte| found | (byte == b'%') | (byte == b'.')))
}

/// Whether nothing has to change.
fn is_normal(path: &[u8]) -> Result<bool, BadPath> {
    let mut normal = true;
    let mut segment = 0; // where the segment under the cursor begins
    for (at, &byte) in path.iter().enumerate() {
        match byte {
            b'%' => {
                let octet = escaped(path, at)?;
                let digits = &path[at + 1..at + 3];
                normal &= !is_unreserved(octet) && !digits.iter().any(u8::is_ascii_lowercase);
            }
            b'/' => {
                normal &= !is_dots(&path[segment..at]);
                segment = at + 1;
            }
            _ => {}
        }
    }
    Ok(normal && (segment == 0 || !is_dots(&path[segment..])))
}

/// The slow path: decodes segment by segment and takes back what dot segments undo.
fn rewritten(path: &str) -> Result<String, BadPath> {
    let mut out = String::with_capacity(path.len());
    let Some(segments) = path.strip_prefix('/') else {
        decode(path, &mut out)?;
        return Ok(out);
    };
    let mut segments = segments.split('/').peekable();
    while let Some(segment) = segments.next() {
        let start = out.len();
        out.push('/');
        decode(segment, &mut out)?;
        if !is_dots(&out.as_bytes()[start + 1..]) {
            continue;
        }
        let parent = out.len() - start == 3;
        out.truncate(start);
        if parent {
            out.truncate(out.rfind('/').unwrap_or(0));
        }
        if segments.peek().is_none() {
            out.push('/'); // what a dot segment at the end names is a directory
        }
    }
    Ok(out)
}

/// Appends `segment` with unreserved escapes decoded and the others in upper case.
fn decode(segment: &str, out: &mut String) -> Result<(), BadPath> {
    let mut rest = segment;
    while let Some(at) = rest.find('%') {
        let octet = escaped(rest.as_bytes(), at)?;
        out.push_str(&rest[..at]);
        if is_unreserved(octet) {
            out.push(char::from(octet));
        } else {
            out.extend(rest[at..at + 3].chars().map(|c| c.to_ascii_uppercase()));
        }
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    Ok(())
}

/// The octet that the escape at `at` stands for.
fn escaped(path: &[u8], at: usize) -> Result<u8, BadPath> {
    match (path.get(at + 1).and_then(hex), path.get(at + 2).and_then(hex)) {
        (Some(0), Some(0)) => Err(BadPath), // a NUL ends strings in many endpoints
        (Some(high), Some(low)) => Ok(high << 4 | low),
        _ => Err(BadPath),
    }
}

fn hex(digit: &u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// `unreserved` of RFC 3986 §2.3.
fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~')
}

fn is_dots(segment: &[u8]) -> bool {
    segment == b"." || segment == b".."
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn normal_paths_are_borrowed() {
        for path in
            ["/", "/a/b", "/a//b", "/a.b/c..", "/.well-known/x", "/%2F%20%C3%A9", "*", "", "/...", "/a/.b./"]
        {
            assert!(matches!(normalize_path(path), Ok(Cow::Borrowed(same)) if same == path), "{path}");
        }
    }

    #[test]
    fn equivalent_paths_become_one() {
        let cases = [
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/public/%2e./admin", "/admin"),
            ("/../../etc/passwd", "/etc/passwd"),
            ("/..", "/"),
            ("/.", "/"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a//../b", "/a/b"),
            ("/a//..", "/a/"),
            ("/%61%7E%2f", "/a~%2F"),
            ("/%c3%a9", "/%C3%A9"),
            ("/\u{e9}/%41", "/\u{e9}/A"),
            ("/a/..%2fb", "/a/..%2Fb"),
            ("/%252e%252e/", "/%252e%252e/"),
            ("%41", "A"),
        ];
        for (path, normal) in cases {
            assert_eq!(normalize_path(path).as_deref(), Ok(normal), "{path}");
        }
    }

    #[test]
    fn doubtful_escapes_are_refused() {
        for path in ["/%", "/%4", "/%zz", "/%4g", "/a%00", "/%\u{e9}", "/a/../%x", "*%"] {
            assert_eq!(normalize_path(path), Err(BadPath), "{path}");
        }
    }

    proptest! {
        #[test]
        fn normal_form_is_final_and_has_no_dot_segment(path in "(/|\\.|%2e|%2E|%2f|%41|%c3|a|é){0,24}") {
            let path = format!("/{path}");
            let normal = normalize_path(&path).unwrap();
            prop_assert!(normal.starts_with('/'));
            prop_assert!(!normal.split('/').any(|segment| segment == "." || segment == ".."));
            prop_assert!(matches!(normalize_path(&normal), Ok(Cow::Borrowed(_))));
        }

        #[test]
        fn no_text_panics(path in "\\PC*") {
            let _ = normalize_path(&path);
        }
    }
}
