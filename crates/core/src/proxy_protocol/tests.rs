//! Examples here; whole headers and their fates are in `tests/golden/proxy_protocol`.

use super::*;

fn addresses(source: &str, destination: &str) -> Addresses {
    Addresses { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn written(version: Version, addresses: Option<Addresses>, tlvs: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, &Outgoing { version, transport: Transport::Stream, addresses, tlvs });
    out
}

#[test]
fn what_is_written_is_read_and_every_shorter_piece_is_its_beginning() {
    let v4 = addresses("192.0.2.1:56324", "198.51.100.7:443");
    let v6 = addresses("[2001:db8::1]:1", "[2001:db8::2]:65535");
    for version in [Version::V1, Version::V2] {
        for told in [Some(v4), Some(v6), None] {
            let mut bytes = written(version, told, b"");
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut]), Ok(Parsed::More), "{version:?} {told:?} {cut}");
            }
            let length = bytes.len();
            bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
            assert_eq!(parse(&bytes), Ok(Parsed::Header(Header { addresses: told, tlvs: b"" }, length)));
        }
    }
}

#[test]
fn ends_of_two_families_are_written_in_one() {
    let mixed = addresses("[2001:db8::1]:5", "192.0.2.1:6");
    let text = written(Version::V1, Some(mixed), b"");
    assert_eq!(text, b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 5 6\r\n");
    let mapped = addresses("[::ffff:192.0.2.9]:5", "192.0.2.1:6");
    assert_eq!(written(Version::V1, Some(mapped), b""), b"PROXY TCP4 192.0.2.9 192.0.2.1 5 6\r\n");
}

#[test]
fn tlvs_are_kept_but_for_those_of_one_header() {
    let tlvs = [&b"\x02\0\x03a.b"[..], b"\x04\0\x01x", b"\x03\0\x04\0\0\0\0", b"\xEA\0\0"].concat();
    let bytes = written(Version::V2, Some(addresses("192.0.2.1:1", "192.0.2.2:2")), &tlvs);
    let Ok(Parsed::Header(header, _)) = parse(&bytes) else { panic!("{bytes:?}") };
    assert_eq!(header.tlvs, b"\x02\0\x03a.b\xEA\0\0");
}

#[test]
fn a_checksum_is_checked() {
    let tlv = b"\x03\0\x04\0\0\0\0";
    let mut bytes = written(Version::V2, Some(addresses("192.0.2.1:1", "192.0.2.2:2")), b"");
    bytes.extend_from_slice(tlv);
    bytes[15] += 7;
    let sum = !checksum::update(u32::MAX, &bytes);
    assert_eq!(parse(&bytes), Err(Malformed("a wrong checksum")));
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&sum.to_be_bytes());
    assert!(matches!(parse(&bytes), Ok(Parsed::Header(..))));
}
