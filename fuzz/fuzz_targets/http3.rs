//! A stream of HTTP/3 says the same however it is cut, and keeps within its bounds; what it makes of a request is text that
//! the parser of HTTP/1.1 reads to its end, or refuses.
//!
//! The first byte is the size of the pieces and, by its highest bit, whether it is a request's stream; the rest is what
//! the client sends on it.

#![no_main]

use evenly_http1::{HeadLimits, Slots, Version, parse_request};
use evenly_http3::{Connection, Error, Head, Limits, Piece, Reader, Uni};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits =
    Limits { streams: 100, head_bytes: 2048, fields: 20, held_head_bytes: 8192, extended_connect: true };
const HEADS: HeadLimits = HeadLimits { head_bytes: 16_384, fields: 40, target_bytes: 16_384 };

/// What a request's stream said: a head, data, trailers, and how it ended.
#[derive(Debug, Default, PartialEq)]
struct Said {
    head: Option<Vec<u8>>,
    data: Vec<u8>,
    trailers: Vec<u8>,
    is_too_large: bool,
    error: Option<Error>,
}

fn request(input: &[u8], size: usize) -> Said {
    let mut connection = Connection::new(LIMITS, 0);
    let mut reader = Reader::new(&connection);
    let mut said = Said::default();
    let result = (|| {
        for piece in input.chunks(size.max(1)) {
            let mut rest = piece;
            while let Some(piece) = reader.step(&mut connection, &mut rest, 0)? {
                match piece {
                    Piece::Head => match reader.head(&mut connection, false, 7)? {
                        Head::Text(text, _) => {
                            check(text);
                            said.head = Some(text.to_vec());
                        }
                        Head::TooLarge => said.is_too_large = true,
                    },
                    Piece::TooLarge => said.is_too_large = true,
                    Piece::Data(bytes) => said.data.extend_from_slice(bytes),
                    Piece::Trailers => said.trailers = reader.trailers(&connection).to_vec(),
                }
            }
        }
        reader.end()
    })();
    said.error = result.err();
    said
}

/// Whatever the fields were: one head, and all of the text.
fn check(text: &[u8]) {
    match parse_request(text, &HEADS, &mut Slots::new()) {
        Ok(Some(head)) => assert_eq!((head.length, head.version), (text.len(), Version::Http11)),
        Ok(None) => panic!("half a head: {text:?}"),
        Err(error) => assert!(!error.reason().is_empty()),
    }
}

fn other(input: &[u8], size: usize) -> Result<(), Error> {
    let mut connection = Connection::new(LIMITS, 0);
    let mut uni = Uni::new();
    input.chunks(size.max(1)).try_for_each(|piece| uni.take(&mut connection, piece, 0).map(|_| ()))
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else { return };
    let size = usize::from(choice & 0x7f);
    if choice & 0x80 == 0 {
        assert_eq!(request(bytes, size), request(bytes, bytes.len()));
    } else {
        assert_eq!(other(bytes, size), other(bytes, bytes.len()));
    }
});
