//! Finds the end of a name, a value or a target, sixteen bytes at a step.
//!
//! The steps are written so that the compiler makes vector instructions of them on every target, as the crate has no
//! unsafe code: conditions without branches, and functions that are not inlined, since in the midst of other code it
//! gives up. `examples/head_cost.rs` shows at once if it does (a head then costs twice as many instructions).

/// Bytes looked at in one step: what every x86-64 and AArch64 compares at once.
const BLOCK_BYTES: usize = 16;

/// Where in `bytes` the first byte is for which `is_marked` is true; `bytes.len()` if there is none.
#[inline(always)]
fn find(bytes: &[u8], is_marked: impl Fn(u8) -> bool) -> usize {
    let (blocks, tail) = bytes.as_chunks::<BLOCK_BYTES>();
    let mut at = 0;
    for block in blocks {
        let mut marks = [0; BLOCK_BYTES];
        for (mark, &byte) in marks.iter_mut().zip(block) {
            *mark = if is_marked(byte) { 0xff } else { 0 };
        }
        // Asked for all at once; which it is matters only in the last block.
        if marks.iter().fold(0, |any, mark| any | mark) != 0 {
            return at + (u128::from_le_bytes(marks).trailing_zeros() / 8) as usize;
        }
        at += BLOCK_BYTES;
    }
    at + tail.iter().position(|&byte| is_marked(byte)).unwrap_or(tail.len())
}

/// The length of the plain name that `bytes` begins with.
#[inline(never)]
pub(super) fn plain_name_length(bytes: &[u8]) -> usize {
    find(bytes, ends_plain_name)
}

/// The length of the field value, white space behind it included, that `bytes` begins with.
#[inline(never)]
pub(super) fn value_length(bytes: &[u8]) -> usize {
    find(bytes, ends_value)
}

/// The length of the target, up to its first `?` if it has one, that `bytes` begins with.
#[inline(never)]
pub(super) fn path_length(bytes: &[u8]) -> usize {
    find(bytes, |byte| ends_target(byte) | (byte == b'?'))
}

/// The length of the rest of a target that `bytes` begins with.
#[inline(never)]
pub(super) fn query_length(bytes: &[u8]) -> usize {
    find(bytes, ends_target)
}

/// Anything but the letters and `-` of which nearly all field names consist; the colon, too. Names with other
/// bytes are looked at again, one byte at a time.
#[inline(always)]
fn ends_plain_name(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    !(letter | (byte == b'-'))
}

/// Controls other than TAB, and DEL.
#[inline(always)]
fn ends_value(byte: u8) -> bool {
    ((byte < 0x20) & (byte != b'\t')) | (byte == 0x7f)
}

/// Space, controls, DEL, bytes from 0x80, and `#`, which begins a fragment.
#[inline(always)]
fn ends_target(byte: u8) -> bool {
    (byte.wrapping_sub(0x21) > 0x7e - 0x21) | (byte == b'#')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_condition_holds_for_the_bytes_it_names() {
        for byte in 0..=u8::MAX {
            assert_eq!(ends_plain_name(byte), !(byte.is_ascii_alphabetic() || byte == b'-'));
            assert_eq!(ends_value(byte), byte.is_ascii_control() && byte != b'\t');
            assert_eq!(ends_target(byte), !byte.is_ascii_graphic() || byte == b'#');
        }
    }

    proptest! {
        #[test]
        fn the_first_byte_that_ends_it_is_found(bytes in "[a-z?]{0,40}[a-z\r\n :#?-]{0,20}") {
            let bytes = bytes.as_bytes();
            let first = |ends: &dyn Fn(u8) -> bool| {
                bytes.iter().position(|&byte| ends(byte)).unwrap_or(bytes.len())
            };
            prop_assert_eq!(plain_name_length(bytes), first(&ends_plain_name));
            prop_assert_eq!(value_length(bytes), first(&ends_value));
            prop_assert_eq!(query_length(bytes), first(&ends_target));
            prop_assert_eq!(path_length(bytes), first(&|byte| ends_target(byte) || byte == b'?'));
        }
    }
}
