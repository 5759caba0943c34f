//! Frames that carry no message: SETTINGS, PING, GOAWAY, WINDOW_UPDATE, RST_STREAM, PRIORITY (RFC 9113 §6).

use super::fault::{Fault, broken, frame_size, protocol, stream};
use super::{Connection, Draining, Happened, KEEP_ALIVE, PROBE};
use crate::abuse::Budget;
use crate::error::{ConnectionError, ErrorCode, Reason};
use crate::event::StreamId;
use crate::frame::{Frame, MAX_31, flag, header, kind, number};
use crate::settings::FIRST_WINDOW;
use crate::streams::{Half, Over};

/// Answers that may wait for a peer that does not read: 960 of them to PING.
const MAX_ANSWERS: usize = 16 << 10;

impl Connection {
    pub(super) fn settings<'i>(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        now: u64,
    ) -> Result<Option<Happened<'i>>, Fault> {
        if frame.stream != 0 {
            return Err(protocol("SETTINGS on a stream"));
        }
        if frame.has(flag::ACK) {
            if !payload.is_empty() {
                return Err(frame_size("SETTINGS acknowledged with a payload"));
            }
            self.settings_acknowledged();
            return Ok(None);
        }
        if !payload.len().is_multiple_of(6) {
            return Err(frame_size("SETTINGS that are cut off"));
        }
        self.budgets.spend(Budget::Settings, now)?;
        let before = self.peer;
        self.peer.apply(payload, self.is_server)?;
        self.move_send_windows(i64::from(self.peer.window) - i64::from(before.window))?;
        self.output.bytes.extend_from_slice(&header(0, kind::SETTINGS, flag::ACK, 0));
        self.answered(9)?;
        Ok((before != self.peer && !self.is_server).then_some(Happened::Settings))
    }

    /// From now on our settings hold. A window below the first one takes away what streams had more.
    fn settings_acknowledged(&mut self) {
        if std::mem::replace(&mut self.is_acknowledged, true) {
            return;
        }
        let taken = FIRST_WINDOW.saturating_sub(self.limits.stream_window);
        if taken > 0 {
            self.streams.iter_mut().for_each(|stream| stream.receive_window -= i64::from(taken));
        }
    }

    /// RFC 9113 §6.9.2: a new initial window moves those of all streams, and may make them negative.
    fn move_send_windows(&mut self, difference: i64) -> Result<(), Fault> {
        if difference == 0 {
            return Ok(());
        }
        let mut is_writable = false;
        for stream in self.streams.iter_mut() {
            stream.send_window += difference;
            if stream.send_window > i64::from(MAX_31) {
                let what = "SETTINGS push a window beyond 2^31 - 1";
                return Err(broken(ErrorCode::FLOW_CONTROL_ERROR, Reason::FlowControl, what));
            }
            is_writable |= stream.is_waiting && stream.send_window > 0;
        }
        self.is_writable_due |= is_writable && self.send_window > 0;
        Ok(())
    }

    pub(super) fn pinged<'i>(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        now: u64,
    ) -> Result<Option<Happened<'i>>, Fault> {
        if frame.stream != 0 {
            return Err(protocol("PING on a stream"));
        }
        let Ok(payload) = <&[u8; 8]>::try_from(payload) else {
            return Err(frame_size("PING of a wrong length"));
        };
        self.budgets.spend(Budget::Ping, now)?;
        if !frame.has(flag::ACK) {
            self.output.bytes.extend_from_slice(&header(8, kind::PING, flag::ACK, 0));
            self.output.bytes.extend_from_slice(payload);
            self.answered(17)?;
            return Ok(None);
        }
        if payload == PROBE && self.draining == Draining::Announced {
            self.shutdown();
        }
        let is_pong = payload == KEEP_ALIVE && std::mem::take(&mut self.is_ping_due);
        Ok(is_pong.then_some(Happened::Pong))
    }

    pub(super) fn goaway<'i>(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        now: u64,
    ) -> Result<Option<Happened<'i>>, Fault> {
        if frame.stream != 0 {
            return Err(protocol("GOAWAY on a stream"));
        }
        let Some((fixed, _)) = payload.split_at_checked(8) else {
            return Err(frame_size("GOAWAY too short"));
        };
        self.budgets.spend(Budget::UnknownFrames, now)?;
        self.is_peer_leaving = true;
        let (last, code) = fixed.split_at(4);
        let last = number(last).unwrap_or_default() & MAX_31;
        let code = ErrorCode(number(code).unwrap_or_default());
        if !self.is_server {
            // These were not looked at; there is nobody to send anything to.
            for stream in self.streams.iter_mut().filter(|stream| stream.id > last) {
                stream.over = stream.over.or(Some(Over::ByPeer));
            }
        }
        Ok(Some(Happened::GoAway { last: StreamId(last), code }))
    }

    pub(super) fn window_update<'i>(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        now: u64,
    ) -> Result<Option<Happened<'i>>, Fault> {
        let Some(increment) = number(payload) else {
            return Err(frame_size("WINDOW_UPDATE of a wrong length"));
        };
        self.budgets.spend(Budget::WindowUpdate, now)?;
        let increment = i64::from(increment & MAX_31);
        if frame.stream == 0 {
            return self.connection_window_update(increment);
        }
        let id = frame.stream;
        if self.is_idle(id) {
            return Err(protocol("WINDOW_UPDATE on an idle stream"));
        }
        let Some(index) = self.streams.find(id) else { return Ok(None) };
        let live = &mut self.streams[index];
        if live.over.is_some() {
            return Ok(None);
        }
        if increment == 0 {
            return Err(stream(id, ErrorCode::PROTOCOL_ERROR, Reason::FlowControl, "WINDOW_UPDATE by 0"));
        }
        live.send_window += increment;
        if live.send_window > i64::from(MAX_31) {
            let what = "a stream's window beyond 2^31 - 1";
            return Err(stream(id, ErrorCode::FLOW_CONTROL_ERROR, Reason::FlowControl, what));
        }
        let is_writable = live.is_waiting && live.send_window > 0 && self.send_window > 0;
        live.is_waiting &= !is_writable;
        Ok(is_writable.then_some(Happened::Writable { stream: StreamId(id) }))
    }

    fn connection_window_update<'i>(&mut self, increment: i64) -> Result<Option<Happened<'i>>, Fault> {
        if increment == 0 {
            return Err(broken(ErrorCode::PROTOCOL_ERROR, Reason::FlowControl, "WINDOW_UPDATE by 0"));
        }
        let was_closed = self.send_window <= 0;
        self.send_window += increment;
        if self.send_window > i64::from(MAX_31) {
            let what = "the connection's window beyond 2^31 - 1";
            return Err(broken(ErrorCode::FLOW_CONTROL_ERROR, Reason::FlowControl, what));
        }
        self.is_writable_due |= was_closed && self.streams.iter_mut().any(|stream| stream.is_waiting);
        Ok(None)
    }

    pub(super) fn rst_stream<'i>(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        now: u64,
    ) -> Result<Option<Happened<'i>>, Fault> {
        let Some(code) = number(payload) else { return Err(frame_size("RST_STREAM of a wrong length")) };
        if self.is_idle(frame.stream) {
            return Err(protocol("RST_STREAM on an idle stream"));
        }
        let Some(index) = self.streams.find(frame.stream) else {
            // It may have crossed our end of the stream.
            return Ok(None);
        };
        let live = &mut self.streams[index];
        if live.over.is_some() {
            return Ok(None);
        }
        live.over = Some(Over::ByPeer);
        if self.is_server && live.local != Half::Done {
            self.budgets.spend(Budget::RapidReset, now)?;
        }
        self.abandon(index);
        Ok(Some(Happened::Reset { stream: StreamId(frame.stream), code: ErrorCode(code) }))
    }

    /// Priorities are ignored (RFC 9113 §5.3.2), but what is wrong with them is not.
    pub(super) fn priority<'i>(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        now: u64,
    ) -> Result<Option<Happened<'i>>, Fault> {
        let id = frame.stream;
        if id == 0 {
            return Err(protocol("PRIORITY on stream 0"));
        }
        let is_live = self.streams.find(id).is_some_and(|index| self.streams[index].over.is_none());
        // RST_STREAM says what is wrong where there is a stream to reset.
        let fault = |fault: Fault| match fault {
            Fault::Connection(ConnectionError { code, reason, what }) if is_live => {
                stream(id, code, reason, what)
            }
            fault => fault,
        };
        let Some((parent, _weight)) = payload.split_at_checked(4).filter(|(_, weight)| weight.len() == 1)
        else {
            return Err(fault(frame_size("PRIORITY of a wrong length")));
        };
        if number(parent).is_some_and(|parent| parent & MAX_31 == id) {
            return Err(fault(protocol("a stream that depends on itself")));
        }
        self.budgets.spend(Budget::Priority, now)?;
        Ok(None)
    }

    /// Notes that the peer provoked `bytes` of output; too many that wait are its fault (CVE-2019-9517).
    pub(super) fn answered(&mut self, bytes: usize) -> Result<(), ConnectionError> {
        self.output.note_answer(bytes);
        if self.output.answers() > MAX_ANSWERS {
            let what = "answers that nobody reads";
            let (code, reason) = (ErrorCode::ENHANCE_YOUR_CALM, Reason::UnreadAnswers);
            return Err(ConnectionError { code, reason, what });
        }
        Ok(())
    }
}
