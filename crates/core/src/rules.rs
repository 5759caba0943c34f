//! Header rules: which fields are removed, replaced and added on the way through.

use crate::document::{DocumentError, FieldRules};
use crate::template::{Template, Variables};

/// Whose header fields the rules change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the type's line says it")]
pub enum Side {
    Request,
    Response,
}

/// Compiled rules. Neighbouring lines to append are one template, so rules without variables cost one copy.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Names removed, or replaced by what `lines` appends.
    dropped: Box<[Box<str>]>,
    /// Bit n is set if a dropped name has n bytes (63 stands for 63 and more): most fields fail this test first.
    lengths: u64,
    /// In their order: lines, behind an empty text; or the value alone behind the beginning of its line, where it is of
    /// variables alone. A request may lack what they stand for, and then there is no line.
    lines: Box<[(Box<[u8]>, Template)]>,
}

/// Fields that say where a message ends or that belong to one connection (RFC 9110 §7.6.1, RFC 9112 §6). Evenly
/// writes them itself; a rule that changed them would break the framing or be undone.
const OWN_FIELDS: [&str; 8] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "keep-alive",
    "proxy-connection",
];

impl Rules {
    /// Compiles the rules. Error paths are relative: `set[0]`.
    ///
    /// # Errors
    /// A name that is not a token, a field that Evenly must write itself, or a value that is not a template.
    pub fn build(document: &FieldRules, side: Side) -> Result<Self, DocumentError> {
        for (i, name) in document.remove.iter().enumerate() {
            check_name(name, side).map_err(|message| DocumentError::new(format!("remove[{i}]"), message))?;
        }
        let mut lines: Vec<(Box<[u8]>, Template)> = Vec::new();
        for (list, fields) in [("set", &document.set), ("add", &document.add)] {
            for (i, (name, value)) in fields.iter().enumerate() {
                let at = |message| DocumentError::new(format!("{list}[{i}]"), message);
                check_name(name, side).map_err(at)?;
                let value = Template::parse(value).map_err(at)?;
                let begin = format!("{name}: ").into_bytes();
                if value.is_variable() {
                    lines.push((begin.into(), value));
                    continue;
                }
                if lines.last().is_none_or(|(begin, _)| !begin.is_empty()) {
                    lines.push((Box::default(), Template::default()));
                }
                let (_, always) = lines.last_mut().expect("one was pushed");
                always.push_literal(&begin);
                always.push(value);
                always.push_literal(b"\r\n");
            }
        }
        let replaced = document.set.iter().map(|(name, _)| name);
        let dropped: Box<[Box<str>]> =
            document.remove.iter().chain(replaced).map(|n| n.as_str().into()).collect();
        let lengths = dropped.iter().fold(0, |bits, name| bits | length_bit(name));
        Ok(Self { dropped, lengths, lines: lines.into() })
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.dropped.is_empty() && self.lines.is_empty()
    }

    /// Whether the field called `name` is left out of the copy: removed, or replaced by what [`Rules::write`] appends.
    pub fn drops(&self, name: &str) -> bool {
        self.lengths & length_bit(name) != 0
            && self.dropped.iter().any(|drop| drop.eq_ignore_ascii_case(name))
    }

    /// Appends the set and added fields as "Name: value\r\n" lines.
    pub fn write(&self, out: &mut Vec<u8>, vars: &Variables<'_>) {
        for (name, value) in &self.lines {
            let begin = out.len();
            out.extend_from_slice(name);
            value.render(out, vars);
            if name.is_empty() {
                continue;
            }
            if out.len() == begin + name.len() {
                out.truncate(begin);
            } else {
                out.extend_from_slice(b"\r\n");
            }
        }
    }
}

/// Whether `name` is a `token` (RFC 9110 §5.6.2), as header names and methods must be.
pub fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether a field may be changed by its name.
pub(crate) fn check_name(name: &str, side: Side) -> Result<(), String> {
    let is = |other: &&str| name.eq_ignore_ascii_case(other);
    if !is_token(name) {
        Err(format!("'{name}' is not a header's name"))
    } else if OWN_FIELDS.iter().any(is) {
        Err(format!("'{name}' belongs to the connection; Evenly writes it itself"))
    } else if side == Side::Request && is(&"host") {
        Err("'Host' is changed by the route's host rewrite, not by a header rule".into())
    } else if side == Side::Request && is(&"expect") {
        Err("'Expect' is part of the exchange with the client; Evenly passes it on itself".into())
    } else {
        Ok(())
    }
}

fn length_bit(name: &str) -> u64 {
    1 << name.len().min(63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Fields;

    struct NoFields;

    impl Fields for NoFields {
        fn first(&self, _: &str) -> Option<&[u8]> {
            None
        }

        fn any(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
            false
        }
    }

    fn rules(
        remove: &[&str],
        set: &[(&str, &str)],
        add: &[(&str, &str)],
        side: Side,
    ) -> Result<Rules, DocumentError> {
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect::<Vec<_>>()
        };
        let remove = remove.iter().map(ToString::to_string).collect();
        Rules::build(&FieldRules { remove, set: owned(set), add: owned(add) }, side)
    }

    #[test]
    fn dropped_and_appended() {
        let add = [("Via", "1.1 {listener}")];
        let rules = rules(&["Server"], &[("X-Served-By", "evenly")], &add, Side::Response).unwrap();
        assert!(!rules.is_empty());
        for (name, dropped) in
            [("server", true), ("X-SERVED-BY", true), ("Via", false), ("Date", false), ("Served", false)]
        {
            assert_eq!(rules.drops(name), dropped, "{name}");
        }
        let vars = Variables {
            client_ip: [192, 0, 2, 1].into(),
            host: "h",
            path: "/",
            query: None,
            method: "GET",
            scheme: "http",
            request_id: "r",
            listener: "web",
            fields: &NoFields,
        };
        let mut out = Vec::new();
        rules.write(&mut out, &vars);
        assert_eq!(out, b"X-Served-By: evenly\r\nVia: 1.1 web\r\n");
        let set = [("X-Asked", "{query}"), ("X-Origin", "{header:Origin}"), ("X-Method", "{method}")];
        let rules =
            self::rules(&[], &set, &[("X-Whole", "?{query}"), ("X-None", "")], Side::Request).unwrap();
        out.clear();
        rules.write(&mut out, &vars);
        assert_eq!(out, b"X-Method: GET\r\nX-Whole: ?\r\nX-None: \r\n");
        assert!(rules.drops("x-asked") && rules.drops("x-origin"));
    }

    #[test]
    fn no_rules_are_empty() {
        let rules = rules(&[], &[], &[], Side::Request).unwrap();
        assert!(rules.is_empty() && !rules.drops("Host"));
        assert!(Rules::default().is_empty());
    }

    #[test]
    fn fields_of_the_connection_are_refused_with_their_place() {
        for name in
            ["Content-Length", "transfer-encoding", "TE", "Trailer", "Upgrade", "Keep-Alive", "Connection"]
        {
            let error = rules(&["A", name], &[], &[], Side::Response).unwrap_err();
            assert_eq!(error.path, "remove[1]", "{name}");
            assert!(rules(&[], &[(name, "1")], &[], Side::Request).is_err());
        }
        let error = rules(&[], &[("Host", "x")], &[], Side::Request).unwrap_err();
        assert!(error.message.contains("host rewrite"), "{error}");
        assert!(rules(&["Host"], &[], &[], Side::Response).is_ok());
    }

    #[test]
    fn bad_names_and_values_are_refused() {
        for (name, value) in
            [("", "v"), ("a b", "v"), ("a:", "v"), ("a", "x\r\nb: c"), ("a", "\0"), ("a", "{nope}")]
        {
            assert_eq!(
                rules(&[], &[], &[(name, value)], Side::Request).unwrap_err().path,
                "add[0]",
                "{name}"
            );
        }
    }
}
