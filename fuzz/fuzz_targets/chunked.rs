//! A chunked body decodes alike however it is cut, and decoding undoes encoding.
//!
//! The first byte says how long the pieces are, in a pattern; the rest is the body as it arrives.

#![no_main]

use evenly_http1::{CHUNK_END, CHUNK_HEADROOM, ChunkError, ChunkedDecoder, LAST_CHUNK, chunk_head};
use libfuzzer_sys::fuzz_target;

/// The data, how many bytes of `raw` were read, and whether the body is complete.
fn decode(raw: &[u8], piece_bytes: impl Fn(usize) -> usize) -> Result<(Vec<u8>, usize, bool), ChunkError> {
    let mut decoder = ChunkedDecoder::new();
    let (mut data, mut at, mut round) = (Vec::new(), 0, 0);
    while at < raw.len() && !decoder.is_done() {
        let end = raw.len().min(at + piece_bytes(round).max(1));
        let mut piece = raw[at..end].to_vec();
        let decoded = decoder.decode(&mut piece)?;
        assert!(decoded.data <= decoded.consumed && decoded.consumed <= piece.len());
        assert!(decoded.done || decoded.consumed == piece.len());
        assert_eq!(decoded.done, decoder.is_done());
        assert_eq!(piece[decoded.consumed..], raw[at + decoded.consumed..end]);
        data.extend_from_slice(&piece[..decoded.data]);
        at += decoded.consumed;
        round += 1;
    }
    Ok((data, at, decoder.is_done()))
}

fuzz_target!(|input: &[u8]| {
    let Some((&pattern, raw)) = input.split_first() else { return };
    let whole = decode(raw, |_| raw.len());
    assert_eq!(decode(raw, |_| 1), whole);
    assert_eq!(decode(raw, |round| usize::from(pattern >> (round % 8))), whole);

    if let Ok((_, read, true)) = whole {
        // What follows is never touched, and a complete body is complete without it.
        assert_eq!(decode(&raw[..read], |_| read), whole);
        assert!(raw[..read].ends_with(b"\r\n"));
    }
    let mut encoded = Vec::new();
    for chunk in raw.chunks(usize::from(pattern) + 1) {
        let mut room = [0; CHUNK_HEADROOM];
        let start = chunk_head(chunk.len(), &mut room);
        encoded.extend_from_slice(&room[start..]);
        encoded.extend_from_slice(chunk);
        encoded.extend_from_slice(CHUNK_END);
    }
    encoded.extend_from_slice(LAST_CHUNK);
    assert_eq!(decode(&encoded, |round| round * 7), Ok((raw.to_vec(), encoded.len(), true)));
});
