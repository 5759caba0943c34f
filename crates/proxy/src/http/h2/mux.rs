//! What a connection's task and its streams share. All of them run on one worker, so that nothing is locked.

use crate::permits::Permit;
use crate::tls::Facts;
use crate::worker::buffers::Buffer;
use evenly_http2::{Connection, ErrorCode, OpenError, SendError, StreamId};
use rustc_hash::FxHashMap;
use std::cell::{RefCell, RefMut};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What one stream may add to the output before the others have their turn. A stream that is alone need not wait.
const TURN_BYTES: usize = 16 * 1024;

/// Memory for what was received that a stream keeps when all of it was read.
const KEPT_BYTES: usize = 4 * 1024;

/// The connection behind its streams.
pub struct Mux {
    state: RefCell<State>,
    /// Its own end of the connection.
    pub local: Option<SocketAddr>,
    /// What was agreed on, under TLS.
    pub facts: Option<Rc<Facts>>,
    /// The connection's: it is given back when the last stream has ended, too.
    _permit: Option<Permit>,
}

/// See [`Mux`].
pub struct State {
    /// The protocol's state.
    pub connection: Connection,
    /// Its streams.
    pub slots: Slots,
    /// The connection's task.
    task: Option<Waker>,
}

/// The streams, as far as they are not the protocol's matter.
#[derive(Default)]
pub struct Slots {
    slots: FxHashMap<StreamId, Slot>,
    /// Streams that wait for room in the output: those that had none since it was written last come first.
    starved: Vec<StreamId>,
    served: Vec<StreamId>,
    /// How many times the output was written.
    round: u64,
}

/// What there is of a stream.
#[derive(Default)]
struct Slot {
    /// Received and not yet read. The stream's window bounds it.
    unread: Vec<u8>,
    /// What of it is read already.
    read: usize,
    /// Bytes at the front of what is unread that came as heads, for which there is no window.
    heads: usize,
    end: Option<End>,
    /// What came behind the body: lines of trailers.
    trailers: Option<Box<[u8]>>,
    /// Bytes that it added to the output in that round.
    sent: usize,
    round: u64,
    /// Whether it waits for the next one.
    is_queued: bool,
    /// The stream's task.
    waker: Option<Waker>,
}

/// Why nothing more comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer has said all.
    Complete,
    /// The peer gave the stream up, or a client's connection is no more.
    Broken,
    /// The endpoint says that it has not looked at the request.
    Unprocessed,
    /// What the endpoint sent is no response.
    Malformed,
    /// The endpoint's connection is no more.
    Lost,
}

impl Mux {
    /// Of a connection that begins.
    pub fn new(
        connection: Connection,
        permit: Option<Permit>,
        local: Option<SocketAddr>,
        facts: Option<Rc<Facts>>,
    ) -> Rc<Self> {
        let state = State { connection, slots: Slots::default(), task: None };
        Rc::new(Self { state: RefCell::new(state), local, facts, _permit: permit })
    }

    /// The state, for a step that does not await.
    pub fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// The connection is no more, and with it each of its streams.
    pub fn end(&self) {
        let mut state = self.state.borrow_mut();
        state.connection.close(ErrorCode::NO_ERROR);
        state.slots.break_all();
    }
}

impl State {
    /// Remembers whom to wake when a stream has done something.
    pub fn register(&mut self, cx: &Context<'_>) {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
        }
    }

    /// Has the connection's task look: there is something to write, or a stream less.
    pub fn notify(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }

    /// Gives back what a connection without streams does not need.
    pub fn rest(&mut self) {
        self.connection.rest();
        self.slots.rest();
    }

    /// Reads at most so many bytes into what room `into` has; 0 is the end of the message.
    pub fn poll_read(
        &mut self,
        id: StreamId,
        cx: &Context<'_>,
        into: &mut Buffer,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let Some(slot) = self.slots.get(id) else { return Poll::Ready(Err(broken())) };
        if slot.end.is_some_and(|end| end != End::Complete) {
            return Poll::Ready(Err(broken()));
        }
        if slot.read == slot.unread.len() {
            if slot.end.is_some() {
                return Poll::Ready(Ok(0));
            }
            slot.register(cx);
            return Poll::Pending;
        }
        let unread = &slot.unread[slot.read..];
        let n = into.fill(&unread[..unread.len().min(most)]);
        slot.read += n;
        let of_heads = slot.heads.min(n);
        slot.heads -= of_heads;
        if slot.read == slot.unread.len() {
            slot.rest();
        }
        let before = self.connection.output().len();
        self.connection.consumed(id, n - of_heads);
        if self.connection.output().len() > before {
            self.notify();
        }
        Poll::Ready(Ok(n))
    }

    /// Ready when the client gave the stream up.
    pub fn poll_gone(&mut self, id: StreamId, cx: &Context<'_>) -> Poll<()> {
        match self.slots.get(id) {
            Some(slot) if slot.end.is_none_or(|end| end == End::Complete) => {
                slot.register(cx);
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Sends a request's head, with which a stream begins.
    pub fn open(&mut self, head: &[u8], is_end: bool) -> Result<StreamId, OpenError> {
        let id = self.connection.open(head, is_end)?;
        self.slots.begin(id, false);
        self.notify();
        Ok(id)
    }

    /// How a stream's peer has ended it, if it has; one that is not there is lost.
    pub fn end_of(&mut self, id: StreamId) -> Option<End> {
        self.slots.get(id).map_or(Some(End::Lost), |slot| slot.end)
    }

    /// Whether all of a message was read, and no trailers follow.
    pub fn is_drained(&mut self, id: StreamId) -> bool {
        self.slots.get(id).is_some_and(|slot| {
            slot.end == Some(End::Complete) && slot.read == slot.unread.len() && slot.trailers.is_none()
        })
    }

    /// Takes the trailers that came at a message's end.
    pub fn trailers(&mut self, id: StreamId) -> Option<Box<[u8]>> {
        self.slots.get(id)?.trailers.take()
    }

    /// Sends a response's head.
    pub fn send_head(&mut self, id: StreamId, head: &[u8], is_end: bool) -> io::Result<()> {
        self.connection.send_head(id, head, is_end).map_err(unsent)?;
        self.notify();
        Ok(())
    }

    /// Sends as much of `bytes` as there is room for, which may be nothing; somebody has to wait then, by
    /// [`State::wait`].
    pub fn send(&mut self, id: StreamId, bytes: &[u8], is_end: bool) -> io::Result<usize> {
        let (is_alone, round) = (self.slots.slots.len() == 1, self.slots.round);
        let Some(slot) = self.slots.get(id) else { return Err(broken()) };
        if slot.round != round {
            (slot.round, slot.sent) = (round, 0);
        }
        let turn = if is_alone { usize::MAX } else { TURN_BYTES.saturating_sub(slot.sent) };
        let most = bytes.len().min(turn);
        if most == 0 && !bytes.is_empty() {
            return Ok(0);
        }
        let n =
            self.connection.send_data(id, &bytes[..most], is_end && most == bytes.len()).map_err(unsent)?;
        slot.sent += n;
        if n > 0 {
            self.notify();
        }
        Ok(n)
    }

    /// Has a stream's task woken when there is room again: in the output, once that is written, or in a window, which the
    /// protocol says.
    pub fn wait(&mut self, id: StreamId, cx: &Context<'_>) {
        let is_written = self.connection.output().is_empty();
        let Some(slot) = self.slots.get(id) else { return };
        slot.register(cx);
        if is_written || std::mem::replace(&mut slot.is_queued, true) {
            return;
        }
        let (sent, of) = (slot.sent, slot.round);
        if sent > 0 && of == self.slots.round {
            self.slots.served.push(id)
        } else {
            self.slots.starved.push(id)
        }
    }

    /// Ends the message, if nothing has yet, with trailers if there are some.
    pub fn finish(&mut self, id: StreamId, trailers: Option<&[u8]>) {
        // A stream that is over needs no end, and trailers that cannot be sent are none.
        let is_said = trailers.is_some_and(|lines| self.connection.send_trailers(id, lines).is_ok());
        if !is_said {
            let _ = self.connection.send_data(id, &[], true);
        }
        self.notify();
    }

    /// The application is done with a stream: what is not ended is reset.
    pub fn remove(&mut self, id: StreamId) {
        if self.slots.slots.remove(&id).is_some() {
            self.connection.finished(id);
            self.notify();
        }
    }
}

impl Slots {
    /// A stream begins.
    pub fn begin(&mut self, id: StreamId, is_end: bool) {
        self.slots.insert(id, Slot { end: is_end.then_some(End::Complete), ..Slot::default() });
    }

    /// A piece of a stream's body came.
    pub fn receive(&mut self, id: StreamId, bytes: &[u8]) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.unread.extend_from_slice(bytes);
            slot.wake();
        }
    }

    /// A head came, before any body: how much of heads is unread now.
    pub fn receive_head(&mut self, id: StreamId, text: &[u8]) -> usize {
        let Some(slot) = self.slots.get_mut(&id) else { return 0 };
        slot.unread.extend_from_slice(text);
        slot.heads += text.len();
        slot.wake();
        slot.heads
    }

    /// Trailers came, with which a message ends.
    pub fn receive_trailers(&mut self, id: StreamId, lines: &[u8]) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.trailers = (!lines.is_empty()).then(|| lines.into());
            slot.end = Some(End::Complete);
            slot.wake();
        }
    }

    /// As [`Slots::end`], unless the peer has said all: what it does afterwards takes nothing of that away.
    pub fn give_up(&mut self, id: StreamId, end: End) {
        if self.slots.get(&id).is_some_and(|slot| slot.end.is_none()) {
            self.end(id, end);
        }
    }

    /// The same for those that were opened behind `last`.
    pub fn give_up_behind(&mut self, last: StreamId, end: End) {
        for (_, slot) in self.slots.iter_mut().filter(|(id, slot)| **id > last && slot.end.is_none()) {
            slot.end = Some(end);
            slot.wake();
        }
    }

    /// The same for all.
    pub fn give_up_all(&mut self, end: End) {
        for slot in self.slots.values_mut().filter(|slot| slot.end.is_none()) {
            slot.end = Some(end);
            slot.wake();
        }
    }

    /// Nothing more comes on a stream.
    pub fn end(&mut self, id: StreamId, end: End) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.end = Some(end);
            slot.wake();
        }
    }

    /// Nothing more comes on any.
    pub fn break_all(&mut self) {
        for slot in self.slots.values_mut() {
            slot.end = Some(End::Broken);
            slot.wake();
        }
    }

    /// A stream may be able to send.
    pub fn wake(&mut self, id: StreamId) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.wake();
        }
    }

    /// Every stream may be.
    pub fn wake_all(&mut self) {
        self.slots.values_mut().for_each(Slot::wake);
    }

    /// The output is written: who waited for room has it now.
    pub fn written(&mut self) {
        self.round += 1;
        for id in self.starved.drain(..).chain(self.served.drain(..)) {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.is_queued = false;
                slot.wake();
            }
        }
    }

    /// Gives back memory, while there are none.
    pub fn rest(&mut self) {
        self.slots.shrink_to_fit();
        (self.starved, self.served) = Default::default();
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn get(&mut self, id: StreamId) -> Option<&mut Slot> {
        self.slots.get_mut(&id)
    }
}

impl Slot {
    fn register(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// All of `unread` was read.
    fn rest(&mut self) {
        self.read = 0;
        self.unread.clear();
        self.unread.shrink_to(KEPT_BYTES);
    }
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

fn unsent(error: SendError) -> io::Error {
    match error {
        SendError::Closed => broken(),
        SendError::Malformed(what) => io::Error::new(io::ErrorKind::InvalidData, what),
    }
}
