//! JA4, the fingerprint of a TLS client: what its ClientHello offers, in a form that stays the same when a client shuffles
//! its extensions (<https://github.com/FoxIO-LLC/ja4>, `technical_details/JA4.md`; JA4 itself is under the BSD licence, the
//! others of its family are not used here).
//!
//! `t13d1516h2_8daaf6152771_02713d6af862`: over TCP, the highest version, a name asked for (`d`) or not (`i`), how many
//! ciphers and extensions, the first and last character of the first ALPN protocol; then hashes of the ciphers and of
//! the extensions with the signature algorithms. Values that only keep servers from being picky (GREASE, RFC 8701) do
//! not count.

use super::parse::Cursor;
use sha2::{Digest, Sha256};
use std::fmt::Write;

const SERVER_NAME: u16 = 0;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// Of a ClientHello without its head; `None` if its lengths do not fit into one another.
pub(super) fn ja4(message: &[u8]) -> Option<String> {
    let mut message = Cursor(message);
    let mut version = message.number().ok()?;
    message.bytes(32).ok()?;
    message.short().ok()?;
    let mut ciphers = numbers(message.long().ok()?);
    message.short().ok()?;
    let mut extensions = Cursor(if message.0.is_empty() { &[] } else { message.long().ok()? });
    let (mut kinds, mut algorithms, mut protocol, mut has_name) = (Vec::new(), Vec::new(), None, false);
    let mut count = 0;
    while !extensions.0.is_empty() {
        let kind = extensions.number().ok()?;
        let mut content = Cursor(extensions.long().ok()?);
        if is_grease(kind) {
            continue;
        }
        count += 1;
        match kind {
            SERVER_NAME => has_name = true,
            ALPN => protocol = first_protocol(&mut content),
            _ => kinds.push(kind),
        }
        match kind {
            SIGNATURE_ALGORITHMS => algorithms = numbers(content.long().ok()?),
            SUPPORTED_VERSIONS => version = numbers(content.short().ok()?).into_iter().max()?,
            _ => {}
        }
    }
    let name = if has_name { 'd' } else { 'i' };
    let (first, last) = protocol.map_or(('0', '0'), ends);
    let head = format!(
        "t{}{name}{:02}{:02}{first}{last}",
        version_code(version),
        ciphers.len().min(99),
        count.min(99),
    );
    ciphers.sort_unstable();
    kinds.sort_unstable();
    let mut offered = listed(&kinds);
    if !algorithms.is_empty() {
        offered.push('_');
        offered.push_str(&listed(&algorithms));
    }
    Some(format!("{head}_{}_{}", hash(&listed(&ciphers)), hash(if kinds.is_empty() { "" } else { &offered })))
}

/// Values that a client draws at random, for servers to ignore (RFC 8701).
fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

fn numbers(bytes: &[u8]) -> Vec<u16> {
    let pairs = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    pairs.filter(|number| !is_grease(*number)).collect()
}

fn first_protocol<'a>(content: &mut Cursor<'a>) -> Option<&'a [u8]> {
    Cursor(content.long().ok()?).short().ok().filter(|protocol| !protocol.is_empty())
}

/// The first and the last character; of the hexadecimal digits, if one of them is no letter and no digit.
fn ends(protocol: &[u8]) -> (char, char) {
    let (Some(first), Some(last)) = (protocol.first(), protocol.last()) else { return ('0', '0') };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return (char::from(*first), char::from(*last));
    }
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    (digit(first >> 4), digit(last & 15))
}

fn version_code(version: u16) -> &'static str {
    match version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    }
}

fn listed(numbers: &[u16]) -> String {
    numbers.iter().map(|number| format!("{number:04x}")).collect::<Vec<_>>().join(",")
}

/// The first twelve digits of SHA-256; zeros for nothing.
fn hash(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    Sha256::digest(text.as_bytes()).iter().take(6).fold(String::with_capacity(12), |mut out, byte| {
        // Writing to memory does not fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(bytes: &[u8]) -> Vec<u8> {
        [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
    }

    fn bytes(numbers: &[u16]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    fn hello(ciphers: &[u16], extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let inner: Vec<u8> = extensions
            .iter()
            .flat_map(|(kind, content)| [kind.to_be_bytes().to_vec(), long(content)].concat())
            .collect();
        [&[3, 3][..], &[7; 32], &[0], &long(&bytes(ciphers)), &[1, 0], &long(&inner)].concat()
    }

    /// The example of the specification: Chrome's hello.
    #[test]
    fn the_specification_s_own_example() {
        let ciphers = [
            0x1a1a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
            0x009c, 0x009d, 0x002f, 0x0035,
        ];
        let algorithms = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
        let mut extensions: Vec<(u16, Vec<u8>)> = [
            0x3a3a, 0x001b, 0x0033, 0x0005, 0x0023, 0x0017, 0x000a, 0x0015, 0x000b, 0xff01, 0x4469, 0x002d,
            0x0012,
        ]
        .into_iter()
        .map(|kind| (kind, Vec::new()))
        .collect();
        extensions.push((0, Vec::new()));
        extensions.push((13, long(&bytes(&algorithms))));
        extensions.push((16, long(b"\x02h2\x08http/1.1")));
        extensions.push((43, [&[6][..], &bytes(&[0x6a6a, 0x0304, 0x0303])].concat()));
        let expected = "t13d1516h2_8daaf6152771_e5627efa2ab1";
        assert_eq!(ja4(&hello(&ciphers, &extensions)).unwrap(), expected);
        extensions.reverse();
        assert_eq!(ja4(&hello(&ciphers, &extensions)).unwrap(), expected, "the order makes no difference");
    }

    #[test]
    fn hellos_without_much_in_them() {
        assert_eq!(ja4(&hello(&[0x1301], &[])).unwrap(), "t12i010000_0f2cb44170f4_000000000000");
        let odd = [(16, long(b"\x02\xab\xcd"))];
        assert!(ja4(&hello(&[0x1301], &odd)).unwrap().starts_with("t12i0101ad_"));
        assert_eq!(ja4(&hello(&[0x1301], &[(16, vec![0])]).as_slice()[..40]), None);
    }
}
