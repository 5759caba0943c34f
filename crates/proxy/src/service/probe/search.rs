//! A text in a stream that comes in pieces.

/// Looks for a text; keeps no more of the stream than the text's length.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// The end of what was seen: shorter than the text.
    tail: Vec<u8>,
}

impl Search {
    /// Whether `text` ends in `piece`, the next one of the stream.
    pub fn finds(&mut self, text: &[u8], piece: &[u8]) -> bool {
        if text.is_empty() {
            return true;
        }
        if !self.tail.is_empty() {
            // Only matches that begin in the tail; those within the piece are found below.
            let kept = self.tail.len();
            self.tail.extend_from_slice(&piece[..piece.len().min(text.len() - 1)]);
            if contains(&self.tail, text) {
                return true;
            }
            self.tail.truncate(kept);
        }
        if contains(piece, text) {
            return true;
        }
        self.tail.extend_from_slice(&piece[piece.len().saturating_sub(text.len() - 1)..]);
        let surplus = self.tail.len().saturating_sub(text.len() - 1);
        self.tail.drain(..surplus);
        false
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_however_the_stream_is_cut() {
        let stream = b"ababac ready";
        for text in [&b"abac"[..], b"ready", b"a", b"ababac ready", b""] {
            for size in 1..=stream.len() {
                let mut search = Search::default();
                assert!(
                    stream.chunks(size).any(|piece| search.finds(text, piece)),
                    "{text:?} in pieces of {size}"
                );
            }
        }
        for size in 1..=stream.len() {
            let mut search = Search::default();
            assert!(!stream.chunks(size).any(|piece| search.finds(b"abab ready", piece)));
            assert!(search.tail.len() < b"abab ready".len());
        }
    }
}
