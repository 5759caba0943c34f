//! Texts with variables: redirect locations and header values.
//!
//! A template is parsed once, when a snapshot is built; rendering copies pieces and cannot fail.

use crate::nearest::unknown;
use crate::route::{Fields, host_name};
use std::io::Write;
use std::net::IpAddr;

/// What a request offers to templates. Borrowed from the request; nothing is computed before it is asked for.
#[derive(Clone, Copy)]
pub struct Variables<'a> {
    /// The client's address, the forwarded one behind trusted proxies.
    pub client_ip: IpAddr,
    /// The authority as received; rendered without its port.
    pub host: &'a str,
    /// The normalised path.
    pub path: &'a str,
    /// The query without "?".
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// "http" or "https", as the client used it.
    pub scheme: &'a str,
    /// The request's identifier.
    pub request_id: &'a str,
    /// The listener's name.
    pub listener: &'a str,
    /// The request's header fields, for `{header:NAME}`: the first value, or nothing.
    pub fields: &'a dyn Fields,
}

/// A parsed text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(Box<[u8]>),
    Variable(Variable),
    Header(Box<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    ClientIp,
    Host,
    Path,
    Query,
    Uri,
    Method,
    Scheme,
    RequestId,
    Listener,
}

/// Every variable by name. `header:NAME` is the one that has an argument.
const VARIABLES: [(&str, Variable); 9] = [
    ("client_ip", Variable::ClientIp),
    ("host", Variable::Host),
    ("path", Variable::Path),
    ("query", Variable::Query),
    ("uri", Variable::Uri),
    ("method", Variable::Method),
    ("scheme", Variable::Scheme),
    ("request_id", Variable::RequestId),
    ("listener", Variable::Listener),
];

impl Template {
    /// Reads a text: `{name}` is a variable, `{{` and `}}` are braces.
    ///
    /// # Errors
    /// A lone brace, an unknown variable (with the nearest one), or a control character: what is rendered goes into
    /// a message head, where those are forbidden (RFC 9110 §5.5).
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(control) = text.chars().find(|c| c.is_ascii_control() && *c != '\t') {
            return Err(format!("control character {control:?} is not allowed"));
        }
        let mut template = Self::default();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            template.push_literal(&rest.as_bytes()[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                template.push_literal(brace.as_bytes());
                rest = after;
            } else if brace == "{" {
                let (name, after) = rest.split_once('}').ok_or("'{' without '}'; a literal brace is '{{'")?;
                template.segments.push(variable(name)?);
                rest = after;
            } else {
                return Err("'}' without '{'; a literal brace is '}}'".into());
            }
        }
        template.push_literal(rest.as_bytes());
        Ok(template)
    }

    /// Appends the text with the variables' values. Bytes that would end a header line early (CR, LF, NUL) are left
    /// out of values; the parsers refuse them, and this is the second lock on that door.
    pub fn render(&self, out: &mut Vec<u8>, vars: &Variables<'_>) {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => out.extend_from_slice(text),
                Segment::Variable(variable) => variable.render(out, vars),
                Segment::Header(name) => push_value(out, vars.fields.first(name).unwrap_or_default()),
            }
        }
    }

    /// Appends as [`Template::render`] does, as a `Location`. A path such as "//evil.example" at the beginning would
    /// send the client to another host; "/." before it keeps it a path (RFC 3986 §4.2).
    pub fn render_location(&self, out: &mut Vec<u8>, vars: &Variables<'_>) {
        let begins_with_path =
            matches!(self.segments.first(), Some(Segment::Variable(Variable::Path | Variable::Uri)));
        if begins_with_path && vars.path.starts_with("//") {
            out.extend_from_slice(b"/.");
        }
        self.render(out, vars);
    }

    /// Whether a `Location` of this comes out whole for a request: one that names no host (HTTP/1.0), or no path
    /// (`OPTIONS *`), has nothing to put into it.
    pub fn makes_location(&self, vars: &Variables<'_>) -> bool {
        self.segments.iter().all(|segment| match segment {
            Segment::Variable(Variable::Host) => !vars.host.is_empty(),
            Segment::Variable(Variable::Path | Variable::Uri) => vars.path.starts_with('/'),
            _ => true,
        })
    }

    /// Whether it consists of variables, without a text of its own.
    pub fn is_variable(&self) -> bool {
        !self.segments.is_empty()
            && self.segments.iter().all(|segment| !matches!(segment, Segment::Literal(_)))
    }

    /// The text itself when it has no variables.
    pub fn literal(&self) -> Option<&[u8]> {
        match self.segments.as_slice() {
            [] => Some(b""),
            [Segment::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether the result is the request's path or path and query, and nothing else.
    pub fn is_own_path(&self) -> bool {
        matches!(self.segments.as_slice(), [Segment::Variable(Variable::Path | Variable::Uri)])
    }

    /// Appends literal bytes; neighbours become one segment.
    pub(crate) fn push_literal(&mut self, text: &[u8]) {
        match self.segments.last_mut() {
            _ if text.is_empty() => {}
            Some(Segment::Literal(last)) => *last = [last, text].concat().into(),
            _ => self.segments.push(Segment::Literal(text.into())),
        }
    }

    /// Appends another template.
    pub(crate) fn push(&mut self, other: Self) {
        for segment in other.segments {
            match segment {
                Segment::Literal(text) => self.push_literal(&text),
                value => self.segments.push(value),
            }
        }
    }
}

impl Variable {
    fn render(self, out: &mut Vec<u8>, vars: &Variables<'_>) {
        match self {
            Self::ClientIp => {
                // Writing to a Vec cannot fail.
                let _ = write!(out, "{}", vars.client_ip.to_canonical());
            }
            Self::Host => push_value(out, host_name(vars.host).as_bytes()),
            Self::Path => push_value(out, vars.path.as_bytes()),
            Self::Query => push_value(out, vars.query.unwrap_or_default().as_bytes()),
            Self::Uri => {
                push_value(out, vars.path.as_bytes());
                if let Some(query) = vars.query {
                    out.push(b'?');
                    push_value(out, query.as_bytes());
                }
            }
            Self::Method => push_value(out, vars.method.as_bytes()),
            Self::Scheme => push_value(out, vars.scheme.as_bytes()),
            Self::RequestId => push_value(out, vars.request_id.as_bytes()),
            Self::Listener => push_value(out, vars.listener.as_bytes()),
        }
    }
}

fn variable(name: &str) -> Result<Segment, String> {
    if let Some(header) = name.strip_prefix("header:") {
        return match crate::rules::is_token(header) {
            true => Ok(Segment::Header(header.into())),
            false => Err(format!("'{header}' is not a header's name")),
        };
    }
    let found = VARIABLES.iter().find(|(known, _)| *known == name);
    found.map(|(_, variable)| Segment::Variable(*variable)).ok_or_else(|| {
        let known = VARIABLES.iter().map(|(known, _)| *known).chain(["header:NAME"]);
        unknown("variable", name, known)
    })
}

fn push_value(out: &mut Vec<u8>, value: &[u8]) {
    let unsafe_byte = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
    if value.iter().any(unsafe_byte) {
        out.extend(value.iter().filter(|byte| !unsafe_byte(byte)));
    } else {
        out.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct OneField;

    impl Fields for OneField {
        fn first(&self, name: &str) -> Option<&[u8]> {
            name.eq_ignore_ascii_case("X-User").then_some(b"ann\r\nX-Evil: 1")
        }

        fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
            self.first(name).is_some_and(test)
        }
    }

    fn vars(path: &'static str, query: Option<&'static str>) -> Variables<'static> {
        Variables {
            client_ip: "::ffff:192.0.2.1".parse().unwrap(),
            host: "Shop.example.com:8080",
            path,
            query,
            method: "GET",
            scheme: "https",
            request_id: "r-1",
            listener: "web",
            fields: &OneField,
        }
    }

    fn rendered(text: &str, vars: &Variables<'_>) -> String {
        let mut out = Vec::new();
        Template::parse(text).unwrap().render(&mut out, vars);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_variable_has_its_value() {
        let vars = vars("/a", Some("b=c"));
        let text = "{client_ip} {host} {path} {query} {uri} {method} {scheme} {request_id} {listener} {header:x-user}";
        let values = "192.0.2.1 Shop.example.com /a b=c /a?b=c GET https r-1 web annX-Evil: 1";
        assert_eq!(rendered(text, &vars), values);
    }

    #[test]
    fn what_is_missing_renders_as_nothing() {
        assert_eq!(rendered("<{query}{header:absent}{uri}>", &vars("/a", None)), "</a>");
    }

    #[test]
    fn doubled_braces_are_literal() {
        assert_eq!(rendered("{{{method}}} }}{{", &vars("/", None)), "{GET} }{");
        assert_eq!(Template::parse("a{{b}}").unwrap().literal(), Some(&b"a{b}"[..]));
    }

    #[test]
    fn errors_name_the_nearest_variable() {
        let cases = [
            ("{hosts}", "unknown variable 'hosts'; did you mean 'host'?"),
            ("{elephant}", "unknown variable 'elephant'"),
            ("{", "'{' without '}'; a literal brace is '{{'"),
            ("a}", "'}' without '{'; a literal brace is '}}'"),
            ("{header:}", "'' is not a header's name"),
            ("{header:a b}", "'a b' is not a header's name"),
            ("a\r\nb", "control character '\\r' is not allowed"),
        ];
        for (text, message) in cases {
            assert_eq!(Template::parse(text), Err(message.into()), "{text}");
        }
    }

    #[test]
    fn a_location_made_of_a_path_stays_on_its_host() {
        let mut out = Vec::new();
        Template::parse("{uri}").unwrap().render_location(&mut out, &vars("//evil.example", Some("q")));
        assert_eq!(out, b"/.//evil.example?q");
    }
}
