//! What the application sends (RFC 9113 §8.1).

use super::Connection;
use crate::abuse::Budget;
use crate::error::{OpenError, SendError};
use crate::event::StreamId;
use crate::frame::{HEADER_BYTES, MAX_31, MAX_PAYLOAD, flag, header, kind};
use crate::hpack;
use crate::message::{Sent, write_request, write_response, write_trailers};
use crate::streams::Half;

/// Data in smaller pieces is no reason for the peer to say anything.
const WORTHWHILE_BYTES: usize = 1024;

impl Connection {
    /// Client role: sends a request, whose head is HTTP/1.1 text.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was sent then.
    pub fn open(&mut self, head: &[u8], is_end: bool) -> Result<StreamId, OpenError> {
        if self.is_server || self.is_draining() || self.is_closed {
            return Err(OpenError::Draining);
        }
        if self.next_own > MAX_31 {
            return Err(OpenError::Exhausted);
        }
        if self.room() == 0 {
            return Err(OpenError::Full);
        }
        let start = self.begin_block();
        let (is_secure, may_extend) = (self.is_secure, self.peer.extended_connect);
        let sent = write_request(&mut self.output.bytes, head, is_secure, may_extend);
        let exchange = match sent {
            Ok(Sent::Request(exchange)) => exchange,
            Ok(Sent::NeedsExtendedConnect) => {
                self.output.bytes.truncate(start);
                return Err(OpenError::NoExtendedConnect);
            }
            Err(what) => {
                self.output.bytes.truncate(start);
                return Err(OpenError::Malformed(what));
            }
        };
        let id = self.next_own;
        self.next_own += 2;
        self.end_block(start, id, is_end);
        let local = if is_end { Half::Done } else { Half::Body };
        let stream = self.new_stream(id, exchange, Half::Head, local);
        self.streams.push(stream);
        Ok(StreamId(id))
    }

    /// Server role: sends a response head, final or interim, from HTTP/1.1 text. 101 is what accepts an upgrade.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent then.
    pub fn send_head(&mut self, stream: StreamId, head: &[u8], is_end: bool) -> Result<(), SendError> {
        let index = self.sendable(stream, Half::Head)?;
        let start = self.begin_block();
        let exchange = &self.streams[index].exchange;
        let written = match write_response(&mut self.output.bytes, head, exchange) {
            Ok(100..200) if is_end && !exchange.is_upgrade() => Err("an informational response ends nothing"),
            written => written,
        };
        let status = match written {
            Ok(status) => status,
            Err(what) => {
                self.output.bytes.truncate(start);
                return Err(SendError::Malformed(what));
            }
        };
        self.end_block(start, stream.0, is_end);
        if status >= 200 || status == 101 {
            self.streams[index].local = if is_end { Half::Done } else { Half::Body };
        }
        Ok(())
    }

    /// Sends as much of `bytes` as the windows and the output's bound take, and says how much that was. `is_end` counts
    /// only if all was taken. If less was, because of a window, [`crate::Event::Writable`] or
    /// [`crate::Event::AllWritable`] follows once there is room; if because of the output, there is room once that is
    /// written.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub fn send_data(&mut self, stream: StreamId, bytes: &[u8], is_end: bool) -> Result<usize, SendError> {
        let index = self.sendable(stream, Half::Body)?;
        let live = &mut self.streams[index];
        let window = usize::try_from(live.send_window.min(self.send_window)).unwrap_or(0);
        live.is_waiting = window < bytes.len();
        let taken = bytes.len().min(window).min(room(self.output.len(), self.limits.output_bytes));
        let is_end = is_end && taken == bytes.len();
        let mut rest = &bytes[..taken];
        let mut frames = 0;
        while !rest.is_empty() || (is_end && frames == 0) {
            let (piece, behind) = rest.split_at(rest.len().min(MAX_PAYLOAD));
            rest = behind;
            let flags = if is_end && rest.is_empty() { flag::END_STREAM } else { flag::NONE };
            self.output.bytes.extend_from_slice(&header(piece.len(), kind::DATA, flags, stream.0));
            self.output.bytes.extend_from_slice(piece);
            frames += 1;
        }
        let taken_window = i64::try_from(taken).unwrap_or(i64::MAX);
        live.send_window -= taken_window;
        self.send_window -= taken_window;
        if is_end {
            live.local = Half::Done;
        }
        let is_all = taken > 0 && taken == bytes.len();
        if taken >= WORTHWHILE_BYTES || is_end || is_all {
            // Who receives measures, and opens its windows; but not for crumbs that its own windows make of the data
            // (CVE-2019-9511). Small messages are small by themselves.
            self.budgets.refund(Budget::Ping, frames);
            self.budgets.refund(Budget::WindowUpdate, 4 * frames);
        }
        Ok(taken)
    }

    /// Ends the message with trailers, lines `name: value CRLF`. Fields that trailers must not have are left out.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent then.
    pub fn send_trailers(&mut self, stream: StreamId, fields: &[u8]) -> Result<(), SendError> {
        let index = self.sendable(stream, Half::Body)?;
        let start = self.begin_block();
        if let Err(what) = write_trailers(&mut self.output.bytes, fields) {
            self.output.bytes.truncate(start);
            return Err(SendError::Malformed(what));
        }
        self.end_block(start, stream.0, true);
        self.streams[index].local = Half::Done;
        Ok(())
    }

    /// How much [`Connection::send_data`] would take now, or once the head was sent.
    #[must_use]
    pub fn window(&self, stream: StreamId) -> usize {
        let sendable = self.sendable(stream, Half::Body).or_else(|_| self.sendable(stream, Half::Head));
        let Ok(index) = sendable else { return 0 };
        let window = usize::try_from(self.streams[index].send_window.min(self.send_window)).unwrap_or(0);
        window.min(room(self.output.len(), self.limits.output_bytes))
    }

    /// Where a stream is that can be sent on, and whose own side is at `half`.
    fn sendable(&self, stream: StreamId, half: Half) -> Result<usize, SendError> {
        let index = self.streams.find(stream.0).ok_or(SendError::Closed)?;
        let live = &self.streams[index];
        let can = live.over.is_none() && live.local == half && !self.is_closed;
        if can { Ok(index) } else { Err(SendError::Closed) }
    }

    /// Makes room for a frame's header. Returns where the frame begins.
    fn begin_block(&mut self) -> usize {
        let out = &mut self.output.bytes;
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_BYTES]);
        if !self.has_sent_block {
            out.push(hpack::FIRST_OCTET);
        }
        start
    }

    /// The block that begins behind `start` is complete: writes the frame's header, and further frames if it is long.
    fn end_block(&mut self, start: usize, id: u32, is_end: bool) {
        self.has_sent_block = true;
        let out = &mut self.output.bytes;
        let length = out.len() - start - HEADER_BYTES;
        let end_stream = if is_end { flag::END_STREAM } else { flag::NONE };
        if length <= MAX_PAYLOAD {
            let frame = header(length, kind::HEADERS, end_stream | flag::END_HEADERS, id);
            out[start..start + HEADER_BYTES].copy_from_slice(&frame);
            return;
        }
        let block = out.split_off(start + HEADER_BYTES);
        out.truncate(start);
        let last = block.len().div_ceil(MAX_PAYLOAD) - 1;
        for (number, fragment) in block.chunks(MAX_PAYLOAD).enumerate() {
            let (kind, flags) =
                if number == 0 { (kind::HEADERS, end_stream) } else { (kind::CONTINUATION, 0) };
            let flags = if number == last { flags | flag::END_HEADERS } else { flags };
            out.extend_from_slice(&header(fragment.len(), kind, flags, id));
            out.extend_from_slice(fragment);
        }
    }
}

/// What may still be added to output of `waiting` bytes. As long as something may, a whole frame may: small remains
/// would make small frames.
fn room(waiting: usize, bound: usize) -> usize {
    match bound.saturating_sub(waiting) {
        0 => 0,
        room => room.max(MAX_PAYLOAD),
    }
}
