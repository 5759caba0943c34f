//! What names a request through all logs.

use super::client::Client;
use evenly_http1::{FieldKind, RequestHead};

/// Names a request through all logs: what a trusted proxy named it, or 128 random bits.
pub enum RequestId<'a> {
    /// By a trusted proxy, or before.
    Given(&'a str),
    /// By Evenly.
    New(Digits),
}

impl<'a> RequestId<'a> {
    /// Longer ones are replaced: they would only fill logs.
    const MOST: usize = 128;

    /// The name of a request that comes with this head.
    pub fn of(client: &Client, head: &RequestHead<'a, '_>) -> Self {
        let given = head.fields.iter().find(|field| client.is_trusted && field.kind == FieldKind::XRequestId);
        match given.and_then(|field| std::str::from_utf8(field.value).ok()) {
            Some(value) if !value.is_empty() && value.len() <= Self::MOST => Self::Given(value),
            _ => Self::New(random_hex(client)),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Given(value) => value,
            Self::New(digits) => std::str::from_utf8(&digits.0).expect("hexadecimal digits are ASCII"),
        }
    }
}

/// Hexadecimal digits, where a check for ASCII takes eight at a step.
#[repr(align(8))]
pub struct Digits([u8; 32]);

/// 128 random bits in hexadecimal. They tell requests apart; they are no secret.
fn random_hex(client: &Client) -> Digits {
    let mut random = client.worker.random.borrow_mut();
    let mut digits = [0; 32];
    let numbers = [random.next(), random.next()].into_iter().flat_map(|bits| [bits >> 32, bits]);
    for (digits, bits) in digits.as_chunks_mut().0.iter_mut().zip(numbers) {
        *digits = hex(bits);
    }
    Digits(digits)
}

/// The lower 32 bits in hexadecimal, all digits at once: each half byte gets a byte of its own, and those from 10 on
/// become letters.
fn hex(bits: u64) -> [u8; 8] {
    let mut halves = bits & 0xffff_ffff;
    halves = (halves | halves << 16) & 0x0000_ffff_0000_ffff;
    halves = (halves | halves << 8) & 0x00ff_00ff_00ff_00ff;
    halves = (halves | halves << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = ((halves + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    (halves + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn digits_are_hexadecimal() {
        for bits in [0, 1, 0x0123_4567, 0x89ab_cdef, 0x9a9a_a9a9, 0xffff_ffff] {
            assert_eq!(std::str::from_utf8(&hex(bits)), Ok(format!("{bits:08x}").as_str()));
            assert_eq!(hex(bits), hex(bits | 7 << 40));
        }
    }
}
