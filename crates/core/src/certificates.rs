//! Which certificates a TLS client may be shown: those for the name that it asks for (RFC 6066 §3), by the names that
//! certificates have (RFC 9525 §6.3).
//!
//! An exact name goes before a wildcard, and a wildcard stands for one label. Where several certificates have a name,
//! all are candidates, in the listener's order: which of them a client can verify (ECDSA, RSA) is for the handshake.

use crate::document::Certificate;
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// The names of a listener's certificates.
#[derive(Debug, Default)]
pub struct Names {
    /// By name in lower case.
    exact: FxHashMap<Box<str>, Vec<usize>>,
    /// By what follows `*.`.
    wildcards: FxHashMap<Box<str>, Vec<usize>>,
    /// For clients that ask for nothing that is known; empty: these are refused.
    default: Vec<usize>,
}

impl Names {
    /// Indexes certificates, which later are told by their place in the list. With `is_strict`, clients get none unless they ask for
    /// a name that one has.
    pub fn build(certificates: &[&Certificate], is_strict: bool) -> Self {
        let mut names = Self::default();
        for (place, certificate) in certificates.iter().enumerate() {
            for name in &certificate.names {
                let name = name.to_ascii_lowercase();
                let (map, key) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut names.wildcards, parent),
                    None => (&mut names.exact, name.as_str()),
                };
                let places = map.entry(key.into()).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        if !is_strict && !certificates.is_empty() {
            // Beside the first, those of the other kinds of key that stand for the same names.
            let alike = |certificate: &&Certificate| certificate.names == certificates[0].names;
            names.default = (0..certificates.len()).filter(|place| alike(&certificates[*place])).collect();
        }
        names
    }

    /// The candidates for a client that asks for `name`, or for none.
    pub fn find(&self, name: Option<&str>) -> &[usize] {
        name.and_then(|name| self.named(name)).unwrap_or(&self.default)
    }

    /// Whether a certificate has this name, which is in lower case.
    pub fn knows(&self, name: &str) -> bool {
        self.named(name).is_some()
    }

    /// Whether a certificate that clients are shown who ask for `asked` is for `host` as well: over such a connection they may
    /// ask for both (RFC 9113 §9.1.1).
    pub fn reaches(&self, asked: &str, host: &str) -> bool {
        let host = lower_case(host);
        let shown = self.named(asked).unwrap_or_default();
        let is_for = |places: Option<&Vec<usize>>| {
            places.is_some_and(|places| places.iter().any(|place| shown.contains(place)))
        };
        is_for(self.exact.get(&*host)) || is_for(self.wildcard(&host))
    }

    fn named(&self, name: &str) -> Option<&[usize]> {
        let name = lower_case(name);
        self.exact.get(&*name).or_else(|| self.wildcard(&name)).map(Vec::as_slice)
    }

    fn wildcard(&self, name: &str) -> Option<&Vec<usize>> {
        name.split_once('.').and_then(|(_, parent)| self.wildcards.get(parent))
    }
}

fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return name.to_ascii_lowercase().into();
    }
    name.into()
}

/// Names that may be asked for: exact ones, wildcards for one label, `*` for all.
#[derive(Debug, Default)]
pub struct Patterns(Vec<Box<str>>);

impl Patterns {
    /// Of the document's list; there are few, so that nothing is indexed.
    pub fn build(patterns: &[String]) -> Self {
        Self(patterns.iter().map(|pattern| pattern.to_ascii_lowercase().into()).collect())
    }

    /// Whether a name, in lower case, is one of them. Names of one label and addresses are no names of hosts.
    pub fn matches(&self, name: &str) -> bool {
        let Some((_, parent)) = name.split_once('.') else { return false };
        let is_address =
            name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        let is = |pattern: &str| match pattern.strip_prefix("*.") {
            Some(suffix) => suffix == parent,
            None => pattern == "*" || pattern == name,
        };
        !is_address && self.0.iter().any(|pattern| is(pattern))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Secret;

    fn certificate(names: &[&str]) -> Certificate {
        Certificate {
            name: String::new(),
            chain: String::new(),
            key: Secret(String::new()),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn find(lists: &[&[&str]], is_strict: bool, name: Option<&str>) -> Vec<usize> {
        let all: Vec<Certificate> = lists.iter().map(|names| certificate(names)).collect();
        Names::build(&all.iter().collect::<Vec<_>>(), is_strict).find(name).to_vec()
    }

    #[test]
    fn exact_goes_before_wildcard_and_a_wildcard_is_one_label() {
        let lists: [&[&str]; 3] = [&["first.test"], &["*.shop.test", "shop.test"], &["www.shop.test"]];
        for (name, place) in [
            ("www.shop.test", 2),
            ("WWW.Shop.Test", 2),
            ("api.shop.test", 1),
            ("shop.test", 1),
            ("a.b.shop.test", 0),
            ("other.test", 0),
            ("", 0),
        ] {
            assert_eq!(find(&lists, false, Some(name)), [place], "{name}");
        }
        assert_eq!(find(&lists, false, None), [0]);
    }

    #[test]
    fn patterns_are_exact_or_one_label_or_all() {
        let patterns = |listed: &[&str]| {
            Patterns::build(&listed.iter().map(|each| (*each).to_owned()).collect::<Vec<_>>())
        };
        let some = patterns(&["Shop.test", "*.customers.test"]);
        for (name, matches) in [
            ("shop.test", true),
            ("a.customers.test", true),
            ("customers.test", false),
            ("a.b.customers.test", false),
            ("other.test", false),
        ] {
            assert_eq!(some.matches(name), matches, "{name}");
        }
        let all = patterns(&["*"]);
        assert!(all.matches("a.b.c.test") && !all.matches("localhost") && !all.matches("10.0.0.1"));
        assert!(!Patterns::default().matches("shop.test"));
    }

    #[test]
    fn every_certificate_with_the_name_is_a_candidate() {
        let lists: [&[&str]; 3] = [&["shop.test"], &["shop.test"], &["other.test"]];
        assert_eq!(find(&lists, false, Some("shop.test")), [0, 1]);
        assert_eq!(find(&lists, false, None), [0, 1], "the default, with either kind of key");
    }

    #[test]
    fn a_connection_reaches_what_its_certificate_is_for() {
        let lists: [&[&str]; 3] =
            [&["shop.test", "*.shop.test"], &["www.shop.test"], &["shop.test", "old.test"]];
        let all: Vec<Certificate> = lists.iter().map(|names| certificate(names)).collect();
        let names = Names::build(&all.iter().collect::<Vec<_>>(), true);
        for (asked, host, reaches) in [
            ("shop.test", "api.shop.test", true),
            ("Shop.test", "API.shop.test", true),
            // Shown its own certificate, which goes before the wildcard; but the wildcard stands for it, too.
            ("www.shop.test", "api.shop.test", false),
            ("api.shop.test", "www.shop.test", true),
            ("shop.test", "old.test", true),
            ("api.shop.test", "old.test", false),
            ("shop.test", "a.b.shop.test", false),
            ("shop.test", "other.test", false),
            ("shop.test", "10.0.0.1", false),
            ("other.test", "shop.test", false),
            ("", "shop.test", false),
        ] {
            assert_eq!(names.reaches(asked, host), reaches, "{asked} {host}");
        }
    }

    #[test]
    fn strict_leaves_nothing_for_those_who_ask_for_nothing_known() {
        let lists: [&[&str]; 1] = [&["shop.test"]];
        assert!(find(&lists, true, None).is_empty());
        assert!(find(&lists, true, Some("other.test")).is_empty());
        assert_eq!(find(&lists, true, Some("shop.test")), [0]);
    }
}
