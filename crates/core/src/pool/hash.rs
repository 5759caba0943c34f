//! The hash that the hash balancers go by: the same in every process, on every node and in every version, so that
//! nodes which share nothing send the same key to the same endpoint.
//!
//! It is public and unkeyed: whoever chooses keys can choose their endpoint. Bounded load
//! ([`crate::balancer::LoadBound`]) is what keeps one endpoint from being flooded that way, not a secret.

use std::net::{IpAddr, SocketAddr};

const PRIME_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME_5: u64 = 0x27D4_EB2F_1656_67C5;

/// XXH64 with seed 0 (Yann Collet, xxHash specification 0.1.1, section "XXH64 algorithm description").
///
/// Chosen because it is specified apart from its code, has published vectors, and takes about 40 instructions for
/// the short keys that addresses, hosts and session names are.
pub fn hash(bytes: &[u8]) -> u64 {
    let (stripes, rest) = bytes.as_chunks::<32>();
    let start = if stripes.is_empty() { PRIME_5 } else { converge(stripes) };
    finish(start.wrapping_add(bytes.len() as u64), rest)
}

/// The hash of an endpoint's address: of its octets, then its port, both in network order.
pub fn address(address: SocketAddr) -> u64 {
    let port = address.port().to_be_bytes();
    match address.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            hash(&[a, b, c, d, port[0], port[1]])
        }
        IpAddr::V6(ip) => {
            let mut bytes = [0; 18];
            bytes[..16].copy_from_slice(&ip.octets());
            bytes[16..].copy_from_slice(&port);
            hash(&bytes)
        }
    }
}

/// A bijection in which every bit of the input touches every bit of the output: the finaliser of SplitMix64
/// (Stafford's variant 13 of MurmurHash3's). Makes many hashes of one.
#[inline]
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Steps 1 to 3 of the specification: four lanes over stripes of 32 bytes, merged into one.
fn converge(stripes: &[[u8; 32]]) -> u64 {
    let mut lanes = [PRIME_1.wrapping_add(PRIME_2), PRIME_2, 0, PRIME_1.wrapping_neg()];
    for stripe in stripes {
        let (words, _) = stripe.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = round(*lane, u64::from_le_bytes(*word));
        }
    }
    let [a, b, c, d] = lanes;
    let sum = a
        .rotate_left(1)
        .wrapping_add(b.rotate_left(7))
        .wrapping_add(c.rotate_left(12))
        .wrapping_add(d.rotate_left(18));
    lanes.iter().fold(sum, |all, lane| (all ^ round(0, *lane)).wrapping_mul(PRIME_1).wrapping_add(PRIME_4))
}

/// Steps 5 and 6: what is left of the input, then the avalanche.
fn finish(start: u64, rest: &[u8]) -> u64 {
    let mut all = start;
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        all ^= round(0, u64::from_le_bytes(*word));
        all = all.rotate_left(27).wrapping_mul(PRIME_1).wrapping_add(PRIME_4);
    }
    let (halves, rest) = rest.as_chunks::<4>();
    for half in halves {
        all ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(PRIME_1);
        all = all.rotate_left(23).wrapping_mul(PRIME_2).wrapping_add(PRIME_3);
    }
    for byte in rest {
        all ^= u64::from(*byte).wrapping_mul(PRIME_5);
        all = all.rotate_left(11).wrapping_mul(PRIME_1);
    }
    all = (all ^ (all >> 33)).wrapping_mul(PRIME_2);
    all = (all ^ (all >> 29)).wrapping_mul(PRIME_3);
    all ^ (all >> 32)
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIME_2)).rotate_left(31).wrapping_mul(PRIME_1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_the_reference_implementation() {
        let counting: Vec<u8> = (0..101).collect();
        for (input, expected) in [
            (&b""[..], 0xEF46_DB37_51D8_E999),
            (b"a", 0xD24E_C4F1_A98C_6E5B),
            (b"abc", 0x44BC_2CF5_AD77_0999),
            (b"Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1),
            (&counting[..], 0xE990_3849_5F85_381E),
            (&counting[..31], 0xC346_D2B5_9B4D_8EE1),
            (&counting[..64], 0xF7C6_7301_DB67_13F0),
        ] {
            assert_eq!(hash(input), expected, "{} bytes", input.len());
        }
    }

    #[test]
    fn an_address_is_hashed_by_its_octets_and_port() {
        assert_eq!(address(SocketAddr::from(([10, 0, 0, 1], 9000))), hash(&[10, 0, 0, 1, 0x23, 0x28]));
        let six = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 80));
        assert_eq!(address(six), hash(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80]));
    }
}
