//! HEADERS and CONTINUATION (RFC 9113 §6.2, §6.10).

use super::fault::{Fault, broken, frame_size, malformed, protocol, stream};
use super::{Connection, Happened};
use crate::abuse::Budget;
use crate::error::{ErrorCode, Reason};
use crate::event::StreamId;
use crate::frame::{Frame, MAX_PAYLOAD, flag, number};
use crate::hpack::Field;
use crate::message::{Answer, Exchange, Refusal, Request, Response, Section, Sink, Trailers, read_section};
use crate::streams::{Fate, Half, Over, Stream};

/// A header block of which more is to come.
pub struct PartialBlock {
    pub stream: u32,
    opening: Opening,
    bytes: Vec<u8>,
    /// Frames it came in.
    frames: usize,
}

/// What a HEADERS frame says besides its fields.
#[derive(Debug, Clone, Copy)]
struct Opening {
    is_end: bool,
    /// Its stream's priority depends on itself (RFC 7540 §5.3.1).
    is_twisted: bool,
}

/// Frames of a block beyond those that its bytes fill.
const SPARE_FRAMES: usize = 8;
/// Field sections may take this much more memory than bytes on the wire; what is beyond is held against
/// [`crate::Limits::held_head_bytes`].
const FAIR_RATIO: usize = 10;

/// Takes fields and forgets them: only the compression state counts.
struct Nobody;

impl Sink for Nobody {
    fn take(&mut self, _: &Field<'_>) -> Result<(), &'static str> {
        Ok(())
    }
}

impl Connection {
    pub(super) fn headers<'i>(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        now: u64,
    ) -> Result<Option<Happened<'i>>, Fault> {
        let id = frame.stream;
        // The peer opens odd streams if it is the client; even ones are for pushes, which there are none of.
        if id.is_multiple_of(2) {
            return Err(protocol("HEADERS on a stream that clients do not open"));
        }
        let mut fragment = payload;
        if frame.has(flag::PADDED) {
            let Some((&padding, behind)) = fragment.split_first() else {
                return Err(frame_size("a padded frame without its padding's length"));
            };
            let Some(length) = behind.len().checked_sub(usize::from(padding)) else {
                return Err(protocol("padding longer than its frame"));
            };
            fragment = &behind[..length];
        }
        let mut is_twisted = false;
        if frame.has(flag::PRIORITY) {
            let Some((priority, behind)) = fragment.split_at_checked(5) else {
                return Err(frame_size("HEADERS too short for its priority"));
            };
            // The highest bit says whether the dependency is exclusive.
            is_twisted = number(&priority[..4]).is_some_and(|parent| parent & !(1 << 31) == id);
            fragment = behind;
        }
        let opening = Opening { is_end: frame.has(flag::END_STREAM), is_twisted };
        if frame.has(flag::END_HEADERS) {
            return self.block_read(id, opening, fragment, now);
        }
        if fragment.is_empty() {
            self.budgets.spend(Budget::EmptyFrames, now)?;
        }
        self.block = Some(PartialBlock { stream: id, opening, bytes: fragment.to_vec(), frames: 1 });
        Ok(None)
    }

    /// `Connection::check` has seen that the frame belongs to a block.
    pub(super) fn continuation<'i>(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        now: u64,
    ) -> Result<Option<Happened<'i>>, Fault> {
        let Some(mut block) = self.block.take() else { return Ok(None) };
        block.bytes.extend_from_slice(payload);
        block.frames += 1;
        // Compressed fields are smaller than what they count, so a block beyond twice the limit helps nobody.
        let most_bytes = 2 * self.limits.head_bytes as usize + MAX_PAYLOAD;
        if block.bytes.len() > most_bytes || block.frames > most_bytes / MAX_PAYLOAD + SPARE_FRAMES {
            let what = "a header block of too many bytes or frames";
            return Err(broken(ErrorCode::ENHANCE_YOUR_CALM, Reason::ContinuationFlood, what));
        }
        if frame.has(flag::END_HEADERS) {
            return self.block_read(block.stream, block.opening, &block.bytes, now);
        }
        if payload.is_empty() {
            self.budgets.spend(Budget::EmptyFrames, now)?;
        }
        self.block = Some(block);
        Ok(None)
    }

    /// A header block is complete. It is decoded whatever becomes of it, to keep the compression state right.
    fn block_read<'i>(
        &mut self,
        id: u32,
        opening: Opening,
        block: &[u8],
        now: u64,
    ) -> Result<Option<Happened<'i>>, Fault> {
        if let Some(index) = self.streams.find(id) {
            let live = &self.streams[index];
            return match (live.over, live.remote) {
                // It may have been on its way when the stream was reset here.
                (Some(Over::ByUs), _) => self.skip_block(block).map(|()| None),
                (Some(Over::ByPeer), _) | (None, Half::Done) => {
                    self.skip_block(block)?;
                    Err(stream(id, ErrorCode::STREAM_CLOSED, Reason::StreamState, "HEADERS behind the end"))
                }
                (None, Half::Body) => self.trailers(index, opening, block).map(Some),
                (None, Half::Head) => self.response(index, opening, block).map(Some),
            };
        }
        if self.is_server && id > self.last_peer {
            return self.request(id, opening, block, now).map(Some);
        }
        if self.is_idle(id) {
            return Err(protocol("HEADERS on an idle stream"));
        }
        self.skip_block(block)?;
        match self.streams.fate(id) {
            Some(Fate::Reset) => Ok(None),
            // Ours, and forgotten: a late answer to one that was given up.
            None if !self.is_server => Ok(None),
            Some(Fate::Ended) => {
                Err(broken(ErrorCode::STREAM_CLOSED, Reason::StreamState, "HEADERS on a closed stream"))
            }
            None => Err(protocol("stream identifiers that do not rise")),
        }
    }

    fn skip_block(&mut self, block: &[u8]) -> Result<(), Fault> {
        read_section(&mut self.decoder, block, &self.limits, &mut Nobody)?;
        Ok(())
    }

    fn request<'i>(
        &mut self,
        id: u32,
        opening: Opening,
        block: &[u8],
        now: u64,
    ) -> Result<Happened<'i>, Fault> {
        self.last_peer = id;
        if self.refuses_streams() {
            self.skip_block(block)?;
            let what = "more streams than granted, or a new one while draining";
            return Err(stream(id, ErrorCode::REFUSED_STREAM, Reason::Refused, what));
        }
        self.budgets.refund(Budget::Priority, 2);
        self.budgets.refund(Budget::UnknownFrames, 4);
        self.budgets.refund(Budget::WindowUpdate, 4);
        let seed = now << 32 ^ u64::from(id);
        let mut request = Request::new(&mut self.rooms, self.limits.extended_connect, seed);
        let Section { bytes, refusal } = read_section(&mut self.decoder, block, &self.limits, &mut request)?;
        if opening.is_twisted {
            return Err(stream(
                id,
                ErrorCode::PROTOCOL_ERROR,
                Reason::Protocol,
                "a stream that depends on itself",
            ));
        }
        let (exchange, content_left, is_too_large) = match refusal {
            None => {
                let outlook = request.finish(opening.is_end).map_err(|what| malformed(id, what))?;
                (outlook.exchange, outlook.content_length, false)
            }
            Some(Refusal::TooLarge) => (Exchange::Message, None, true),
            Some(Refusal::Malformed(what)) => return Err(malformed(id, what)),
        };
        // What is too large was not kept.
        let held = if is_too_large { 0 } else { self.unfair(id, bytes, block)? };
        let remote = if opening.is_end { Half::Done } else { Half::Body };
        let stream = self.new_stream(id, exchange, remote, Half::Head);
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        self.streams.push(Stream { content_left, held, ..stream });
        let (stream, is_end) = (StreamId(id), opening.is_end);
        Ok(if is_too_large {
            Happened::TooLarge { stream, is_end }
        } else {
            Happened::Head { stream, is_end }
        })
    }

    /// What a field section of a stream takes in memory beyond what was sent for it.
    fn unfair(&self, id: u32, bytes: usize, block: &[u8]) -> Result<usize, Fault> {
        let held = bytes.saturating_sub(FAIR_RATIO * block.len());
        if self.streams.held() + held > self.limits.held_head_bytes as usize {
            let what = "field sections that take too much memory";
            return Err(stream(id, ErrorCode::REFUSED_STREAM, Reason::HeaderBomb, what));
        }
        Ok(held)
    }

    fn response<'i>(&mut self, index: usize, opening: Opening, block: &[u8]) -> Result<Happened<'i>, Fault> {
        let live = &mut self.streams[index];
        let id = live.id;
        let mut response = Response::new(&mut self.rooms, &live.exchange);
        let section = read_section(&mut self.decoder, block, &self.limits, &mut response)?;
        check(id, &section)?;
        match response.finish(opening.is_end).map_err(|what| malformed(id, what))? {
            Answer::Interim => Ok(Happened::Interim { stream: StreamId(id) }),
            Answer::Final { content_length } => {
                live.content_left = content_length;
                live.remote = if opening.is_end { Half::Done } else { Half::Body };
                Ok(Happened::Head { stream: StreamId(id), is_end: opening.is_end })
            }
        }
    }

    fn trailers<'i>(&mut self, index: usize, opening: Opening, block: &[u8]) -> Result<Happened<'i>, Fault> {
        let section =
            read_section(&mut self.decoder, block, &self.limits, &mut Trailers::new(&mut self.rooms))?;
        let live = &mut self.streams[index];
        if !opening.is_end {
            return Err(malformed(live.id, "trailers that do not end the stream"));
        }
        let id = live.id;
        check(id, &section)?;
        if live.content_left.is_some_and(|left| left > 0) {
            return Err(malformed(id, "less data than content-length"));
        }
        live.remote = Half::Done;
        let held = self.unfair(id, section.bytes, block)?;
        self.streams.hold(index, held);
        Ok(Happened::Trailers { stream: StreamId(id) })
    }
}

/// A section that cannot be answered with a status.
fn check(id: u32, section: &Section) -> Result<(), Fault> {
    match section.refusal {
        None => Ok(()),
        Some(Refusal::Malformed(what)) => Err(malformed(id, what)),
        Some(Refusal::TooLarge) => {
            let what = "fields beyond the limits";
            Err(stream(id, ErrorCode::ENHANCE_YOUR_CALM, Reason::HeadTooLarge, what))
        }
    }
}
