//! DATA and the windows that it comes through (RFC 9113 §6.1, §6.9).

use super::fault::{Fault, broken, frame_size, malformed, protocol, stream};
use super::frames::{Progress, Reading};
use super::{Connection, Happened};
use crate::abuse::Budget;
use crate::error::{ErrorCode, Reason};
use crate::event::StreamId;
use crate::frame::{Frame, flag, kind, write_number};
use crate::settings::FIRST_WINDOW;
use crate::streams::{Fate, Half, Over};

/// Data in smaller pieces counts as crumbs.
const CRUMB_BYTES: usize = 32;

/// A DATA frame whose payload goes through.
#[derive(Debug, Clone, Copy)]
pub struct Passing {
    stream: u32,
    data: usize,
    padding: usize,
    is_end: bool,
    /// Whether somebody wants it.
    is_wanted: bool,
}

impl Connection {
    /// A DATA frame begins; what can be checked is checked before its payload is there.
    pub(super) fn data<'i>(
        &mut self,
        frame: &Frame,
        padding: Option<u8>,
        now: u64,
    ) -> Result<Option<Happened<'i>>, Fault> {
        if frame.stream == 0 {
            return Err(protocol("DATA on stream 0"));
        }
        if frame.has(flag::PADDED) && padding.is_none() {
            return Err(frame_size("a padded frame without its padding's length"));
        }
        let overhead = usize::from(padding.is_some());
        let padding = usize::from(padding.unwrap_or_default());
        let Some(data) = (frame.length - overhead).checked_sub(padding) else {
            return Err(protocol("padding longer than its frame"));
        };
        let is_end = frame.has(flag::END_STREAM);
        self.receive_window -= i64::try_from(frame.length).unwrap_or(i64::MAX);
        if self.receive_window < 0 {
            let what = "data beyond the connection's window";
            return Err(broken(ErrorCode::FLOW_CONTROL_ERROR, Reason::FlowControl, what));
        }
        if data == 0 && !is_end {
            self.budgets.spend(Budget::EmptyFrames, now)?;
        } else if data < CRUMB_BYTES && !is_end {
            self.budgets.spend(Budget::TinyData, now)?;
        }
        let mut passing = Passing { stream: frame.stream, data, padding, is_end, is_wanted: false };
        let accepted = self.accept_data(frame.stream, frame.length, data, is_end);
        passing.is_wanted = accepted == Ok(true);
        self.reading = if data + padding > 0 { Reading::Data(passing) } else { Reading::Frame };
        if passing.is_wanted {
            self.give_back(frame.stream, overhead + padding);
            let is_all = data == 0 && is_end;
            return Ok(is_all.then_some(Happened::Data {
                stream: StreamId(frame.stream),
                bytes: &[],
                is_end,
            }));
        }
        self.credit_connection(frame.length);
        accepted.map(|_| None)
    }

    /// Whether a frame of `length` is wanted by its stream, which then has taken it into account.
    fn accept_data(&mut self, id: u32, length: usize, data: usize, is_end: bool) -> Result<bool, Fault> {
        let Some(index) = self.streams.find(id) else {
            if self.is_idle(id) {
                return Err(protocol("DATA on an idle stream"));
            }
            return match self.streams.fate(id) {
                Some(Fate::Reset) => Ok(false),
                // Ours, and forgotten: late data of one that was given up.
                None if !self.is_server => Ok(false),
                _ => Err(broken(ErrorCode::STREAM_CLOSED, Reason::StreamState, "DATA on a closed stream")),
            };
        };
        let live = &mut self.streams[index];
        match (live.over, live.remote) {
            (Some(Over::ByUs), _) => return Ok(false),
            (Some(Over::ByPeer), _) | (None, Half::Done) => {
                return Err(stream(id, ErrorCode::STREAM_CLOSED, Reason::StreamState, "DATA behind the end"));
            }
            (None, Half::Head) => return Err(malformed(id, "DATA in front of the response's head")),
            (None, Half::Body) => {}
        }
        live.receive_window -= i64::try_from(length).unwrap_or(i64::MAX);
        if live.receive_window < 0 {
            let what = "data beyond the stream's window";
            return Err(stream(id, ErrorCode::FLOW_CONTROL_ERROR, Reason::FlowControl, what));
        }
        if let Some(left) = &mut live.content_left {
            *left = left.checked_sub(data as u64).ok_or(malformed(id, "more data than content-length"))?;
            if is_end && *left > 0 {
                return Err(malformed(id, "less data than content-length"));
            }
        }
        live.unread += u32::try_from(length).unwrap_or(u32::MAX);
        if is_end {
            live.remote = Half::Done;
        }
        Ok(true)
    }

    /// Hands on what the input has of a payload.
    pub(super) fn pass<'i>(&mut self, mut passing: Passing, rest: &mut &'i [u8]) -> Progress<'i> {
        if rest.is_empty() {
            return Progress::More;
        }
        let (bytes, behind) = rest.split_at(passing.data.min(rest.len()));
        let (padding, behind) = behind.split_at(passing.padding.min(behind.len()));
        *rest = behind;
        passing.data -= bytes.len();
        passing.padding -= padding.len();
        let is_over = passing.data + passing.padding == 0;
        self.reading = if is_over { Reading::Frame } else { Reading::Data(passing) };
        // The application may have lost interest since the frame began.
        let is_live = |index: usize| {
            self.streams.find(passing.stream) == Some(index) && self.streams[index].over.is_none()
        };
        if bytes.is_empty() || !passing.is_wanted || !self.streams.find(passing.stream).is_some_and(is_live) {
            return Progress::Again;
        }
        let is_end = passing.is_end && passing.data == 0;
        Progress::Happened(Happened::Data { stream: StreamId(passing.stream), bytes, is_end })
    }

    /// The application has passed on as many bytes of the stream's data: the peer may send more.
    pub fn consumed(&mut self, stream: StreamId, bytes: usize) {
        self.give_back(stream.0, bytes);
    }

    /// Opens the windows by what is not held any more, in batches of half a window.
    fn give_back(&mut self, id: u32, bytes: usize) {
        let Some(index) = self.streams.find(id) else { return };
        let live = &mut self.streams[index];
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(live.unread);
        live.unread -= bytes;
        live.credit += bytes;
        if live.credit >= self.limits.stream_window.div_ceil(2) && live.remote != Half::Done {
            let credit = std::mem::take(&mut live.credit);
            live.receive_window += i64::from(credit);
            self.write_window_update(id, credit);
        }
        self.credit_connection(bytes as usize);
    }

    /// What a stream has not consumed and never will is given back to the connection.
    pub(super) fn abandon(&mut self, index: usize) {
        let unread = std::mem::take(&mut self.streams[index].unread);
        self.credit_connection(unread as usize);
    }

    fn credit_connection(&mut self, bytes: usize) {
        self.credit += u32::try_from(bytes).unwrap_or(u32::MAX);
        if self.credit >= self.limits.connection_window.max(FIRST_WINDOW).div_ceil(2) {
            let credit = std::mem::take(&mut self.credit);
            self.receive_window += i64::from(credit);
            self.write_window_update(0, credit);
        }
    }

    fn write_window_update(&mut self, id: u32, credit: u32) {
        let before = self.output.bytes.len();
        write_number(&mut self.output.bytes, kind::WINDOW_UPDATE, id, credit);
        self.output.note_answer(self.output.bytes.len() - before);
    }
}
