//! The Huffman code of RFC 7541, Appendix B. It is canonical: the lengths of its codes say all.

/// Bits of each byte's code; the last is of the end of the string, which must never be in one.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11,
    10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8,
    15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5,
    6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23,
    23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21,
    23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25,
    26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26,
    28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// Bits of the longest code.
const LONGEST: usize = 30;
/// The symbol that is not a byte.
const END: u16 = 256;

/// All codes of one length: they count up from `first`, and so do their symbols in `SORTED` from `offset`.
#[derive(Clone, Copy)]
struct Group {
    first: u32,
    count: u32,
    offset: usize,
}

/// The symbols, by length and then by value.
static SORTED: [u16; 257] = sorted();
static GROUPS: [Group; LONGEST + 1] = groups();
/// What a string's next eight bits begin with, if that is a whole code: the byte, and its bits; else 0 bits. All that
/// is usual in fields has such a code.
static SHORT: [(u8, u8); 256] = short();

const fn sorted() -> [u16; 257] {
    let mut symbols = [0; 257];
    let mut place = 0;
    let mut length = 1;
    while length <= LONGEST {
        let mut symbol = 0u16;
        while symbol <= END {
            if LENGTHS[symbol as usize] as usize == length {
                symbols[place] = symbol;
                place += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    symbols
}

const fn groups() -> [Group; LONGEST + 1] {
    let mut groups = [Group { first: 0, count: 0, offset: 0 }; LONGEST + 1];
    let (mut code, mut offset, mut length) = (0u32, 0, 1);
    while length <= LONGEST {
        let mut count = 0;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            count += (LENGTHS[symbol] as usize == length) as u32;
            symbol += 1;
        }
        code <<= 1;
        groups[length] = Group { first: code, count, offset };
        code += count;
        offset += count as usize;
        length += 1;
    }
    groups
}

#[allow(clippy::cast_possible_truncation, reason = "short codes are of bytes, and have at most eight bits")]
const fn short() -> [(u8, u8); 256] {
    let (sorted, groups) = (sorted(), groups());
    let mut table = [(0, 0); 256];
    let mut length = 1;
    while length <= 8 {
        let Group { first, count, offset } = groups[length];
        let mut place = 0;
        while place < count {
            let start = (first + place) << (8 - length);
            let mut low = 0;
            while low < 1 << (8 - length) {
                table[(start + low) as usize] = (sorted[offset + place as usize] as u8, length as u8);
                low += 1;
            }
            place += 1;
        }
        length += 1;
    }
    table
}

/// A string that is not Huffman code as RFC 7541 §5.2 wants it.
#[derive(Debug, PartialEq, Eq)]
pub struct NotHuffman;

/// Appends to `out` what `input` stands for: at most 8 / 5 of its length.
///
/// # Errors
/// [`NotHuffman`]: the end-of-string code, padding that is not its beginning, or a byte of padding or more.
pub fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), NotHuffman> {
    out.reserve(input.len() * 8 / 5 + 1);
    // The next bits from the top downwards, and how many there are.
    let (mut bits, mut have) = (0u64, 0u32);
    let mut rest = input;
    loop {
        // Four bytes at once, as often as there are.
        if have <= 32 {
            if let Some((word, behind)) = rest.split_first_chunk::<4>() {
                bits |= u64::from(u32::from_be_bytes(*word)) << (32 - have);
                (have, rest) = (have + 32, behind);
            } else {
                while let ([byte, behind @ ..], true) = (rest, have <= 56) {
                    bits |= u64::from(*byte) << (56 - have);
                    (have, rest) = (have + 8, behind);
                }
            }
        }
        let (byte, length) = SHORT[usize::from(bits.to_be_bytes()[0])];
        let length = u32::from(length);
        if length != 0 && length <= have {
            out.push(byte);
            bits <<= length;
            have -= length;
        } else if let Some((byte, length)) = long(bits, have)? {
            out.push(byte);
            bits <<= length;
            have -= length;
        } else {
            // Less than a code is left, and with it all of the input: it must be the padding, ones.
            let padding = u64::MAX.checked_shl(64 - have).unwrap_or(0);
            return if have < 8 && bits == padding { Ok(()) } else { Err(NotHuffman) };
        }
    }
}

/// The byte whose code is among the first `have` of `bits`, and its length; `None` if no code ends there.
fn long(bits: u64, have: u32) -> Result<Option<(u8, u32)>, NotHuffman> {
    for (length, group) in (1u32..).zip(&GROUPS[1..]) {
        if length > have {
            return Ok(None);
        }
        let code = u32::try_from(bits >> (64 - length)).map_err(|_| NotHuffman)?;
        if let Some(place) = code.checked_sub(group.first).filter(|&place| place < group.count) {
            let symbol = SORTED[group.offset + place as usize];
            return u8::try_from(symbol).map(|byte| Some((byte, length))).map_err(|_| NotHuffman);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(input: &[u8]) -> Result<Vec<u8>, NotHuffman> {
        let mut out = Vec::new();
        decode(input, &mut out).map(|()| out)
    }

    /// The slow way: bit after bit.
    fn encode(text: &[u8]) -> Vec<u8> {
        let mut bits: Vec<bool> = Vec::new();
        for &byte in text {
            let length = usize::from(LENGTHS[usize::from(byte)]);
            let group = GROUPS[length];
            let place = SORTED[group.offset..].iter().position(|&symbol| symbol == u16::from(byte)).unwrap();
            let code = group.first + u32::try_from(place).unwrap();
            bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
        }
        bits.resize(bits.len().next_multiple_of(8), true);
        bits.chunks(8).map(|byte| byte.iter().fold(0, |value, &bit| value << 1 | u8::from(bit))).collect()
    }

    #[test]
    fn the_code_is_complete() {
        let all: u64 = LENGTHS.iter().map(|&length| 1 << (LONGEST - usize::from(length))).sum();
        assert_eq!(all, 1 << LONGEST);
        assert_eq!(GROUPS[LONGEST].first + GROUPS[LONGEST].count, 1 << LONGEST);
        assert_eq!(SORTED[256], END);
    }

    #[test]
    fn every_byte_is_decoded_at_every_offset() {
        for lead in 0..8 {
            for byte in 0..=u8::MAX {
                let text = [&b"00000000"[..lead], &[byte], b"a", &[byte]].concat();
                assert_eq!(decoded(&encode(&text)), Ok(text));
            }
        }
        assert_eq!(decoded(b""), Ok(vec![]));
    }

    #[test]
    fn padding_is_short_and_made_of_ones() {
        assert_eq!(decoded(&[0b0000_0111]), Ok(b"0".to_vec()));
        assert_eq!(decoded(&[0b0000_0110]), Err(NotHuffman));
        assert_eq!(decoded(&[0b0000_0111, 0b1111_1111]), Err(NotHuffman), "eleven bits of padding");
        assert_eq!(decoded(&[0xff]), Err(NotHuffman), "eight bits of padding");
        assert_eq!(decoded(&[0xff; 3]), Err(NotHuffman), "a code without its end");
        assert_eq!(decoded(&[0xff; 4]), Err(NotHuffman), "the end of the string");
    }
}
