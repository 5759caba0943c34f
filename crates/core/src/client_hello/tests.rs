//! Built messages here; real clients' are in `tests/golden/client_hello`.

use super::*;

/// A ClientHello with these extensions, without its record.
fn message(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut inner = Vec::new();
    for (kind, content) in extensions {
        inner.extend_from_slice(&kind.to_be_bytes());
        inner.extend(long(content));
    }
    let body = [&[3, 3][..], &[7; 32], &[0], &long(&[0x13, 0x01]), &[1, 0], &long(&inner)].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1], &length[1..], &body].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn name(name: &[u8]) -> (u16, Vec<u8>) {
    (0, long(&[&[0], &long(name)[..]].concat()))
}

fn alpn(list: &[u8]) -> (u16, Vec<u8>) {
    (16, long(list))
}

/// The message in records of `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|piece| [&[22, 3, 1][..], &long(piece)].concat()).collect()
}

/// Fed in pieces of `size` bytes.
fn fed(bytes: &[u8], size: usize) -> Result<Progress, NotTls> {
    let mut reader = Reader::default();
    for piece in bytes.chunks(size) {
        match reader.feed(piece)? {
            Progress::More => {}
            hello => return Ok(hello),
        }
    }
    Ok(Progress::More)
}

#[test]
fn every_cut_of_records_and_segments_gives_the_same() {
    let grease = (0x0a0a, vec![0]);
    let message = message(&[grease, name(b"Shop.Example.COM."), alpn(b"\x02h2\x08http/1.1")]);
    for size in [1, 2, 3, 7, 4096] {
        let mut bytes = records(&message, size);
        bytes.extend_from_slice(b"early data");
        for piece in [1, 2, 5, 4096] {
            let Ok(Progress::Hello(hello)) = fed(&bytes, piece) else { panic!("{size} {piece}") };
            assert_eq!(hello.server_name.as_deref(), Some("shop.example.com"));
            assert_eq!(hello.protocols().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
        }
    }
}

#[test]
fn a_client_may_name_nobody() {
    for message in [message(&[]), message(&[(0xfe0d, vec![1; 200])])] {
        let Ok(Progress::Hello(hello)) = fed(&records(&message, 4096), 4096) else { panic!() };
        assert_eq!((hello.server_name.as_deref(), hello.protocols().count()), (None, 0));
    }
    let bare = &message(&[])[..45];
    let mut bare = bare.to_vec();
    bare[3] = u8::try_from(bare.len() - 4).unwrap();
    let Ok(Progress::Hello(hello)) = fed(&records(&bare, 4096), 4096) else { panic!("{bare:?}") };
    assert_eq!(hello, Hello::default());
}

#[test]
fn what_is_no_client_hello_is_refused_as_soon_as_it_shows() {
    let cases: [(&[u8], &str); 5] = [
        (b"G", "not a TLS handshake"),
        (&[22, 2], "a TLS version that does not exist"),
        (&[22, 3, 1, 0, 0], "a record of a length that it may not have"),
        (&[22, 3, 1, 0, 5, 2], "a handshake that does not begin with a ClientHello"),
        (&[22, 3, 1, 0, 5, 1, 1, 0, 0], "a ClientHello that does not end within 16 KiB"),
    ];
    for (bytes, why) in cases {
        assert_eq!(fed(bytes, 4096), Err(NotTls(why)));
        assert_eq!(fed(bytes, 1), Err(NotTls(why)));
    }
    let wrong = [
        vec![name(b"a"), name(b"b")],
        vec![name(b"")],
        vec![name(b"a b")],
        vec![(0, vec![])],
        vec![alpn(b"")],
        vec![alpn(b"\0")],
        vec![alpn(b"\x05h2")],
        vec![alpn(b"\x02h2"), alpn(b"\x02h2")],
    ];
    for extensions in wrong {
        let bytes = records(&message(&extensions), 4096);
        assert!(fed(&bytes, 4096).is_err(), "{extensions:?}");
    }
}

#[test]
fn the_limit_counts_the_heads_of_records_too() {
    let message = message(&[(21, vec![0; 4000])]);
    assert!(matches!(fed(&records(&message, 4096), 4096), Ok(Progress::Hello(_))));
    assert_eq!(
        fed(&records(&message, 1), 4096),
        Err(NotTls("a ClientHello that does not end within 16 KiB"))
    );
}
