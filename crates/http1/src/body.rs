//! Bodies of any framing, read in one way.

use crate::chunked::{ChunkError, ChunkedDecoder, Decoded};
use crate::head::BodyLength;
use std::fmt;

/// What [`BodyReader::take`] did with a buffer.
pub type Taken = Decoded;

/// How far a body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyReader {
    /// Nothing more belongs to the message.
    Done,
    /// So many bytes are missing, at least one.
    Length {
        /// How many.
        left: u64,
    },
    /// Chunks, the last of which is still to come.
    Chunked(ChunkedDecoder),
    /// All bytes until the connection ends.
    UntilClose,
}

impl From<BodyLength> for BodyReader {
    fn from(length: BodyLength) -> Self {
        match length {
            BodyLength::None | BodyLength::Length(0) => Self::Done,
            BodyLength::Length(left) => Self::Length { left },
            BodyLength::Chunked => Self::Chunked(ChunkedDecoder::new()),
            BodyLength::UntilClose => Self::UntilClose,
        }
    }
}

impl BodyReader {
    /// Takes what belongs to the body from the front of `buf`: afterwards `buf[..data]` is data and `buf[consumed..]`
    /// is untouched. Only chunked bodies are moved within `buf`, and only they can fail.
    ///
    /// # Errors
    /// [`ChunkError`]: 400 from a client, 502 from an endpoint.
    pub fn take(&mut self, buf: &mut [u8]) -> Result<Taken, ChunkError> {
        match self {
            Self::Done => Ok(Taken { consumed: 0, data: 0, done: true }),
            Self::Length { left } => {
                let length = usize::try_from(*left).map_or(buf.len(), |left| left.min(buf.len()));
                *left -= length as u64;
                if *left == 0 {
                    *self = Self::Done;
                }
                Ok(Taken { consumed: length, data: length, done: self.is_done() })
            }
            Self::Chunked(decoder) => {
                let taken = decoder.decode(buf)?;
                if taken.done {
                    *self = Self::Done;
                }
                Ok(taken)
            }
            Self::UntilClose => Ok(Taken { consumed: buf.len(), data: buf.len(), done: false }),
        }
    }

    /// As [`BodyReader::take`]; lines of trailers are handed to `trailers`, piece by piece.
    ///
    /// # Errors
    /// [`ChunkError`].
    pub fn take_all(&mut self, buf: &mut [u8], trailers: &mut dyn FnMut(&[u8])) -> Result<Taken, ChunkError> {
        let Self::Chunked(decoder) = self else { return self.take(buf) };
        let taken = decoder.decode_all(buf, trailers)?;
        if taken.done {
            *self = Self::Done;
        }
        Ok(taken)
    }

    /// What the end of the connection means now.
    ///
    /// # Errors
    /// [`Truncated`] if the body is not complete: it must not be made to look so to the next hop.
    pub const fn on_eof(&self) -> Result<(), Truncated> {
        match self {
            Self::Done | Self::UntilClose => Ok(()),
            Self::Length { .. } | Self::Chunked(_) => Err(Truncated),
        }
    }

    /// Whether nothing more belongs to the message. Bodies that end with the connection never are.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

/// The connection ended within a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncated;

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection ended within the body")
    }
}

impl std::error::Error for Truncated {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_body_and_length_zero_are_done_at_once() {
        for length in [BodyLength::None, BodyLength::Length(0)] {
            let mut reader = BodyReader::from(length);
            assert!(reader.is_done());
            assert_eq!(reader.on_eof(), Ok(()));
            assert_eq!(reader.take(&mut b"next".to_owned()), Ok(Taken { consumed: 0, data: 0, done: true }));
        }
    }

    #[test]
    fn a_length_is_counted_down_and_leaves_what_follows() {
        let mut reader = BodyReader::from(BodyLength::Length(5));
        assert_eq!(reader.take(&mut b"ab".to_owned()), Ok(Taken { consumed: 2, data: 2, done: false }));
        assert_eq!(reader.on_eof(), Err(Truncated));
        assert_eq!(reader.take(&mut b"cdeGET".to_owned()), Ok(Taken { consumed: 3, data: 3, done: true }));
        assert_eq!(reader.on_eof(), Ok(()));
    }

    #[test]
    fn the_end_of_the_connection_ends_only_bodies_that_wait_for_it() {
        let mut reader = BodyReader::from(BodyLength::UntilClose);
        assert_eq!(reader.take(&mut b"abc".to_owned()), Ok(Taken { consumed: 3, data: 3, done: false }));
        assert_eq!(reader.on_eof(), Ok(()));
        assert!(!reader.is_done());
    }

    #[test]
    fn chunks_are_done_with_the_last_and_then_take_nothing() {
        let mut reader = BodyReader::from(BodyLength::Chunked);
        let mut start = *b"3\r\nab";
        assert_eq!(reader.take(&mut start), Ok(Taken { consumed: 5, data: 2, done: false }));
        assert_eq!(&start[..2], b"ab");
        assert_eq!(reader.on_eof(), Err(Truncated));
        let mut rest = *b"c\r\n0\r\n\r\nGET";
        assert_eq!(reader.take(&mut rest), Ok(Taken { consumed: 8, data: 1, done: true }));
        assert_eq!(&rest[8..], b"GET");
        assert!(reader.is_done());
        assert_eq!(reader.take(&mut rest), Ok(Taken { consumed: 0, data: 0, done: true }));
    }
}
