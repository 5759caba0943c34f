//! Reads `Accept-Encoding` (RFC 9110 §12.5.3): which codings a client takes, and how gladly.

use crate::document::Algorithm;

/// What a client says about the codings that are known here; qualities in thousandths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepted {
    gzip: Option<u16>,
    br: Option<u16>,
    zstd: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Accepted {
    /// Takes in one value of the field; several count as one list. What is malformed is passed over: the worst that can
    /// come of it is an answer that is not compressed.
    pub fn read(&mut self, value: &[u8]) {
        for element in value.split(|byte| *byte == b',') {
            let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let place = match name {
                _ if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") => {
                    &mut self.gzip
                }
                _ if name.eq_ignore_ascii_case(b"br") => &mut self.br,
                _ if name.eq_ignore_ascii_case(b"zstd") => &mut self.zstd,
                _ if name.eq_ignore_ascii_case(b"identity") => &mut self.identity,
                b"*" => &mut self.any,
                _ => continue,
            };
            let weight = parts.next().map_or(Some(1000), quality);
            // An element that cannot be read means no; one that is repeated means its least.
            let weight = weight.unwrap_or(0);
            *place = Some(place.map_or(weight, |other| other.min(weight)));
        }
    }

    /// The coding that the client likes best; of equals the first in `offered`. `None` when it likes the bare body
    /// better, or takes none of them.
    pub fn choose(&self, offered: &[Algorithm]) -> Option<Algorithm> {
        let weight = |algorithm: &Algorithm| {
            let own = match algorithm {
                Algorithm::Gzip => self.gzip,
                Algorithm::Br => self.br,
                Algorithm::Zstd => self.zstd,
            };
            own.or(self.any).unwrap_or(0)
        };
        // The bare body is always there; a client that names it says how much it wants it.
        let bare = self.identity.unwrap_or(0);
        let best = offered.iter().rev().max_by_key(|algorithm| weight(algorithm))?;
        (weight(best) > 0 && weight(best) >= bare).then_some(*best)
    }
}

/// `q=0.5` in thousandths (RFC 9110 §12.4.2).
fn quality(parameter: &[u8]) -> Option<u16> {
    let digits = match parameter {
        [b'q' | b'Q', b'=', digits @ ..] => digits,
        _ => return None,
    };
    let (whole, fraction) = match digits {
        [whole] | [whole, b'.'] => (*whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (*whole, fraction),
        _ => return None,
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths =
        fraction.iter().chain(b"000").take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match (whole, thousandths) {
        (b'0', thousandths) => Some(thousandths),
        (b'1', 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Algorithm::{Br, Gzip, Zstd};
    use proptest::prelude::*;

    fn chosen(values: &[&str], offered: &[Algorithm]) -> Option<Algorithm> {
        let mut accepted = Accepted::default();
        values.iter().for_each(|value| accepted.read(value.as_bytes()));
        accepted.choose(offered)
    }

    #[test]
    fn the_client_s_weights_come_before_the_order_offered() {
        let all = [Zstd, Br, Gzip];
        for (values, expected) in [
            (&["gzip, deflate, br, zstd"][..], Some(Zstd)),
            (&["gzip, deflate, br"], Some(Br)),
            (&["gzip", "br"], Some(Br)),
            (&["GZIP"], Some(Gzip)),
            (&["x-gzip"], Some(Gzip)),
            (&["br;q=0.5, gzip;q=0.8"], Some(Gzip)),
            (&["br;q=0.5,gzip;q=0.500"], Some(Br)),
            (&["zstd;q=0, *"], Some(Br)),
            (&["*;q=0"], None),
            (&["*;q=0, gzip"], Some(Gzip)),
            (&["*"], Some(Zstd)),
            (&["gzip;q=0"], None),
            (&["gzip;q=0.0"], None),
            (&["identity"], None),
            (&["identity, gzip;q=0.5"], None),
            (&["identity;q=0.2, gzip;q=0.5"], Some(Gzip)),
            (&["identity;q=0"], None),
            (&["gzip ; q=1"], Some(Gzip)),
            (&["gzip;q=1.1"], None),
            (&["gzip;q=2"], None),
            (&["gzip;q=0.0001"], None),
            (&["gzip;q="], None),
            (&["gzip;level=3"], None),
            (&["gzip;q=1, gzip;q=0"], None),
            (&["deflate, compress"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(chosen(values, &all), expected, "{values:?}");
        }
        assert_eq!(chosen(&["zstd, gzip"], &[Gzip]), Some(Gzip));
        assert_eq!(chosen(&["zstd"], &[Gzip]), None);
        assert_eq!(chosen(&["gzip"], &[]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(value in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut accepted = Accepted::default();
            accepted.read(&value);
            let _ = accepted.choose(&[Zstd, Br, Gzip]);
        }

        #[test]
        fn nothing_refused_is_chosen_and_nothing_better_is_left(gzip in 0_u16..=1000, br in 0_u16..=1000, zstd in 0_u16..=1000, identity in 0_u16..=1000) {
            let q = |weight: u16| if weight == 1000 { "1".to_owned() } else { format!("0.{weight:03}") };
            let value = format!("gzip;q={}, br;q={}, zstd;q={}, identity;q={}", q(gzip), q(br), q(zstd), q(identity));
            let weights = [(Gzip, gzip), (Br, br), (Zstd, zstd)];
            match chosen(&[&value], &[Zstd, Br, Gzip]) {
                Some(choice) => {
                    let own = weights.iter().find(|(algorithm, _)| *algorithm == choice).unwrap().1;
                    prop_assert!(own > 0 && own >= identity && weights.iter().all(|(_, other)| *other <= own));
                }
                None => prop_assert!(weights.iter().all(|(_, weight)| *weight == 0 || *weight < identity)),
            }
        }
    }
}
