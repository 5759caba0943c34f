//! The handshake of WebSocket over HTTP/1.1 (RFC 6455 §4), which RFC 8441 §5 leaves out.
//!
//! SHA-1 is here, and not a dependency, because this is its one use: a fingerprint that proves that the other side
//! read the request. No secrecy or integrity rests on it.

/// What every server appends to the key (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Bytes of a key: 16 in base64.
pub const KEY_BYTES: usize = 24;

/// A key for a handshake on behalf of a client that sent none. It differs from stream to stream, and need not be hard
/// to guess: it keeps caches and confused servers from answering, and against those any nonce does.
pub fn key(seed: u64) -> [u8; KEY_BYTES] {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&mixed(seed).to_le_bytes());
    nonce[8..].copy_from_slice(&mixed(!seed).to_le_bytes());
    base64(&nonce)
}

/// SplitMix64's finalizer: neighbouring seeds look nothing alike.
const fn mixed(seed: u64) -> u64 {
    let value = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The `Sec-WebSocket-Accept` that belongs to a key.
pub fn accept(key: &[u8]) -> [u8; 28] {
    base64(&sha1(&[key, GUID].concat()))
}

/// Base64 with padding (RFC 4648 §4); `OUT` is four for each three bytes.
fn base64<const OUT: usize>(bytes: &[u8]) -> [u8; OUT] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = [b'='; OUT];
    for (group, digits) in bytes.chunks(3).zip(out.chunks_mut(4)) {
        let bits = group.iter().fold(0, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for (place, digit) in digits.iter_mut().take(group.len() + 1).enumerate() {
            *digit = DIGITS[(bits >> (18 - 6 * place) & 0x3f) as usize];
        }
    }
    out
}

/// SHA-1 (FIPS 180-4 §6.1).
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend_from_slice(&(8 * message.len() as u64).to_be_bytes());
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded.as_chunks::<64>().0 {
        digest(&mut state, block);
    }
    let mut out = [0; 20];
    for (bytes, word) in out.chunks_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

fn digest(state: &mut [u32; 5], block: &[u8; 64]) {
    let mut words = [0; 80];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for at in 16..80 {
        words[at] = (words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (round, word) in words.into_iter().enumerate() {
        let (mix, constant) = match round {
            0..20 => (b & c | !b & d, 0x5a82_7999),
            20..40 => (b ^ c ^ d, 0x6ed9_eba1),
            40..60 => (b & c | b & d | c & d, 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6u32),
        };
        let sum =
            a.rotate_left(5).wrapping_add(mix).wrapping_add(e).wrapping_add(constant).wrapping_add(word);
        (a, b, c, d, e) = (sum, a, b.rotate_left(30), c, d);
    }
    for (word, more) in state.iter_mut().zip([a, b, c, d, e]) {
        *word = word.wrapping_add(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_of_the_rfc() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), *b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn digests_of_known_messages() {
        let hex = |digest: [u8; 20]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(sha1(b"")), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(hex(sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let two_blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hex(sha1(two_blocks)), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    }

    #[test]
    fn keys_differ_and_are_sixteen_bytes() {
        assert_ne!(key(1), key(3));
        assert!(key(7).ends_with(b"==") && !key(7).ends_with(b"==="));
    }
}
