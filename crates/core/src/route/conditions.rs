//! A route's conditions besides host and path: methods, header fields, cookies and query parameters.

use super::path::anchored;
use super::{Fields, Request};
use crate::client_tls::NAMES;
use crate::document::{self, DocumentError, FieldMatch, ValueMatch};
use crate::nearest::unknown;
use crate::rules::is_token;
use regex::bytes::{Regex, RegexBuilder};

/// Conditions that must all hold.
#[derive(Debug, Default)]
pub struct Conditions {
    methods: Option<Box<[Box<str>]>>,
    allow_connect: bool,
    headers: Box<[Condition]>,
    cookies: Box<[Condition]>,
    query: Box<[Condition]>,
    tls: Box<[Condition]>,
}

#[derive(Debug)]
struct Condition {
    name: Box<str>,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Present,
    Absent,
    Exact(Box<[u8]>),
    Regex(Regex),
}

impl Conditions {
    /// Checks and compiles. Error paths are relative to the route: `headers[0].value`.
    ///
    /// # Errors
    /// A method or name that no request can have, an expression that does not compile, CONNECT without permission.
    pub fn build(route: &document::Route) -> Result<Self, DocumentError> {
        if let Some(methods) = &route.methods {
            check_methods(methods, route.allow_connect)?;
        }
        Ok(Self {
            methods: route
                .methods
                .as_ref()
                .map(|methods| methods.iter().map(|m| m.as_str().into()).collect()),
            allow_connect: route.allow_connect,
            headers: conditions("headers", &route.headers, true)?,
            cookies: conditions("cookies", &route.cookies, true)?,
            query: conditions("query", &route.query, false)?,
            tls: tls(&route.tls)?,
        })
    }

    /// Conditions on header fields alone. Error paths as in [`Conditions::build`].
    ///
    /// # Errors
    /// As there.
    pub fn of_headers(headers: &[FieldMatch]) -> Result<Self, DocumentError> {
        Ok(Self { headers: conditions("headers", headers, true)?, ..Self::default() })
    }

    /// Whether all hold.
    pub fn hold(&self, request: &Request<'_>) -> bool {
        self.accept_method(request)
            && self.headers.iter().all(|c| c.holds(|test| request.fields.any(&c.name, test)))
            && self.cookies.iter().all(|c| c.holds(|test| cookie(request.fields, &c.name, test)))
            && self
                .query
                .iter()
                .all(|c| c.holds(|test| query_parameter(request.query.unwrap_or_default(), &c.name, test)))
            && self.tls.iter().all(|c| c.holds(|test| request.tls.is_some_and(|tls| tls.any(&c.name, test))))
    }

    /// Name and value of the first header condition on an exact value, which the table can index.
    pub(super) fn exact_header(&self) -> Option<(&str, &[u8])> {
        self.headers.iter().find_map(|condition| match &condition.test {
            Test::Exact(value) => Some((&*condition.name, &**value)),
            _ => None,
        })
    }

    fn accept_method(&self, request: &Request<'_>) -> bool {
        let named = match &self.methods {
            None => true,
            Some(methods) => methods.iter().any(|method| **method == *request.method),
        };
        named && (!request.connect || self.allow_connect)
    }
}

impl Condition {
    /// `any` asks whether a test accepts any of the request's values for the name.
    fn holds(&self, any: impl Fn(&mut dyn FnMut(&[u8]) -> bool) -> bool) -> bool {
        match &self.test {
            Test::Present => any(&mut |_| true),
            Test::Absent => !any(&mut |_| true),
            Test::Exact(expected) => any(&mut |value| *value == **expected),
            Test::Regex(regex) => any(&mut |value| regex.is_match(value)),
        }
    }
}

/// Whether `test` accepts the value of any cookie called `name` (RFC 6265 §4.2.1; compared with case).
pub fn cookie(fields: &dyn Fields, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    fields.any("cookie", &mut |header| {
        header.split(|byte| *byte == b';').any(|pair| {
            let (key, value) = split_pair(pair.trim_ascii());
            key == name.as_bytes() && test(value.trim_ascii_start())
        })
    })
}

/// Whether `test` accepts the value of any parameter called `name` in an undecoded query ("a=1&b=2"). A parameter
/// without "=" has the empty value.
pub fn query_parameter(query: &str, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    query.as_bytes().split(|byte| *byte == b'&').any(|pair| {
        let (key, value) = split_pair(pair);
        key == name.as_bytes() && test(value)
    })
}

fn split_pair(pair: &[u8]) -> (&[u8], &[u8]) {
    match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, b""),
    }
}

fn check_methods(methods: &[String], allow_connect: bool) -> Result<(), DocumentError> {
    if methods.is_empty() {
        return Err(DocumentError::new(
            "methods",
            "is empty, so nothing could match; null stands for any method",
        ));
    }
    for (i, method) in methods.iter().enumerate() {
        let fail = |message| Err(DocumentError::new(format!("methods[{i}]"), message));
        if !is_token(method) {
            return fail(format!("'{method}' is not a method's name"));
        }
        if method.bytes().any(|b| b.is_ascii_lowercase()) {
            return fail(format!("'{method}' must be upper case: methods compare with case"));
        }
        if method == "CONNECT" && !allow_connect {
            return fail("CONNECT needs allow_connect".into());
        }
    }
    Ok(())
}

fn tls(matches: &[FieldMatch]) -> Result<Box<[Condition]>, DocumentError> {
    match matches.iter().position(|field| !NAMES.contains(&field.name.as_str())) {
        Some(i) => {
            let path = format!("tls[{i}].name");
            Err(DocumentError::new(path, unknown("fact of TLS", &matches[i].name, NAMES)))
        }
        None => conditions("tls", matches, false),
    }
}

fn conditions(list: &str, matches: &[FieldMatch], token: bool) -> Result<Box<[Condition]>, DocumentError> {
    let build = |(i, field): (usize, &FieldMatch)| {
        let at = |part: &str, message| DocumentError::new(format!("{list}[{i}].{part}"), message);
        if field.name.is_empty() || (token && !is_token(&field.name)) {
            return Err(at("name", format!("'{}' is not a name that a request can have", field.name)));
        }
        let test = match &field.value {
            ValueMatch::Present => Test::Present,
            ValueMatch::Absent => Test::Absent,
            ValueMatch::Exact(value) => Test::Exact(value.as_bytes().into()),
            ValueMatch::Regex(pattern) => Test::Regex(value_regex(pattern).map_err(|e| at("value", e))?),
        };
        Ok(Condition { name: field.name.as_str().into(), test })
    };
    matches.iter().enumerate().map(build).collect()
}

/// Values are bytes, not always UTF-8, hence the other kind of expression; limits as for paths.
fn value_regex(pattern: &str) -> Result<Regex, String> {
    const BYTES: usize = 1 << 20;
    let whole = anchored(pattern)?;
    RegexBuilder::new(&whole).size_limit(BYTES).dfa_size_limit(BYTES).build().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Cookies(&'static [&'static str]);

    impl Fields for Cookies {
        fn first(&self, _: &str) -> Option<&[u8]> {
            self.0.first().map(|value| value.as_bytes())
        }

        fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
            name.eq_ignore_ascii_case("cookie") && self.0.iter().any(|value| test(value.as_bytes()))
        }
    }

    #[test]
    fn cookies_are_found_in_all_fields() {
        let fields = Cookies(&["a=1; b=2", "c=x=y;d=;  A=3"]);
        for (name, value) in [("a", "1"), ("b", "2"), ("c", "x=y"), ("d", ""), ("A", "3")] {
            assert!(cookie(&fields, name, &mut |found| found == value.as_bytes()), "{name}");
        }
        assert!(!cookie(&fields, "B", &mut |_| true));
    }

    #[test]
    fn query_parameters() {
        let query = "a=1&a=2&b&c==&%61=4";
        let count =
            |name: &str, value: &str| query_parameter(query, name, &mut |found| found == value.as_bytes());
        assert!(count("a", "1") && count("a", "2") && count("b", "") && count("c", "=") && count("%61", "4"));
        assert!(!count("d", "") && !count("a", "4"));
    }
}
