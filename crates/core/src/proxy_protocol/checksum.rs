//! CRC-32C, which version 2 headers may carry (§2.2.3).

use super::{CRC32C, FIXED, each};

/// The Castagnoli polynomial, reflected (RFC 3720, appendix B.4).
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// Whether the header's checksum is right; also when it has none.
pub(super) fn holds(header: &[u8], tlvs: &[u8]) -> bool {
    let mut at = header.len() - tlvs.len();
    for tlv in each(tlvs) {
        if tlv[0] == CRC32C {
            let Ok(stated) = <[u8; 4]>::try_from(&tlv[3..]) else { return false };
            // The checksum is computed with zeros in its own place.
            let (before, behind) = (&header[..at + 3], &header[at + 7..]);
            let sum = update(update(update(u32::MAX, before), &[0; 4]), behind);
            return !sum == u32::from_be_bytes(stated);
        }
        at += tlv.len();
    }
    debug_assert!(header.len() >= FIXED);
    true
}

/// Bit by bit: a header is short, and hardly any carries a checksum.
pub(super) fn update(mut sum: u32, bytes: &[u8]) -> u32 {
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ POLYNOMIAL } else { sum >> 1 };
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        // RFC 3720, appendix B.4: 32 bytes of zeros, 32 of ones.
        assert_eq!(!update(u32::MAX, &[0; 32]), 0x8A91_36AA);
        assert_eq!(!update(u32::MAX, &[0xFF; 32]), 0x62A8_AB43);
    }
}
