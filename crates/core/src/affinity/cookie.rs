//! How a cookie of Evenly's looks (RFC 6265bis §4.1): everything around its value, rendered once.

use super::token::Token;
use crate::document::{AffinityCookie, DocumentError, SameSite};
use crate::route::duration;
use crate::rules::is_token;
use std::fmt::Write;

/// A cookie that Evenly sets.
#[derive(Debug)]
pub struct Cookie {
    /// Its name.
    pub name: Box<str>,
    /// "Set-Cookie: NAME=".
    head: Box<[u8]>,
    /// Behind the value, for a client that came without TLS and for one that came with it.
    tails: [Box<[u8]>; 2],
}

impl Cookie {
    /// Checks and renders. Error paths are relative: "name".
    ///
    /// # Errors
    /// A name, path or combination that browsers would not accept.
    pub fn build(document: &AffinityCookie) -> Result<Self, DocumentError> {
        let AffinityCookie { name, path, same_site, secure, ttl_ms, .. } = document;
        let fail = |field: &str, message: &str| Err(DocumentError::new(field, message));
        if !is_token(name) {
            return fail("name", &format!("'{name}' is not a cookie's name"));
        }
        if !path.starts_with('/') || path.bytes().any(|byte| byte <= b' ' || byte >= 0x7f || byte == b';') {
            return fail("path", "must begin with '/' and have neither spaces nor ';'");
        }
        if *secure == Some(false) && *same_site == SameSite::None {
            return fail("secure", "must not be false: browsers refuse SameSite=None without Secure");
        }
        let prefix = |prefix: &str| name.get(..prefix.len()).is_some_and(|p| p.eq_ignore_ascii_case(prefix));
        if (prefix("__Secure-") || prefix("__Host-")) && *secure != Some(true) {
            return fail("secure", "must be true: browsers refuse such a name without Secure");
        }
        if prefix("__Host-") && path != "/" {
            return fail("path", "must be '/': browsers refuse a name that begins with __Host- otherwise");
        }
        ttl_ms.map(|ttl| duration("ttl_ms", ttl)).transpose()?;
        Ok(Self {
            name: name.as_str().into(),
            head: format!("Set-Cookie: {name}=").into_bytes().into(),
            tails: [tail(document, secure.unwrap_or(false)), tail(document, secure.unwrap_or(true))],
        })
    }

    /// Appends the line that sets it. `is_https`: the request came over TLS, here or at a proxy that is trusted.
    pub fn write(&self, out: &mut Vec<u8>, token: &Token, is_https: bool) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(token);
        out.extend_from_slice(&self.tails[usize::from(is_https)]);
    }
}

fn tail(document: &AffinityCookie, is_secure: bool) -> Box<[u8]> {
    let mut text = format!("; Path={}", document.path);
    if let Some(ttl) = document.ttl_ms {
        // Rounded up: 0 would remove the cookie. Writing to a String does not fail.
        let _ = write!(text, "; Max-Age={}", ttl.div_ceil(1000));
    }
    if document.http_only {
        text.push_str("; HttpOnly");
    }
    match document.same_site {
        SameSite::Strict => text.push_str("; SameSite=Strict"),
        SameSite::Lax => text.push_str("; SameSite=Lax"),
        // Without Secure a browser would refuse the whole cookie.
        SameSite::None if is_secure => text.push_str("; SameSite=None"),
        SameSite::None => {}
    }
    if is_secure {
        text.push_str("; Secure");
    }
    text.push_str("\r\n");
    text.into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> AffinityCookie {
        AffinityCookie {
            name: "evenly".into(),
            path: "/".into(),
            same_site: SameSite::Lax,
            http_only: true,
            secure: None,
            ttl_ms: None,
        }
    }

    fn line(document: &AffinityCookie, is_https: bool) -> String {
        let mut out = Vec::new();
        Cookie::build(document).unwrap().write(&mut out, &[b'x'; 32], is_https);
        String::from_utf8(out).unwrap().replace(&"x".repeat(32), "T")
    }

    #[test]
    fn attributes_fit_the_listener() {
        let auto = document();
        assert_eq!(line(&auto, false), "Set-Cookie: evenly=T; Path=/; HttpOnly; SameSite=Lax\r\n");
        assert_eq!(line(&auto, true), "Set-Cookie: evenly=T; Path=/; HttpOnly; SameSite=Lax; Secure\r\n");
        let never = AffinityCookie {
            secure: Some(false),
            http_only: false,
            same_site: SameSite::Strict,
            ..document()
        };
        assert_eq!(line(&never, true), "Set-Cookie: evenly=T; Path=/; SameSite=Strict\r\n");
        let always = AffinityCookie { secure: Some(true), ttl_ms: Some(1500), ..document() };
        let expected = "Set-Cookie: evenly=T; Path=/; Max-Age=2; HttpOnly; SameSite=Lax; Secure\r\n";
        assert_eq!(line(&always, false), expected);
        let cross = AffinityCookie { same_site: SameSite::None, path: "/a".into(), ..document() };
        assert_eq!(line(&cross, false), "Set-Cookie: evenly=T; Path=/a; HttpOnly\r\n");
        assert!(line(&cross, true).ends_with("; SameSite=None; Secure\r\n"));
    }

    #[test]
    fn what_browsers_refuse_is_refused() {
        for (document, field) in [
            (AffinityCookie { name: "a b".into(), ..document() }, "name"),
            (AffinityCookie { name: String::new(), ..document() }, "name"),
            (AffinityCookie { path: "shop".into(), ..document() }, "path"),
            (AffinityCookie { path: "/;x".into(), ..document() }, "path"),
            (AffinityCookie { name: "__Host-a".into(), ..document() }, "secure"),
            (
                AffinityCookie {
                    name: "__host-a".into(),
                    path: "/a".into(),
                    secure: Some(true),
                    ..document()
                },
                "path",
            ),
            (AffinityCookie { secure: Some(false), same_site: SameSite::None, ..document() }, "secure"),
            (AffinityCookie { ttl_ms: Some(0), ..document() }, "ttl_ms"),
        ] {
            assert_eq!(Cookie::build(&document).unwrap_err().path, field, "{document:?}");
        }
    }
}
