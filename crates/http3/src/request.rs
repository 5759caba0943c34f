//! One request, as its stream brings it (RFC 9114 §4.1): HEADERS, any number of DATA, perhaps HEADERS with trailers.
//!
//! | phase | what may come | what ends it |
//! |---|---|---|
//! | `Head` | HEADERS | all of that frame, or a length that is too large |
//! | `Body` | DATA, HEADERS | the latter, which are trailers, or the stream's end |
//! | `Tunnel` | DATA | the stream's end |
//! | `Over` | nothing | the stream's end |
//!
//! Frames of unknown types may come everywhere, and are dropped.

use crate::connection::{Connection, Limits};
use crate::error::{Code, Error};
use crate::frame::{Headers, kind};
use crate::qpack::Decoder;
use evenly_http2::fields::{Budget, Exchange, Request, Sink, Trailers};
use std::cell::Cell;
use std::rc::Rc;

/// What a field counts besides its name and its value (RFC 9114 §4.2.2).
const FIELD_OVERHEAD: usize = 32;
/// What a line of text has besides them: a colon, a space, and a line end.
const PUNCTUATION: usize = 4;
/// Sections may take this much more memory than bytes on the wire; what is beyond is held against
/// [`Limits::held_head_bytes`].
const FAIR_RATIO: usize = 10;
/// DATA with less than this is a crumb: the frame's header and the packet's cost more than what is in it.
const CRUMB_BYTES: u64 = 16;

/// The state of a request's stream.
pub struct Reader {
    phase: Phase,
    headers: Headers,
    payload: Payload,
    /// What is missing of the payload.
    left: u64,
    /// Of HEADERS, as far as they are there.
    block: Vec<u8>,
    /// How much data must still follow, if the head says so.
    content_left: Option<u64>,
    held: Held,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Body,
    Tunnel,
    Over,
}

/// What a frame's payload is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Payload {
    Block,
    Data,
    Dropped,
}

/// What a step brings.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'i> {
    /// The request's field section is there: [`Reader::head`] reads it.
    Head,
    /// The request's field section is too large to be read. Nothing more that comes is of interest.
    TooLarge,
    /// A part of the body.
    Data(&'i [u8]),
    /// The trailers: lines of text are in [`Reader::trailers`].
    Trailers,
}

/// A request's head.
#[derive(Debug, PartialEq, Eq)]
pub enum Head<'r> {
    /// As the text that it would be in HTTP/1.1, and what it asks for.
    Text(&'r [u8], Exchange),
    /// It is beyond the limits.
    TooLarge,
}

impl Reader {
    /// A stream on which nothing came yet.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        Self {
            phase: Phase::Head,
            headers: Headers::default(),
            payload: Payload::Dropped,
            left: 0,
            block: Vec::new(),
            content_left: None,
            held: Held { all: Rc::clone(&connection.held), own: 0 },
        }
    }

    /// Goes through `input`, which is cut off at its front; `None` when all of it was taken.
    ///
    /// # Errors
    /// The client broke the rules.
    pub fn step<'i>(
        &mut self,
        connection: &mut Connection,
        input: &mut &'i [u8],
        now: u64,
    ) -> Result<Option<Piece<'i>>, Error> {
        loop {
            if self.left > 0 {
                let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
                if most == 0 {
                    return Ok(None);
                }
                let (taken, rest) = input.split_at(most);
                *input = rest;
                self.left -= taken.len() as u64;
                match self.payload {
                    Payload::Dropped => continue,
                    Payload::Data => return Ok(Some(Piece::Data(taken))),
                    Payload::Block => self.block.extend_from_slice(taken),
                }
                if self.left > 0 {
                    self.held.set(self.block.len(), &connection.limits)?;
                    continue;
                }
                return self.block_read(connection).map(Some);
            }
            let Some((kind, length)) = self.headers.take(input) else { return Ok(None) };
            if self.frame(connection, kind, length, now)? {
                return Ok(Some(Piece::TooLarge));
            }
        }
    }

    /// A frame begins; whether it is one that is too large.
    fn frame(
        &mut self,
        connection: &mut Connection,
        kind: u64,
        length: u64,
        now: u64,
    ) -> Result<bool, Error> {
        self.left = length;
        match (kind, self.phase) {
            (kind::DATA, Phase::Body | Phase::Tunnel) => {
                self.payload = Payload::Data;
                if let Some(left) = &mut self.content_left {
                    let more = Error::malformed("more data than content-length");
                    *left = left.checked_sub(length).ok_or(more)?;
                }
                match length {
                    0 => connection.spend(Budget::EmptyFrames, now)?,
                    1..CRUMB_BYTES => connection.spend(Budget::TinyData, now)?,
                    _ => {}
                }
            }
            (kind::HEADERS, Phase::Head | Phase::Body) => {
                self.payload = Payload::Block;
                // Compressed fields are smaller than what they count, so a section beyond twice the limit is too large
                // whatever is in it.
                if length > 2 * u64::from(connection.limits.head_bytes) {
                    self.payload = Payload::Dropped;
                    return match self.phase {
                        Phase::Head => {
                            self.phase = Phase::Over;
                            Ok(true)
                        }
                        _ => Err(too_large()),
                    };
                }
                if length == 0 {
                    return Err(decompression("a field section without its prefix"));
                }
            }
            (kind::DATA | kind::HEADERS, _) => {
                let what = "DATA or HEADERS where the request has none";
                return Err(Error::connection(Code::FRAME_UNEXPECTED, what));
            }
            (kind, _) if kind::is_foreign_to_requests(kind) => {
                let what = "a frame that does not belong on a request's stream";
                return Err(Error::connection(Code::FRAME_UNEXPECTED, what));
            }
            _ => {
                self.payload = Payload::Dropped;
                connection.spend(Budget::UnknownFrames, now)?;
            }
        }
        Ok(false)
    }

    fn block_read<'i>(&mut self, connection: &mut Connection) -> Result<Piece<'i>, Error> {
        if self.phase == Phase::Head {
            return Ok(Piece::Head);
        }
        if self.content_left.is_some_and(|left| left > 0) {
            return Err(Error::malformed("less data than content-length"));
        }
        self.phase = Phase::Over;
        let mut trailers = Trailers::new(&mut connection.rooms);
        let section = read_section(&self.block, &connection.limits, &mut trailers)?;
        self.block = Vec::new();
        if section.is_too_large {
            return Err(too_large());
        }
        Ok(Piece::Trailers)
    }

    /// Reads the head that is there; `is_end` says whether the stream ends with it. `seed` is different for each request.
    ///
    /// # Errors
    /// The request is malformed, or its fields take too much memory.
    pub fn head<'c>(
        &mut self,
        connection: &'c mut Connection,
        is_end: bool,
        seed: u64,
    ) -> Result<Head<'c>, Error> {
        let block = std::mem::take(&mut self.block);
        let limits = connection.limits;
        let mut request = Request::new(&mut connection.rooms, limits.extended_connect, seed);
        let section = read_section(&block, &limits, &mut request)?;
        if section.is_too_large {
            self.phase = Phase::Over;
            self.held.set(0, &limits)?;
            return Ok(Head::TooLarge);
        }
        let outlook = request.finish(is_end).map_err(Error::malformed)?;
        self.held.set(section.bytes.saturating_sub(FAIR_RATIO * block.len()), &limits)?;
        self.content_left = outlook.content_length;
        let is_tunnel = outlook.exchange.is_upgrade() || outlook.exchange == Exchange::Connect;
        self.phase = if is_tunnel { Phase::Tunnel } else { Phase::Body };
        connection.budgets.refund(Budget::UnknownFrames, 4);
        Ok(Head::Text(connection.rooms.text(), outlook.exchange))
    }

    /// The lines of the trailers that a step has just brought.
    #[must_use]
    pub fn trailers<'c>(&self, connection: &'c Connection) -> &'c [u8] {
        connection.rooms.text()
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// The request has not.
    pub fn end(&self) -> Result<(), Error> {
        if self.left > 0 || self.headers.is_midway() {
            return Err(Error::connection(Code::FRAME_ERROR, "a stream that ends within a frame"));
        }
        if self.phase == Phase::Head {
            return Err(Error::stream(Code::REQUEST_INCOMPLETE, "a stream without a request"));
        }
        if self.content_left.is_some_and(|left| left > 0) {
            return Err(Error::malformed("less data than content-length"));
        }
        Ok(())
    }

    /// Whether its head has begun, and is not complete.
    #[must_use]
    pub fn is_in_head(&self) -> bool {
        self.phase == Phase::Head
    }
}

/// What a stream holds of its connection's memory for heads; given back when it ends.
struct Held {
    all: Rc<Cell<usize>>,
    own: usize,
}

impl Held {
    fn set(&mut self, own: usize, limits: &Limits) -> Result<(), Error> {
        let all = self.all.get() - self.own + own;
        if all > limits.held_head_bytes as usize {
            let what = "field sections that take too much memory";
            return Err(Error::stream(Code::REQUEST_REJECTED, what));
        }
        self.all.set(all);
        self.own = own;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.set(self.all.get() - self.own);
    }
}

/// What was read.
struct Section {
    /// What it counts against the limits.
    bytes: usize,
    is_too_large: bool,
}

fn read_section(block: &[u8], limits: &Limits, sink: &mut impl Sink) -> Result<Section, Error> {
    let mut decoder = Decoder::new(block).map_err(|error| decompression(error.0))?;
    let mut section = Section { bytes: 0, is_too_large: false };
    let mut fields = 0;
    while let Some(field) = decoder.next().map_err(|error| decompression(error.0))? {
        section.bytes += field.text.len() - PUNCTUATION + FIELD_OVERHEAD;
        fields += 1;
        if section.bytes > limits.head_bytes as usize || fields > limits.fields {
            // Nothing depends on the rest.
            section.is_too_large = true;
            break;
        }
        sink.take(&field).map_err(Error::malformed)?;
    }
    Ok(section)
}

const fn decompression(what: &'static str) -> Error {
    Error::connection(Code::QPACK_DECOMPRESSION_FAILED, what)
}

const fn too_large() -> Error {
    Error::stream(Code::EXCESSIVE_LOAD, "trailers beyond the limits")
}

#[cfg(test)]
mod tests;
