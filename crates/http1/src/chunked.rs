//! The chunked transfer coding (RFC 9112 §7.1): taken off while reading, put on while writing.
//!
//! The whole grammar is checked, byte by byte outside of data. Extensions are for one hop only, and dropped; trailers are
//! for callers who ask for them, since the receiver has to want them (RFC 9110 §6.5.1).

use crate::head::is_token_byte;
use std::fmt;
use std::ops::Range;

/// Bytes of extensions in a whole body. No known sender uses any, and proxies that skip them without
/// bound can be kept busy with bodies that carry nothing (CVE-2023-39326 and its like).
pub const MAX_EXTENSION_BYTES: u16 = 4096;

/// Bytes of trailers: a small head's worth, since gRPC and signatures need a few hundred.
pub const MAX_TRAILER_BYTES: u16 = 8192;

/// Lines of trailers, for the same reason.
pub const MAX_TRAILER_LINES: u8 = 64;

/// Digits of a chunk size, leading zeros included; more than any 64-bit number has are only there to confuse.
const MAX_SIZE_DIGITS: u8 = 16;

/// Takes the framing off a chunked body that arrives in pieces. It refuses what any two implementations are known to
/// read differently: bare CR or LF, space around the size, signs and `0x`, sizes from 2^63.
///
/// After an error every further call fails, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkedDecoder {
    state: State,
    size_digits: u8,
    trailer_lines: u8,
    extension_bytes: u16,
    trailer_bytes: u16,
    /// Bytes of the chunk that are still to come; while its size is read, the size so far.
    left: u64,
}

/// What the next byte must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The first digit of a size.
    Size,
    /// More digits, an extension or the line's end.
    SizeRest,
    /// The first byte of an extension's name.
    ExtensionStart,
    ExtensionName,
    /// The first byte behind `=`.
    ExtensionValueStart,
    ExtensionToken,
    ExtensionQuoted,
    /// The byte behind a backslash.
    ExtensionEscaped,
    ExtensionQuotedEnd,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// A trailer's name, or the empty line.
    LineStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
    Failed,
}

/// What [`ChunkedDecoder::decode`] and [`crate::BodyReader::take`] did with a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the buffer that belong to the body; what follows them is the next message.
    pub consumed: usize,
    /// Bytes of data, now at the front of the buffer.
    pub data: usize,
    /// The body is complete.
    pub done: bool,
}

/// What [`ChunkedDecoder::next_span`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Bytes of the buffer that are dealt with.
    pub consumed: usize,
    /// Where in them data is; empty if there was only framing. Ends where `consumed` does unless it is empty.
    pub data: Range<usize>,
    /// The body is complete.
    pub done: bool,
}

/// What is wrong with a chunked body: 400 from a client, 502 from an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkError {
    /// Something else than a hexadecimal number below 2^63 and its line end.
    Size,
    /// An extension that is not of the grammar.
    Extension,
    /// More than [`MAX_EXTENSION_BYTES`] of extensions.
    ExtensionsTooLong,
    /// No CRLF behind a chunk's data.
    DataEnd,
    /// A trailer that is not a field line.
    Trailer,
    /// More than [`MAX_TRAILER_BYTES`] or [`MAX_TRAILER_LINES`] of trailers.
    TrailersTooLong,
    /// The decoder failed before.
    Failed,
}

impl ChunkError {
    /// What to write into the log.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Size => "invalid chunk size",
            Self::Extension => "invalid chunk extension",
            Self::ExtensionsTooLong => "chunk extensions too long",
            Self::DataEnd => "chunk data without CRLF",
            Self::Trailer => "invalid trailer",
            Self::TrailersTooLong => "trailers too long",
            Self::Failed => "chunked body failed before",
        }
    }
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for ChunkError {}

impl ChunkedDecoder {
    /// At the beginning of a body.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Size,
            size_digits: 0,
            trailer_lines: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
            left: 0,
        }
    }

    /// Takes the framing off in place: afterwards `buf[..data]` is data, `buf[consumed..]` is as it was, and what lies
    /// between has no meaning. All of `buf` is consumed unless the body ends in it.
    ///
    /// # Errors
    /// [`ChunkError`]; what came before it in `buf` is lost, as the message is to be given up.
    pub fn decode(&mut self, buf: &mut [u8]) -> Result<Decoded, ChunkError> {
        let mut consumed = 0;
        let mut data = 0;
        loop {
            let span = self.next_span(&buf[consumed..])?;
            let found = consumed + span.data.start..consumed + span.data.end;
            let length = found.len();
            if found.start != data {
                buf.copy_within(found, data);
            }
            data += length;
            consumed += span.consumed;
            if span.done || consumed == buf.len() {
                return Ok(Decoded { consumed, data, done: span.done });
            }
        }
    }

    /// As [`ChunkedDecoder::decode`]; what of `buf` belongs to lines of trailers is handed to `trailers`, piece by piece.
    ///
    /// # Errors
    /// [`ChunkError`].
    pub fn decode_all(
        &mut self,
        buf: &mut [u8],
        trailers: &mut dyn FnMut(&[u8]),
    ) -> Result<Decoded, ChunkError> {
        let before = self.trailer_bytes;
        let decoded = self.decode(buf)?;
        // They come last, and behind them only an empty line. Data is moved to the front, so they are where they were.
        let behind = match self.state {
            State::Done => 2,
            State::EndLf => 1,
            _ => 0,
        };
        let length = usize::from(self.trailer_bytes - before);
        if length > 0 {
            let end = decoded.consumed.saturating_sub(behind);
            trailers(&buf[end.saturating_sub(length)..end]);
        }
        Ok(decoded)
    }

    /// Reads framing up to the next data and that data, as far as `buf` has it, and moves nothing. For bodies so
    /// large that moving them would cost; call it again for what follows.
    ///
    /// # Errors
    /// [`ChunkError`].
    pub fn next_span(&mut self, buf: &[u8]) -> Result<Span, ChunkError> {
        let mut at = 0;
        while self.state != State::Done && at < buf.len() {
            if self.state == State::Data {
                let length =
                    usize::try_from(self.left).map_or(buf.len() - at, |left| left.min(buf.len() - at));
                self.left -= length as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                return Ok(Span { consumed: at + length, data: at..at + length, done: false });
            }
            self.state = self.after(buf[at]).inspect_err(|_| self.state = State::Failed)?;
            at += 1;
        }
        Ok(Span { consumed: at, data: at..at, done: self.is_done() })
    }

    /// Whether the last chunk and the trailers are read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The state after `byte`: the grammar as a table.
    fn after(&mut self, byte: u8) -> Result<State, ChunkError> {
        use State as S;
        match (self.state, byte) {
            (S::Size | S::SizeRest, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.add_digit(byte),
            (S::SizeRest, b';') => self.count_extension(S::ExtensionStart),
            (S::SizeRest, b'\r') => Ok(S::SizeLf),
            (S::ExtensionStart | S::ExtensionName, _) if is_token_byte(byte) => {
                self.count_extension(S::ExtensionName)
            }
            (S::ExtensionName, b'=') => self.count_extension(S::ExtensionValueStart),
            (S::ExtensionValueStart | S::ExtensionToken, _) if is_token_byte(byte) => {
                self.count_extension(S::ExtensionToken)
            }
            (S::ExtensionValueStart, b'"') => self.count_extension(S::ExtensionQuoted),
            (S::ExtensionQuoted, b'"') => self.count_extension(S::ExtensionQuotedEnd),
            (S::ExtensionQuoted, b'\\') => self.count_extension(S::ExtensionEscaped),
            (S::ExtensionQuoted | S::ExtensionEscaped, _) if is_value_byte(byte) => {
                self.count_extension(S::ExtensionQuoted)
            }
            (S::ExtensionName | S::ExtensionToken | S::ExtensionQuotedEnd, b';') => {
                self.count_extension(S::ExtensionStart)
            }
            (S::ExtensionName | S::ExtensionToken | S::ExtensionQuotedEnd, b'\r') => Ok(S::SizeLf),
            (S::SizeLf, b'\n') => Ok(if self.left == 0 { S::LineStart } else { S::Data }),
            (S::DataCr, b'\r') => Ok(S::DataLf),
            (S::DataLf, b'\n') => {
                self.size_digits = 0;
                Ok(S::Size)
            }
            (S::LineStart, b'\r') => Ok(S::EndLf),
            (S::LineStart, _) if is_token_byte(byte) => self.start_trailer(),
            (S::TrailerName, _) if is_token_byte(byte) => self.count_trailer(S::TrailerName),
            (S::TrailerName, b':') => self.count_trailer(S::TrailerValue),
            (S::TrailerValue, b'\r') => self.count_trailer(S::TrailerLf),
            (S::TrailerValue, _) if is_value_byte(byte) => self.count_trailer(S::TrailerValue),
            (S::TrailerLf, b'\n') => self.count_trailer(S::LineStart),
            (S::EndLf, b'\n') => Ok(S::Done),
            _ => Err(self.error()),
        }
    }

    fn add_digit(&mut self, byte: u8) -> Result<State, ChunkError> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        self.size_digits += 1;
        if self.size_digits > MAX_SIZE_DIGITS || self.left > u64::MAX >> 5 {
            return Err(ChunkError::Size);
        }
        self.left = self.left << 4 | u64::from(digit);
        Ok(State::SizeRest)
    }

    fn count_extension(&mut self, next: State) -> Result<State, ChunkError> {
        self.extension_bytes += 1;
        if self.extension_bytes > MAX_EXTENSION_BYTES { Err(ChunkError::ExtensionsTooLong) } else { Ok(next) }
    }

    fn start_trailer(&mut self) -> Result<State, ChunkError> {
        self.trailer_lines += 1;
        if self.trailer_lines > MAX_TRAILER_LINES {
            return Err(ChunkError::TrailersTooLong);
        }
        self.count_trailer(State::TrailerName)
    }

    fn count_trailer(&mut self, next: State) -> Result<State, ChunkError> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > MAX_TRAILER_BYTES { Err(ChunkError::TrailersTooLong) } else { Ok(next) }
    }

    /// What a byte that does not fit the state means.
    fn error(&self) -> ChunkError {
        use State as S;
        match self.state {
            S::Size | S::SizeRest | S::SizeLf | S::Data => ChunkError::Size,
            S::ExtensionStart
            | S::ExtensionName
            | S::ExtensionValueStart
            | S::ExtensionToken
            | S::ExtensionQuoted
            | S::ExtensionEscaped
            | S::ExtensionQuotedEnd => ChunkError::Extension,
            S::DataCr | S::DataLf => ChunkError::DataEnd,
            S::LineStart | S::TrailerName | S::TrailerValue | S::TrailerLf | S::EndLf => ChunkError::Trailer,
            S::Done | S::Failed => ChunkError::Failed,
        }
    }
}

impl Default for ChunkedDecoder {
    fn default() -> Self {
        Self::new()
    }
}

/// A byte of a field value or of a quoted string: anything but controls other than TAB.
fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

/// Room that [`chunk_head`] needs before a chunk's data: sixteen digits and a line end.
pub const CHUNK_HEADROOM: usize = 18;

/// What follows a chunk's data.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The end of a chunked body, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Writes the size line of a chunk of `length` bytes to the end of `room`, so that data placed behind it follows
/// without a gap; returns where the line starts. A length of 0 would be the last chunk: use [`LAST_CHUNK`].
#[must_use]
pub fn chunk_head(length: usize, room: &mut [u8; CHUNK_HEADROOM]) -> usize {
    room[CHUNK_HEADROOM - 2..].copy_from_slice(CHUNK_END);
    let mut start = CHUNK_HEADROOM - 2;
    let mut rest = length;
    loop {
        start -= 1;
        room[start] = b"0123456789abcdef"[rest & 0xf];
        rest >>= 4;
        if rest == 0 {
            return start;
        }
    }
}

#[cfg(test)]
mod tests;
