//! Which client addresses may come in: two lists of networks, flattened into spans of addresses that share a verdict,
//! so that a look-up is one binary search over half as many numbers as cache lines would hold networks.

use crate::document::{self, DocumentError};
use crate::route::inside;
use crate::trust::{number, range};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::net::IpAddr;

/// Allowed and denied networks. The most specific network that holds an address decides; an address in none is allowed
/// exactly if there is no list of allowed ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks {
    /// Where each span begins, ascending; the first is 0. A span ends where the next begins.
    firsts: Box<[u128]>,
    /// Whether the addresses of the span are allowed, in the same places.
    allowed: Box<[bool]>,
}

/// A network on the one line of numbers that both families share.
struct Span {
    first: u128,
    last: u128,
    is_allowed: bool,
}

impl Networks {
    /// Reads both lists. Error paths are relative to the document's table: `deny[3]`.
    ///
    /// # Errors
    /// A text that is no network, or a network in both lists.
    pub fn build(document: &document::RouteAccess) -> Result<Self, DocumentError> {
        let mut spans = Vec::with_capacity(document.allow.len() + document.deny.len());
        let mut places: FxHashMap<(u128, u128), usize> = FxHashMap::default();
        for (list, is_allowed, networks) in
            [("allow", true, &document.allow), ("deny", false, &document.deny)]
        {
            for (i, network) in networks.iter().enumerate() {
                let (first, last) = range(network)
                    .map_err(|message| DocumentError::new(format!("[{i}]"), message))
                    .map_err(inside(list))?;
                if is_allowed {
                    places.insert((first, last), i);
                } else if let Some(other) = places.get(&(first, last)) {
                    let message = format!("'{network}' is also allow[{other}]");
                    return Err(DocumentError::new(format!("{list}[{i}]"), message));
                }
                spans.push(Span { first, last, is_allowed });
            }
        }
        Ok(Self::flatten(spans, document.allow.is_empty()))
    }

    /// Cuts nested networks into spans that do not overlap. Networks lie inside one another or apart, never across, so
    /// a stack of those that are open where the sweep stands is all it takes.
    fn flatten(mut spans: Vec<Span>, otherwise: bool) -> Self {
        spans.sort_unstable_by_key(|span| (span.first, Reverse(span.last)));
        let mut flat = vec![(0, otherwise)];
        let mut open: Vec<Span> = Vec::new();
        for span in spans {
            while let Some(ended) = open.pop_if(|open| open.last < span.first) {
                put(&mut flat, ended.last + 1, open.last().map_or(otherwise, |outer| outer.is_allowed));
            }
            put(&mut flat, span.first, span.is_allowed);
            open.push(span);
        }
        while let Some(ended) = open.pop() {
            if let Some(next) = ended.last.checked_add(1) {
                put(&mut flat, next, open.last().map_or(otherwise, |outer| outer.is_allowed));
            }
        }
        flat.dedup_by_key(|(_, is_allowed)| *is_allowed);
        let (firsts, allowed): (Vec<_>, Vec<_>) = flat.into_iter().unzip();
        Self { firsts: firsts.into(), allowed: allowed.into() }
    }

    /// Whether `address` may come in.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = number(address);
        let after = self.firsts.partition_point(|first| *first <= address);
        // The first span begins at 0, so one always precedes.
        self.allowed[after.max(1) - 1]
    }
}

/// Begins a span; one that begins at the same address is replaced.
fn put(flat: &mut Vec<(u128, bool)>, first: u128, is_allowed: bool) {
    flat.pop_if(|(last, _)| *last == first);
    flat.push((first, is_allowed));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn build(allow: &[&str], deny: &[&str]) -> Result<Networks, DocumentError> {
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Networks::build(&document::RouteAccess { allow: owned(allow), deny: owned(deny) })
    }

    #[test]
    fn the_most_specific_network_decides() {
        let networks =
            build(&["10.0.0.0/8", "10.9.1.0/24", "2001:db8::/32"], &["10.9.0.0/16", "10.9.1.7/32"]);
        let networks = networks.unwrap();
        for (address, is_allowed) in [
            ("10.0.0.1", true),
            ("10.8.255.255", true),
            ("10.9.0.0", false),
            ("10.9.1.6", true),
            ("10.9.1.7", false),
            ("10.9.1.8", true),
            ("10.9.255.255", false),
            ("10.10.0.0", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("::ffff:10.9.1.7", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
            ("::", false),
        ] {
            assert_eq!(networks.allows(address.parse().unwrap()), is_allowed, "{address}");
        }
    }

    #[test]
    fn without_an_allow_list_only_the_denied_are_out() {
        let networks = build(&[], &["192.0.2.0/24", "::1/128"]).unwrap();
        for (address, is_allowed) in
            [("192.0.2.9", false), ("192.0.3.0", true), ("::1", false), ("::2", true)]
        {
            assert_eq!(networks.allows(address.parse().unwrap()), is_allowed, "{address}");
        }
        let all = build(&[], &["::/0"]).unwrap();
        assert!(!all.allows("192.0.2.1".parse().unwrap()) && !all.allows("ff::".parse().unwrap()));
    }

    #[test]
    fn contradictions_and_slips_are_refused_with_their_place() {
        let error = build(&["::1/128", "10.0.0.0/8"], &["::/64", "10.0.0.0/8"]).unwrap_err();
        assert_eq!(
            (error.path.as_str(), error.message.as_str()),
            ("deny[1]", "'10.0.0.0/8' is also allow[1]")
        );
        assert_eq!(build(&["10.0.0.0/8", "10.0.0.1/8"], &[]).unwrap_err().path, "allow[1]");
    }

    /// Networks close together, so that they nest and touch.
    fn network() -> impl Strategy<Value = (u32, u32)> {
        (20_u32..=32, any::<u16>())
            .prop_map(|(length, bits)| (0x0a00_0000 | u32::from(bits), length))
            .prop_map(|(bits, length)| (bits & (u32::MAX << (32 - length)), length))
    }

    proptest! {
        #[test]
        fn a_look_up_is_the_longest_prefix(
            allow in prop::collection::hash_set(network(), 0..40),
            deny in prop::collection::hash_set(network(), 0..40),
            addresses in prop::collection::vec(any::<u16>(), 1..60),
        ) {
            let deny: Vec<_> = deny.difference(&allow).copied().collect();
            let text = |(bits, length): &(u32, u32)| format!("{}/{length}", std::net::Ipv4Addr::from_bits(*bits));
            let document = document::RouteAccess {
                allow: allow.iter().map(text).collect(),
                deny: deny.iter().map(text).collect(),
            };
            let networks = Networks::build(&document).unwrap();
            for address in addresses {
                let address = 0x0a00_0000 | u32::from(address);
                let holds = |(bits, length): &&(u32, u32)| address & (u32::MAX << (32 - length)) == *bits;
                let longest = |list: &mut dyn Iterator<Item = &(u32, u32)>| list.filter(holds).map(|(_, length)| *length).max();
                let (yes, no) = (longest(&mut allow.iter()), longest(&mut deny.iter()));
                let expected = if yes == no { allow.is_empty() } else { yes > no };
                prop_assert_eq!(networks.allows(std::net::Ipv4Addr::from_bits(address).into()), expected);
            }
        }
    }
}
