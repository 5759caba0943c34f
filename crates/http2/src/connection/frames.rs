//! Cuts frames out of the input, however it arrives.

use super::data::Passing;
use super::fault::{Fault, broken, frame_size, protocol};
use super::{Connection, Happened};
use crate::abuse::Budget;
use crate::error::{ErrorCode, Reason};
use crate::frame::{Frame, HEADER_BYTES, MAX_PAYLOAD, PREFACE, flag, kind};

/// What the input's next bytes are.
#[derive(Debug, Clone, Copy)]
pub enum Reading {
    /// The client's preface, of which as many bytes were there.
    Preface(usize),
    /// A frame.
    Frame,
    /// The payload of a DATA frame.
    Data(Passing),
}

/// What came of looking at the input.
pub enum Progress<'i> {
    /// All of it is taken in.
    More,
    /// There may be more in it.
    Again,
    /// Something happened.
    Happened(Happened<'i>),
}

impl<'i> From<Option<Happened<'i>>> for Progress<'i> {
    fn from(happened: Option<Happened<'i>>) -> Self {
        happened.map_or(Self::Again, Self::Happened)
    }
}

impl Connection {
    /// Takes the next thing out of the input.
    pub(super) fn advance<'i>(&mut self, rest: &mut &'i [u8], now: u64) -> Result<Progress<'i>, Fault> {
        match self.reading {
            Reading::Preface(seen) => self.preface(rest, seen),
            Reading::Frame if self.partial.is_empty() => self.whole_frame(rest, now),
            Reading::Frame => self.pieced_frame(rest, now),
            Reading::Data(passing) => Ok(self.pass(passing, rest)),
        }
    }

    fn preface<'i>(&mut self, rest: &mut &'i [u8], seen: usize) -> Result<Progress<'i>, Fault> {
        let missing = &PREFACE[seen..];
        let (bytes, behind) = rest.split_at(rest.len().min(missing.len()));
        *rest = behind;
        if !missing.starts_with(bytes) {
            return Err(broken(ErrorCode::PROTOCOL_ERROR, Reason::Preface, "not the preface of HTTP/2"));
        }
        if bytes.len() < missing.len() {
            self.reading = Reading::Preface(seen + bytes.len());
            return Ok(Progress::More);
        }
        self.reading = Reading::Frame;
        Ok(Progress::Again)
    }

    /// A frame that begins in this input, and mostly ends in it.
    #[inline]
    fn whole_frame<'i>(&mut self, rest: &mut &'i [u8], now: u64) -> Result<Progress<'i>, Fault> {
        let input = *rest;
        let Some((head, behind)) = input.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(self.stash(rest));
        };
        let frame = Frame::parse(head);
        self.check(&frame)?;
        if frame.kind == kind::DATA {
            let Some(padding) = padding_octet(&frame, behind) else { return Ok(self.stash(rest)) };
            *rest = &behind[usize::from(padding.is_some())..];
            return self.data(&frame, padding, now).map(Progress::from);
        }
        let Some((payload, behind)) = behind.split_at_checked(frame.length) else {
            return Ok(self.stash(rest));
        };
        *rest = behind;
        self.frame(&frame, payload, now).map(Progress::from)
    }

    /// A frame of which a part is kept from earlier input.
    #[cold]
    fn pieced_frame<'i>(&mut self, rest: &mut &'i [u8], now: u64) -> Result<Progress<'i>, Fault> {
        if !self.fill(HEADER_BYTES, rest) {
            return Ok(Progress::More);
        }
        let Some(head) = self.partial.first_chunk::<HEADER_BYTES>() else { return Ok(Progress::More) };
        let frame = Frame::parse(head);
        self.check(&frame)?;
        if frame.kind == kind::DATA {
            let has_padding = frame.has(flag::PADDED) && frame.length > 0;
            if !self.fill(HEADER_BYTES + usize::from(has_padding), rest) {
                return Ok(Progress::More);
            }
            let padding = self.partial.get(HEADER_BYTES).copied();
            self.partial.clear();
            return self.data(&frame, padding, now).map(Progress::from);
        }
        if !self.fill(HEADER_BYTES + frame.length, rest) {
            return Ok(Progress::More);
        }
        let mut bytes = std::mem::take(&mut self.partial);
        let happened = self.frame(&frame, &bytes[HEADER_BYTES..], now);
        bytes.clear();
        self.partial = bytes;
        happened.map(Progress::from)
    }

    /// Keeps what is left of the input. It is less than a frame.
    fn stash<'i>(&mut self, rest: &mut &'i [u8]) -> Progress<'i> {
        self.partial.extend_from_slice(rest);
        *rest = &[];
        Progress::More
    }

    /// Lets what is kept grow to `bytes`, if the input has as much.
    fn fill(&mut self, bytes: usize, rest: &mut &[u8]) -> bool {
        let missing = bytes.saturating_sub(self.partial.len());
        let (more, behind) = rest.split_at(missing.min(rest.len()));
        self.partial.extend_from_slice(more);
        *rest = behind;
        more.len() == missing
    }

    /// What can be said of a frame before its payload is there.
    #[inline]
    fn check(&self, frame: &Frame) -> Result<(), Fault> {
        if frame.length > MAX_PAYLOAD {
            return Err(frame_size("frame longer than MAX_FRAME_SIZE"));
        }
        if !self.peer.are_known && (frame.kind != kind::SETTINGS || frame.has(flag::ACK)) {
            return Err(protocol("a first frame that is not SETTINGS"));
        }
        match &self.block {
            Some(block) if frame.kind != kind::CONTINUATION || frame.stream != block.stream => {
                Err(protocol("a frame within a header block"))
            }
            None if frame.kind == kind::CONTINUATION => Err(protocol("CONTINUATION without a header block")),
            _ => Ok(()),
        }
    }

    /// A frame other than DATA, as a whole.
    #[inline]
    fn frame<'i>(&mut self, frame: &Frame, payload: &[u8], now: u64) -> Result<Option<Happened<'i>>, Fault> {
        match frame.kind {
            kind::HEADERS => self.headers(frame, payload, now),
            kind::CONTINUATION => self.continuation(frame, payload, now),
            kind::PRIORITY => self.priority(frame, payload, now),
            kind::RST_STREAM => self.rst_stream(frame, payload, now),
            kind::SETTINGS => self.settings(frame, payload, now),
            // Push is never allowed to servers, and clients have none (RFC 9113 §8.4).
            kind::PUSH_PROMISE => Err(protocol("PUSH_PROMISE")),
            kind::PING => self.pinged(frame, payload, now),
            kind::GOAWAY => self.goaway(frame, payload, now),
            kind::WINDOW_UPDATE => self.window_update(frame, payload, now),
            // RFC 9113 §5.5: ignored.
            _ => self.budgets.spend(Budget::UnknownFrames, now).map(|()| None).map_err(Fault::from),
        }
    }
}

/// The first byte of a padded frame's payload: `Some(None)` if the frame is not padded, `None` if the byte is missing.
/// An empty frame that says it is padded is refused later.
fn padding_octet(frame: &Frame, behind: &[u8]) -> Option<Option<u8>> {
    if frame.has(flag::PADDED) && frame.length > 0 { behind.first().copied().map(Some) } else { Some(None) }
}
