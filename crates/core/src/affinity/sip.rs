//! SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): a hash with a key, for values that
//! clients choose. Without the key nobody can make two values collide, or all of them fall into one shard.
//!
//! The standard library has the same function, but draws its keys itself and does not tell them, and a successor process
//! needs those of its predecessor.

/// The key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SipKey(pub u64, pub u64);

impl SipKey {
    /// The hash of `bytes`.
    pub fn hash(self, bytes: &[u8]) -> u64 {
        let Self(k0, k1) = self;
        let mut state = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            absorb(&mut state, u64::from_le_bytes(*word));
        }
        // The length's lowest byte ends the last word.
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        absorb(&mut state, u64::from_le_bytes(last) | (bytes.len() as u64) << 56);
        state[2] ^= 0xff;
        for _ in 0..3 {
            round(&mut state);
        }
        state[0] ^ state[1] ^ state[2] ^ state[3]
    }
}

impl std::fmt::Debug for SipKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SipKey(…)")
    }
}

fn absorb(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    state[0] ^= word;
}

fn round([v0, v1, v2, v3]: &mut [u64; 4]) {
    *v0 = v0.wrapping_add(*v1);
    *v1 = v1.rotate_left(13) ^ *v0;
    *v0 = v0.rotate_left(32);
    *v2 = v2.wrapping_add(*v3);
    *v3 = v3.rotate_left(16) ^ *v2;
    *v0 = v0.wrapping_add(*v3);
    *v3 = v3.rotate_left(21) ^ *v0;
    *v2 = v2.wrapping_add(*v1);
    *v1 = v1.rotate_left(17) ^ *v2;
    *v2 = v2.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::hash::{DefaultHasher, Hasher};

    proptest! {
        /// With keys of zero it is what the standard library's default hasher is, today and since Rust 1.13.
        #[test]
        fn agrees_with_the_standard_library(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut hasher = DefaultHasher::new();
            hasher.write(&bytes);
            prop_assert_eq!(SipKey(0, 0).hash(&bytes), hasher.finish());
        }

        #[test]
        fn another_key_is_another_hash(bytes in prop::collection::vec(any::<u8>(), 0..40), key in any::<u64>()) {
            prop_assert_ne!(SipKey(key, 1).hash(&bytes), SipKey(key, 2).hash(&bytes));
        }
    }
}
