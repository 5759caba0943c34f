//! What a connection's task and its streams share. All of them run on one worker, so that nothing is locked.
//!
//! What a stream has received stays in QUIC's buffers, whose windows bound it, until somebody reads it.

mod incoming;

pub use incoming::Begun;

use crate::permits::Permit;
use crate::quic::Link;
use crate::tls::Facts;
use bytes::Bytes;
use evenly_http3::{Code, Connection, Error, Exchange, Reader, Scope};
use quinn_proto::{FinishError, StreamId, VarInt, WriteError};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// No deadline, as a tick.
const NEVER: u64 = u64::MAX;

/// The connection behind its streams.
pub struct Mux {
    /// The connection of QUIC.
    pub link: Rc<Link>,
    state: RefCell<State>,
    /// Its own end of the connection.
    pub local: Option<SocketAddr>,
    /// What was agreed on.
    pub facts: Rc<Facts>,
    /// The connection's: it is given back when the last stream has ended, too.
    _permit: Permit,
}

struct State {
    connection: Connection,
    slots: FxHashMap<StreamId, Slot>,
    /// What clients did wrong that the connection's task does not know yet.
    faults: Vec<Error>,
    /// Streams without a head.
    headless: usize,
    /// Streams whose response is complete here, and not yet confirmed by the client.
    unconfirmed: FxHashSet<StreamId>,
}

/// What there is of a stream.
struct Slot {
    reader: Reader,
    /// Read from QUIC, and not yet gone through.
    unread: Bytes,
    /// The client has said all, as far as QUIC is concerned.
    is_ended: bool,
    broken: Option<Broken>,
    /// Somebody has it as a [`super::H3Stream`].
    is_taken: bool,
    exchange: Exchange,
    /// What came behind the request's body: lines of trailers.
    trailers: Option<Box<[u8]>>,
    /// Frames that the client's window had no room for.
    out: Vec<u8>,
    /// Bytes that are missing of the DATA that has begun.
    owed: usize,
    /// When its head has to be there.
    due: u64,
    waker: Option<Waker>,
}

/// Why nothing more of a stream is of use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// The client gave it up.
    GivenUp,
    /// It was ended here, or its connection is no more.
    Ended,
}

impl Mux {
    /// Of a connection that begins.
    pub fn new(connection: Connection, link: Rc<Link>, permit: Permit, facts: Rc<Facts>) -> Rc<Self> {
        let state = State {
            connection,
            slots: FxHashMap::default(),
            faults: Vec::new(),
            headless: 0,
            unconfirmed: FxHashSet::default(),
        };
        let local = link.local();
        Rc::new(Self { link, state: RefCell::new(state), local, facts, _permit: permit })
    }

    /// Lets the task at what the connection's streams share.
    pub fn with<T>(&self, act: impl FnOnce(&mut Connection) -> T) -> T {
        act(&mut self.state.borrow_mut().connection)
    }

    /// What clients did wrong since the last time.
    pub fn faults(&self) -> Vec<Error> {
        std::mem::take(&mut self.state.borrow_mut().faults)
    }

    /// Whether the client has everything: closing earlier would destroy what is on its way to it.
    pub fn is_done(&self) -> bool {
        let state = self.state.borrow();
        state.slots.is_empty() && state.unconfirmed.is_empty()
    }

    /// Responses that are all sent and not all confirmed, while nothing else is under way.
    pub fn unconfirmed(&self) -> usize {
        let state = self.state.borrow();
        if state.slots.is_empty() { state.unconfirmed.len() } else { 0 }
    }

    /// The client has all of a response, or wants no more of it.
    pub fn confirmed(&self, id: StreamId) {
        self.state.borrow_mut().unconfirmed.remove(&id);
    }

    /// A stream has begun, whose head has to be there at the tick `due`.
    pub fn open(&self, id: StreamId, due: u64) {
        let mut state = self.state.borrow_mut();
        let slot = Slot {
            reader: Reader::new(&state.connection),
            unread: Bytes::new(),
            is_ended: false,
            broken: None,
            is_taken: false,
            exchange: Exchange::Message,
            trailers: None,
            out: Vec::new(),
            owed: 0,
            due,
            waker: None,
        };
        state.slots.insert(id, slot);
        state.headless += 1;
    }

    /// The client wants no more of a response.
    pub fn stopped(&self, id: StreamId) {
        if let Some(slot) = self.state.borrow_mut().slots.get_mut(&id) {
            slot.broken = slot.broken.or(Some(Broken::GivenUp));
            slot.wake();
        }
    }

    /// A stream may be able to send.
    pub fn writable(&self, id: StreamId) {
        if let Some(slot) = self.state.borrow_mut().slots.get_mut(&id) {
            slot.wake();
        }
    }

    /// The connection is no more, and with it each of its streams.
    pub fn break_all(&self) {
        let mut state = self.state.borrow_mut();
        state.slots.retain(|_, slot| slot.is_taken);
        state.headless = 0;
        for slot in state.slots.values_mut() {
            slot.broken = Some(Broken::Ended);
            slot.wake();
        }
    }

    /// When the next head has to be there.
    pub fn due(&self) -> u64 {
        let state = self.state.borrow();
        if state.headless == 0 {
            return NEVER;
        }
        state.slots.values().map(|slot| slot.due).min().unwrap_or(NEVER)
    }

    /// Gives streams up whose head should be there: as many as there are.
    pub fn expire(&self, is_past: impl Fn(u64) -> bool) -> usize {
        let mut state = self.state.borrow_mut();
        let late = state.slots.extract_if(|_, slot| is_past(slot.due));
        let late: Vec<_> = late.map(|(id, slot)| (id, slot.is_ended)).collect();
        state.headless -= late.len();
        drop(state);
        late.iter().for_each(|&(id, is_ended)| self.cancel(id, is_ended, Code::REQUEST_INCOMPLETE));
        late.len()
    }

    /// Ends both directions of a stream.
    pub fn cancel(&self, id: StreamId, is_ended: bool, code: Code) {
        let code = VarInt::from_u64(code.0).unwrap_or_default();
        let mut quic = self.link.connection();
        // What has ended already needs no other end.
        if !is_ended {
            let _ = quic.recv_stream(id).stop(code);
        }
        let _ = quic.send_stream(id).reset(code);
        drop(quic);
        self.link.notify();
    }

    /// Ready when the client gave the stream up.
    pub fn poll_gone(&self, id: StreamId, cx: &Context<'_>) -> Poll<()> {
        match self.state.borrow_mut().slots.get_mut(&id) {
            Some(slot) if slot.broken.is_none() => {
                slot.register(cx);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Renders a response's head; it leaves by [`Mux::flush`].
    pub fn head(&self, id: StreamId, head: &[u8]) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let Some(slot) = state.slots.get_mut(&id) else { return Err(broken()) };
        let written = evenly_http3::write_head(&mut slot.out, head, &slot.exchange);
        written.map(|_| ()).map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))
    }

    /// Takes the trailers that came behind a request's body.
    pub fn trailers(&self, id: StreamId) -> Option<Box<[u8]>> {
        self.state.borrow_mut().slots.get_mut(&id)?.trailers.take()
    }

    /// Renders a response's trailers, which leave like its head; false within a body that has to go on.
    pub fn end_with(&self, id: StreamId, lines: &[u8]) -> bool {
        let mut state = self.state.borrow_mut();
        let Some(slot) = state.slots.get_mut(&id) else { return false };
        slot.owed == 0 && evenly_http3::write_trailers(&mut slot.out, lines).is_ok()
    }

    /// Sends what waits for room in the client's window; whether all of it could be.
    pub fn flush(&self, id: StreamId) -> io::Result<bool> {
        let mut state = self.state.borrow_mut();
        let Some(slot) = state.slots.get_mut(&id) else { return Err(broken()) };
        self.flush_slot(id, slot)
    }

    fn flush_slot(&self, id: StreamId, slot: &mut Slot) -> io::Result<bool> {
        while !slot.out.is_empty() {
            match self.write(id, slot, &slot.out)? {
                0 => return Ok(false),
                n => drop(slot.out.drain(..n)),
            }
        }
        Ok(true)
    }

    fn write(&self, id: StreamId, slot: &Slot, bytes: &[u8]) -> io::Result<usize> {
        if slot.broken.is_some() {
            return Err(broken());
        }
        match self.link.connection().send_stream(id).write(bytes) {
            Ok(n) => {
                self.link.notify();
                Ok(n)
            }
            Err(WriteError::Blocked) => Ok(0),
            Err(WriteError::Stopped(_) | WriteError::ClosedStream) => Err(broken()),
        }
    }

    /// Sends as much of a body as there is room for, which may be nothing; somebody has to wait then, by [`Mux::wait`].
    pub fn send(&self, id: StreamId, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        let Some(slot) = state.slots.get_mut(&id) else { return Err(broken()) };
        if slot.owed == 0 {
            evenly_http3::write_data(&mut slot.out, bytes.len());
            slot.owed = bytes.len();
        }
        if !self.flush_slot(id, slot)? {
            return Ok(0);
        }
        let n = self.write(id, slot, &bytes[..bytes.len().min(slot.owed)])?;
        slot.owed -= n;
        Ok(n)
    }

    /// Has a stream's task woken when there is room again.
    pub fn wait(&self, id: StreamId, cx: &Context<'_>) {
        if let Some(slot) = self.state.borrow_mut().slots.get_mut(&id) {
            slot.register(cx);
        }
    }

    /// Ends a response of which everything was sent.
    pub fn finish(&self, id: StreamId) {
        let ended = self.link.connection().send_stream(id).finish();
        match ended {
            Ok(()) => drop(self.state.borrow_mut().unconfirmed.insert(id)),
            // The client wants no more of it, and is owed an end all the same (RFC 9000 §3.5).
            Err(FinishError::Stopped(code)) => drop(self.link.connection().send_stream(id).reset(code)),
            // A stream that is over needs none.
            Err(FinishError::ClosedStream) => {}
        }
        self.link.notify();
    }

    /// The application is done with a stream, whose response is complete or never will be.
    pub fn remove(&self, id: StreamId, is_complete: bool) {
        let mut state = self.state.borrow_mut();
        let Some(slot) = state.slots.remove(&id) else { return };
        let now = self.link.now();
        if is_complete {
            state.connection.answered();
            drop(state);
            if !slot.is_ended {
                // The rest is of no interest (RFC 9114 §4.1).
                let code = VarInt::from_u64(Code::NO_ERROR.0).unwrap_or_default();
                let _ = self.link.connection().recv_stream(id).stop(code);
            }
            return self.link.notify();
        }
        let code = match slot.broken {
            // Of a tunnel that breaks off (RFC 9220 §3).
            None if slot.exchange.is_tunnel() => Code::REQUEST_CANCELLED,
            None => Code::INTERNAL_ERROR,
            Some(Broken::Ended) => Code::REQUEST_CANCELLED,
            Some(Broken::GivenUp) => {
                let used_up = state.connection.given_up(now).err();
                used_up.map_or(Code::REQUEST_CANCELLED, |error| state.wrong(error, now))
            }
        };
        drop(state);
        self.cancel(id, slot.is_ended, code);
    }
}

impl State {
    /// Notes what a client did wrong; what its stream is told.
    fn wrong(&mut self, error: Error, now: u64) -> Code {
        self.faults.push(error);
        if error.scope == Scope::Stream
            && let Err(error) = self.connection.broken(now)
        {
            self.faults.push(error);
        }
        error.code
    }
}

impl Slot {
    fn register(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}
