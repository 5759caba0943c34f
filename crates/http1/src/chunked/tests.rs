//! Writing, bounds and errors; the bodies themselves are in `tests/golden/http1/chunked`.

use super::*;

#[test]
fn a_chunk_head_stands_at_the_end_of_its_room() {
    for (length, line) in [
        (1, "1\r\n"),
        (15, "f\r\n"),
        (16, "10\r\n"),
        (65_536, "10000\r\n"),
        (usize::MAX, "ffffffffffffffff\r\n"),
    ] {
        let mut room = [b'.'; CHUNK_HEADROOM];
        let start = chunk_head(length, &mut room);
        assert_eq!(&room[start..], line.as_bytes());
        assert!(room[..start].iter().all(|&byte| byte == b'.'));
    }
}

#[test]
fn data_is_moved_to_the_front_and_the_rest_is_untouched() {
    let mut buf = *b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\n\r\nNEXT";
    let decoded = ChunkedDecoder::new().decode(&mut buf).unwrap();
    assert_eq!(decoded, Decoded { consumed: buf.len() - 4, data: 5, done: true });
    assert_eq!(&buf[..5], b"abcde");
    assert_eq!(&buf[decoded.consumed..], b"NEXT");
}

#[test]
fn spans_show_data_where_it_is() {
    let buf = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nNEXT";
    let mut decoder = ChunkedDecoder::new();
    let mut at = 0;
    for (consumed, data, done) in [(6, 3..6, false), (7, 5..7, false), (7, 7..7, true), (0, 0..0, true)] {
        assert_eq!(decoder.next_span(&buf[at..]), Ok(Span { consumed, data, done }));
        at += consumed;
    }
    assert_eq!(&buf[at..], b"NEXT");
}

#[test]
fn a_failed_decoder_stays_failed() {
    let mut decoder = ChunkedDecoder::new();
    assert_eq!(decoder.decode(&mut b"x".to_owned()), Err(ChunkError::Size));
    assert_eq!(decoder.decode(&mut b"0\r\n\r\n".to_owned()), Err(ChunkError::Failed));
    assert!(!decoder.is_done());
}

#[test]
fn extensions_are_counted_over_the_whole_body() {
    let mut decoder = ChunkedDecoder::new();
    for _ in 0..MAX_EXTENSION_BYTES / 4 {
        assert_eq!(decoder.decode(&mut b"1;a=b\r\nx\r\n".to_owned()).map(|decoded| decoded.data), Ok(1));
    }
    assert_eq!(decoder.decode(&mut b"1\r\nx\r\n".to_owned()).map(|decoded| decoded.data), Ok(1));
    assert_eq!(decoder.decode(&mut b"1;".to_owned()), Err(ChunkError::ExtensionsTooLong));
}

#[test]
fn each_part_of_the_framing_has_its_error() {
    for (raw, error) in [
        ("g", ChunkError::Size),
        ("8000000000000000", ChunkError::Size),
        ("1;=", ChunkError::Extension),
        ("1\r\nab", ChunkError::DataEnd),
        ("0\r\n:", ChunkError::Trailer),
    ] {
        let mut buf = raw.as_bytes().to_vec();
        assert_eq!(ChunkedDecoder::new().decode(&mut buf), Err(error), "{raw:?}");
        assert_eq!(error.to_string(), error.reason());
    }
    let mut lines = format!("0\r\n{}", "A:\r\n".repeat(usize::from(MAX_TRAILER_LINES) + 1)).into_bytes();
    assert_eq!(ChunkedDecoder::new().decode(&mut lines), Err(ChunkError::TrailersTooLong));
}

#[test]
fn a_decoder_is_small_enough_to_be_copied_around() {
    assert!(size_of::<ChunkedDecoder>() <= 24);
}

#[test]
fn trailers_are_handed_out_however_the_body_is_cut() {
    let body = b"5\r\nhello\r\n0\r\nX-A: b\r\nx-c: d e\r\n\r\nNEXT";
    for size in 1..=body.len() {
        let (mut decoder, mut data, mut lines) = (ChunkedDecoder::new(), Vec::new(), Vec::new());
        for piece in body.chunks(size) {
            let mut piece = piece.to_vec();
            let decoded = decoder.decode_all(&mut piece, &mut |trailers| lines.extend_from_slice(trailers));
            let Decoded { data: length, done, .. } = decoded.unwrap();
            data.extend_from_slice(&piece[..length]);
            if done {
                break;
            }
        }
        assert_eq!(
            (&data[..], &lines[..]),
            (&b"hello"[..], &b"X-A: b\r\nx-c: d e\r\n"[..]),
            "pieces of {size}"
        );
    }
}
