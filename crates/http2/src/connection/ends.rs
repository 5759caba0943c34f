//! How streams and the connection end (RFC 9113 §5.4, §6.8).

use super::{Connection, Draining, PROBE};
use crate::abuse::Budget;
use crate::error::{ConnectionError, ErrorCode, Reason, StreamError};
use crate::event::StreamId;
use crate::frame::{MAX_31, flag, header, kind, write_number};
use crate::streams::{Fate, Half, Over};

impl Connection {
    /// Gives a stream up. It still counts until [`Connection::finished`].
    pub fn reset(&mut self, stream: StreamId, code: ErrorCode) {
        let Some(index) = self.streams.find(stream.0) else { return };
        if self.streams[index].over.is_none() {
            self.reset_live(index, code);
        }
    }

    fn reset_live(&mut self, index: usize, code: ErrorCode) {
        let live = &mut self.streams[index];
        live.over = Some(Over::ByUs);
        write_number(&mut self.output.bytes, kind::RST_STREAM, live.id, code.0);
        self.abandon(index);
    }

    /// The application is done with the stream. If a side has not ended it, it is reset: by NO_ERROR if the response
    /// is complete (RFC 9113 §8.1), by INTERNAL_ERROR or CANCEL otherwise, and by CANCEL in a tunnel (RFC 8441 §5).
    pub fn finished(&mut self, stream: StreamId) {
        let Some(index) = self.streams.find(stream.0) else { return };
        let live = &self.streams[index];
        match (live.over, live.local, live.remote) {
            (Some(_), ..) => {}
            (None, Half::Done, Half::Done) => {
                self.abandon(index);
                self.budgets.refund(Budget::RapidReset, 1);
                self.budgets.refund(Budget::MadeYouReset, 1);
            }
            (None, Half::Done, _) if self.is_server => self.reset_live(index, ErrorCode::NO_ERROR),
            (None, local, _) if self.is_server && !(live.exchange.is_tunnel() && local != Half::Head) => {
                self.reset_live(index, ErrorCode::INTERNAL_ERROR);
            }
            (None, ..) => self.reset_live(index, ErrorCode::CANCEL),
        }
        let is_reset = self.streams[index].over == Some(Over::ByUs);
        self.streams.remove(index, if is_reset { Fate::Reset } else { Fate::Ended });
    }

    /// The peer did what ends a stream, or keeps it from beginning.
    ///
    /// # Errors
    /// It does so too often.
    pub(super) fn break_stream(
        &mut self,
        id: u32,
        error: &StreamError,
        now: u64,
    ) -> Result<(), ConnectionError> {
        match self.streams.find(id) {
            Some(index) if self.streams[index].over.is_none() => self.reset_live(index, error.code),
            Some(_) => write_number(&mut self.output.bytes, kind::RST_STREAM, id, error.code.0),
            None => {
                write_number(&mut self.output.bytes, kind::RST_STREAM, id, error.code.0);
                self.streams.remember(id, Fate::Reset);
            }
        }
        self.answered(13)?;
        let budget = match error.reason {
            Reason::Refused => Budget::StreamFlood,
            Reason::HeaderBomb => Budget::HeaderBomb,
            _ => Budget::MadeYouReset,
        };
        self.budgets.spend(budget, now)
    }

    /// Begins a graceful shutdown. Server role: GOAWAY(2^31 - 1) and a PING; when the peer has answered that, or at the
    /// second call, GOAWAY with the last stream, after which new ones are refused (RFC 9113 §6.8). Client role: GOAWAY,
    /// and [`Connection::open`] refuses.
    pub fn shutdown(&mut self) {
        if self.is_closed {
            return;
        }
        match self.draining {
            Draining::No if self.is_server => {
                self.write_goaway(MAX_31, ErrorCode::NO_ERROR);
                self.output.bytes.extend_from_slice(&header(8, kind::PING, flag::NONE, 0));
                self.output.bytes.extend_from_slice(PROBE);
                self.draining = Draining::Announced;
            }
            Draining::No | Draining::Announced => {
                self.write_goaway(self.last_peer, ErrorCode::NO_ERROR);
                self.draining = Draining::Decided;
            }
            Draining::Decided => {}
        }
    }

    /// Ends the connection at once: GOAWAY with this code. Write the output and close.
    pub fn close(&mut self, code: ErrorCode) {
        if !self.is_closed {
            self.write_goaway(self.last_peer, code);
            self.is_closed = true;
        }
    }

    fn write_goaway(&mut self, last: u32, code: ErrorCode) {
        let out = &mut self.output.bytes;
        out.extend_from_slice(&header(8, kind::GOAWAY, flag::NONE, 0));
        out.extend_from_slice(&last.to_be_bytes());
        out.extend_from_slice(&code.0.to_be_bytes());
    }
}
