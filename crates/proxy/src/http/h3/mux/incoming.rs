//! What clients send on streams: heads, which the connection's task takes, and bodies, which each stream's task reads.

use super::{Broken, Mux, NEVER, Slot, broken};
use crate::worker::buffers::{Buffer, Text};
use bytes::{Buf, Bytes};
use evenly_http3::{Code, Connection, Error, Head, Piece};
use quinn_proto::{ReadError, StreamId, VarInt};
use std::io;
use std::task::{Context, Poll};

/// What is read of a stream at once while its head is missing; what comes behind the head waits outside QUIC's buffers.
const HEAD_PIECE: usize = 4 * 1024;

/// A request that begins.
pub enum Begun {
    /// With this head.
    Head(Text),
    /// Its head is too large.
    TooLarge,
}

/// Why a stream did not come to a head.
enum Failed {
    Wrong(Error),
    GivenUp,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Wrong(error)
    }
}

/// What reading a stream of QUIC brings.
enum Came {
    Bytes(Bytes),
    End,
    Nothing,
    Reset,
}

impl Mux {
    /// Something has come on a stream: reads its head if that is missing, or has its task look.
    pub fn readable(&self, id: StreamId, text: impl FnOnce() -> Text, now: u64) -> Option<Begun> {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let slot = state.slots.get_mut(&id)?;
        if slot.is_taken {
            // Data is its task's to read; that there will be none is not.
            if !slot.is_ended
                && matches!(self.link.connection().recv_stream(id).received_reset(), Ok(Some(_)))
            {
                slot.is_ended = true;
                slot.broken = slot.broken.or(Some(Broken::GivenUp));
            }
            slot.wake();
            return None;
        }
        match self.read_head(id, slot, &mut state.connection, now, text) {
            Ok(None) => None,
            Ok(begun) => {
                (slot.is_taken, slot.due) = (true, NEVER);
                state.headless -= 1;
                begun
            }
            Err(failed) => {
                let is_ended = slot.is_ended;
                state.slots.remove(&id);
                state.headless -= 1;
                let failed = match failed {
                    Failed::Wrong(error) => Some(state.wrong(error, now)),
                    Failed::GivenUp => {
                        state.connection.given_up(now).err().map(|error| state.wrong(error, now))
                    }
                };
                drop(guard);
                self.cancel(id, is_ended, failed.unwrap_or(Code::REQUEST_CANCELLED));
                None
            }
        }
    }

    fn read_head(
        &self,
        id: StreamId,
        slot: &mut Slot,
        connection: &mut Connection,
        now: u64,
        text: impl FnOnce() -> Text,
    ) -> Result<Option<Begun>, Failed> {
        loop {
            if slot.unread.is_empty() && !self.more(id, slot)? {
                return Ok(None);
            }
            if slot.is_ended && slot.unread.is_empty() {
                slot.reader.end()?;
                return Err(Failed::GivenUp);
            }
            let mut rest = &slot.unread[..];
            let is_too_large = match slot.reader.step(connection, &mut rest, now)? {
                Some(Piece::Head) => false,
                Some(Piece::TooLarge) => true,
                _ => {
                    slot.unread.clear();
                    continue;
                }
            };
            let taken = slot.unread.len() - rest.len();
            slot.unread.advance(taken);
            if is_too_large {
                return Ok(Some(Begun::TooLarge));
            }
            if slot.unread.is_empty() {
                self.more(id, slot)?;
            }
            let is_end = slot.is_ended && slot.unread.is_empty();
            let seed = now << 32 ^ u64::from(VarInt::from(id));
            return Ok(Some(match slot.reader.head(connection, is_end, seed)? {
                Head::TooLarge => Begun::TooLarge,
                Head::Text(head, exchange) => {
                    slot.exchange = exchange;
                    let mut text = text();
                    text.extend_from_slice(head);
                    Begun::Head(text)
                }
            }));
        }
    }

    /// Reads what is next of a stream whose head is missing; whether there was anything, or its end.
    fn more(&self, id: StreamId, slot: &mut Slot) -> Result<bool, Failed> {
        match self.receive(id, HEAD_PIECE) {
            _ if slot.is_ended => {}
            Came::Bytes(bytes) => slot.unread = bytes,
            Came::End => slot.is_ended = true,
            Came::Nothing => return Ok(false),
            Came::Reset => {
                slot.is_ended = true;
                return Err(Failed::GivenUp);
            }
        }
        Ok(true)
    }

    /// Reads a stream of QUIC, at most `most` bytes.
    fn receive(&self, id: StreamId, most: usize) -> Came {
        let mut quic = self.link.connection();
        let mut stream = quic.recv_stream(id);
        let Ok(mut chunks) = stream.read(true) else { return Came::Reset };
        let came = match chunks.next(most) {
            Ok(Some(chunk)) => Came::Bytes(chunk.bytes),
            Ok(None) => Came::End,
            Err(ReadError::Blocked) => Came::Nothing,
            Err(ReadError::Reset(_)) => Came::Reset,
        };
        if chunks.finalize().should_transmit() {
            self.link.notify();
        }
        came
    }

    /// Reads a request's body into what room `into` has; 0 is its end.
    pub fn poll_read(&self, id: StreamId, cx: &Context<'_>, into: &mut Buffer) -> Poll<io::Result<usize>> {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let Some(slot) = state.slots.get_mut(&id) else { return Poll::Ready(Err(broken())) };
        if slot.broken.is_some() {
            return Poll::Ready(Err(broken()));
        }
        let now = self.link.now();
        let before = into.len();
        let wrong = loop {
            let room = into.room().len();
            if room == 0 {
                break None;
            }
            if slot.unread.is_empty() && !slot.is_ended {
                match self.receive(id, room) {
                    Came::Bytes(bytes) => slot.unread = bytes,
                    Came::End => slot.is_ended = true,
                    Came::Nothing if into.len() > before => break None,
                    Came::Nothing => {
                        slot.register(cx);
                        return Poll::Pending;
                    }
                    Came::Reset => {
                        (slot.is_ended, slot.broken) = (true, Some(Broken::GivenUp));
                        return Poll::Ready(Err(broken()));
                    }
                }
            }
            if slot.unread.is_empty() {
                break if into.len() > before { None } else { slot.reader.end().err() };
            }
            let most = slot.unread.len().min(room);
            let mut rest = &slot.unread[..most];
            match slot.reader.step(&mut state.connection, &mut rest, now) {
                Ok(Some(Piece::Data(bytes))) => {
                    into.fill(bytes);
                }
                Ok(Some(Piece::Trailers)) => {
                    slot.trailers = Some(slot.reader.trailers(&state.connection).into());
                }
                Ok(_) => {}
                Err(error) => break Some(error),
            }
            let taken = most - rest.len();
            slot.unread.advance(taken);
        };
        let Some(error) = wrong else { return Poll::Ready(Ok(into.len() - before)) };
        slot.broken = Some(Broken::Ended);
        let is_ended = std::mem::replace(&mut slot.is_ended, true);
        let code = state.wrong(error, now);
        drop(guard);
        self.cancel(id, is_ended, code);
        Poll::Ready(Err(broken()))
    }
}
