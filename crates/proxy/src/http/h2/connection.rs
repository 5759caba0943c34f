//! The connection's task: moves bytes between the socket and the protocol's state, gives each request a task of its
//! own, and sees to it that the connection ends.

use super::VERSION;
use super::mux::{End as StreamEnd, Mux};
use super::stream::H2Stream;
use crate::arrival::tell;
use crate::http::client::Client;
use crate::http::connection::{End, finish};
use crate::http::handle::{Next, refuse_unread};
use crate::io;
use crate::pump::Pace;
use crate::worker::buffers::{Buffer, Text};
use evenly_core::error::Failure;
use evenly_core::listener::Listener;
use evenly_http2::{Connection, ErrorCode, Event, Limits, Reason, Step, StreamId};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Reads of one turn, after which the worker's other connections come first.
const TURN_READS: u32 = 4;

/// What of a request's body may wait to be passed on: enough for 5 Mbit/s over 100 ms, and more needs no memory here.
const STREAM_WINDOW: u32 = 64 << 10;

/// The same for all requests of a connection together.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Output from which on nothing is added to it but what the peer has to be told.
const OUTPUT_BYTES: usize = 64 << 10;

/// What fields may take in memory beyond ten times what was sent for them, for each stream: calls of gRPC that repeat
/// one another are sent in 20 bytes each, and take 400.
const HELD_HEAD_BYTES: u32 = 2 << 10;

/// The same for a connection with few streams.
const LEAST_HELD_HEAD_BYTES: u32 = 256 << 10;

/// How long requests are still taken that a client sent before it knew that the connection ends, if it does not say
/// when it knew.
const LEAVE: Duration = Duration::from_secs(1);

/// How long it keeps the memory that it had for streams when there are none: the next one may come at once.
pub const AWAKE: Duration = Duration::from_secs(1);

/// Never, as a tick.
const NEVER: u64 = u64::MAX;

/// Serves a client by HTTP/2, from its first bytes (`input`, if some are there) to its last.
pub async fn serve(mut client: Box<Client>, input: Option<Buffer>) {
    let now = millis(&client);
    let connection = Connection::server(limits(&client.listener), now);
    let facts = client.stream.facts().map(Rc::clone);
    let mux = Mux::new(connection, client.permit.take(), client.stream.local_addr(), facts);
    client.worker.stats.borrow_mut().h2_opened(client.listener.id.0);
    let idle = client.deadline.at(client.listener.timeouts.idle);
    let mut task = Task {
        client,
        mux,
        begun: Vec::new(),
        idle,
        rest: NEVER,
        midway: NEVER,
        pace: None,
        written: 0,
        leave: NEVER,
        is_abuse: false,
    };
    if let Some(input) = input {
        task.take(&input);
    }
    let end = poll_fn(|cx| task.poll(cx)).await;
    task.mux.end();
    // The permit, which is the streams' as well, is held until here.
    finish(task.client, end).await;
}

/// What a connection may cost, as its listener has it.
fn limits(listener: &Listener) -> Limits {
    Limits {
        streams: listener.limits.streams,
        stream_window: STREAM_WINDOW,
        connection_window: CONNECTION_WINDOW,
        head_bytes: listener.limits.head_bytes,
        fields: u32::from(listener.limits.headers),
        held_head_bytes: LEAST_HELD_HEAD_BYTES.max(listener.limits.streams.saturating_mul(HELD_HEAD_BYTES)),
        output_bytes: OUTPUT_BYTES,
        extended_connect: true,
    }
}

struct Task {
    client: Box<Client>,
    mux: Rc<Mux>,
    /// Requests of the input at hand, whose tasks begin behind it: what is taken back within it costs none.
    begun: Vec<(StreamId, Option<Text>)>,
    /// When it ends for want of requests, as a tick like those below; never as long as there is one.
    idle: u64,
    /// When it gives back memory; never once it has.
    rest: u64,
    /// When the frame has to be there whose beginning is.
    midway: u64,
    /// How long the client may take nothing, or too little, of what waits for it; and how much it took since it waits.
    pace: Option<Pace>,
    written: u64,
    /// When requests are refused, after the client was told that the connection ends.
    leave: u64,
    /// The client has worn out its welcome: nothing more of it is read.
    is_abuse: bool,
}

impl Task {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.mux.state().register(cx);
        self.leave();
        let mut reads = 0;
        loop {
            let written = self.poll_write(cx);
            match written {
                Poll::Ready(Err(Lost::Late)) => return Poll::Ready(End::Abort),
                Poll::Ready(Err(Lost::Broken)) => return Poll::Ready(End::Close),
                _ => {}
            }
            if self.is_over() {
                let end = if self.is_abuse { End::Abort } else { End::Linger };
                return if written.is_ready() { Poll::Ready(end) } else { self.pause() };
            }
            if self.mux.state().connection.is_stuck() {
                return self.pause();
            }
            if reads == TURN_READS {
                cx.waker().wake_by_ref();
                return self.pause();
            }
            match io::poll_read(&mut self.client.stream, cx, &self.client.worker.buffers) {
                Poll::Ready(Ok(input)) if !input.is_empty() => self.take(&input),
                Poll::Ready(_) => return Poll::Ready(End::Close),
                Poll::Pending if self.is_late() => {}
                Poll::Pending => return self.pause(),
            }
            reads += 1;
        }
    }

    /// Gives the socket what waits for it.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        loop {
            let mut state = self.mux.state();
            let output = state.connection.output();
            if output.is_empty() {
                (self.pace, self.written) = (None, 0);
                state.slots.written();
                return Poll::Ready(Ok(()));
            }
            match io::poll_write(&mut self.client.stream, cx, output.pending()) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    output.advance(n);
                    self.written += n as u64;
                }
                Poll::Ready(_) => return Poll::Ready(Err(Lost::Broken)),
                Poll::Pending => {
                    let pace = self.pace.get_or_insert_with(|| self.client.pace_of_sending());
                    let is_late = pace.is_late(&self.client.deadline, false, self.written);
                    return if is_late { Poll::Ready(Err(Lost::Late)) } else { Poll::Pending };
                }
            }
            if let Some(pace) = &mut self.pace {
                pace.moved(&self.client.deadline);
            }
        }
    }

    /// Takes what came, and begins the requests in it.
    fn take(&mut self, input: &[u8]) {
        self.step(input);
        let mut begun = std::mem::take(&mut self.begun);
        for (stream, head) in begun.drain(..) {
            self.begin(stream, head);
        }
        self.begun = begun;
    }

    /// Takes the protocol through what came.
    fn step(&mut self, input: &[u8]) {
        let now = millis(&self.client);
        let mut rest = input;
        loop {
            let mut guard = self.mux.state();
            let state = &mut *guard;
            let event = match state.connection.step(rest, now) {
                Step::More { .. } => break,
                Step::Failed { error, .. } => {
                    drop(guard);
                    return self.failed(error.reason);
                }
                Step::Event { consumed, event } => {
                    rest = &rest[consumed..];
                    self.midway = NEVER;
                    event
                }
            };
            let slots = &mut state.slots;
            match event {
                Event::Head { stream, text, is_end } => {
                    let mut head = self.client.worker.buffers.text();
                    head.extend_from_slice(text);
                    slots.begin(stream, is_end);
                    self.begun.push((stream, Some(head)));
                }
                Event::TooLarge { stream, is_end } => {
                    slots.begin(stream, is_end);
                    self.begun.push((stream, None));
                }
                Event::Data { stream, bytes, is_end } => {
                    slots.receive(stream, bytes);
                    if is_end {
                        slots.end(stream, StreamEnd::Complete);
                    }
                }
                Event::Trailers { stream, fields } => slots.receive_trailers(stream, fields),
                Event::Reset { stream, .. } => slots.end(stream, StreamEnd::Broken),
                Event::Broken { stream, error } => {
                    slots.end(stream, StreamEnd::Broken);
                    drop(guard);
                    self.note(error.reason, false);
                }
                Event::Writable { stream } => slots.wake(stream),
                Event::AllWritable => slots.wake_all(),
                // It goes by itself when it has its responses.
                Event::GoAway { .. } | Event::Interim { .. } | Event::Settings | Event::Pong => {}
            }
        }
    }

    /// Gives a request its task. Without a head it is one that is too large.
    fn begin(&self, id: StreamId, head: Option<Text>) {
        let mut state = self.mux.state();
        if state.end_of(id) == Some(StreamEnd::Broken) {
            return state.remove(id);
        }
        drop(state);
        let text = head.as_ref().map_or(&[][..], |head| head);
        let stream = H2Stream::new(Rc::clone(&self.mux), id, text);
        let client = Box::new(self.client.of_stream(stream));
        tokio::task::spawn_local(request(client, head));
    }

    /// The client broke the rules, or wears the worker out.
    fn failed(&mut self, reason: Reason) {
        self.mux.state().slots.break_all();
        self.is_abuse = reason.is_abuse();
        self.note(reason, true);
    }

    fn note(&self, reason: Reason, is_connection: bool) {
        let (worker, listener) = (&self.client.worker, &self.client.listener);
        worker.stats.borrow_mut().h2_failed(listener.id.0, reason, is_connection);
        if reason == Reason::Refused {
            // It did nothing wrong: it cannot know the limit before it is told.
            return;
        }
        let failure = if reason.is_abuse() { Failure::Http2Abuse } else { Failure::Http2Bad };
        tell(worker, listener, (self.client.peer, VERSION), failure);
    }

    /// Tells the client that the connection ends, if it is to.
    fn leave(&mut self) {
        if !self.client.is_leaving() {
            return;
        }
        let deadline = &self.client.deadline;
        if self.leave == NEVER {
            self.leave = deadline.at(LEAVE);
            self.mux.state().connection.shutdown();
        } else if deadline.is_past(self.leave) {
            self.mux.state().connection.shutdown();
        }
    }

    /// Whether all is said that will be.
    fn is_over(&self) -> bool {
        let state = self.mux.state();
        let has_left = self.client.deadline.is_past(self.leave) && state.slots.is_empty();
        has_left || state.connection.is_closed()
    }

    /// Ends a connection that had its time; whether it did.
    fn is_late(&mut self) -> bool {
        let (deadline, mut state) = (&self.client.deadline, self.mux.state());
        let is_midway = state.connection.is_midway();
        (self.idle, self.rest) = match state.slots.is_empty() {
            false => (NEVER, NEVER),
            true if self.idle == NEVER => {
                (deadline.at(self.client.listener.timeouts.idle), deadline.at(AWAKE))
            }
            true => (self.idle, self.rest),
        };
        if deadline.is_past(self.rest) {
            state.rest();
            (self.rest, self.begun) = (NEVER, Vec::new());
        }
        self.midway = match is_midway {
            false => NEVER,
            true if self.midway == NEVER => deadline.at(self.client.listener.timeouts.header),
            true => self.midway,
        };
        let due = self.idle.min(self.midway);
        if !deadline.is_past(due) {
            return false;
        }
        if is_midway {
            self.client.worker.stats.borrow_mut().slow_client(self.client.listener.id.0);
        }
        state.connection.close(ErrorCode::NO_ERROR);
        state.slots.break_all();
        true
    }

    /// Waits, until something is due at the latest.
    fn pause(&self) -> Poll<End> {
        let deadline = &self.client.deadline;
        // Once that is over, the last stream's end is waited for.
        let leave = if deadline.is_past(self.leave) { NEVER } else { self.leave };
        let send = self.pace.as_ref().map_or(NEVER, Pace::due);
        deadline.set_at(self.idle.min(self.rest).min(self.midway).min(send).min(leave));
        Poll::Pending
    }
}

/// Why nothing more can be written.
enum Lost {
    Broken,
    /// The client takes nothing, or too little.
    Late,
}

/// Takes one request through its steps.
pub async fn request(mut client: Box<Client>, head: Option<Text>) {
    let has_gone = poll_fn(|cx| {
        client.deadline.register(cx);
        Poll::Ready(client.poll_gone(cx).is_ready())
    })
    .await;
    if has_gone {
        // Given up before it began: no endpoint shall hear of it.
        return;
    }
    // Lent only now: a hundred requests that begin at once need no buffer each.
    let input = head.and_then(|head| {
        let mut input = client.worker.buffers.lend();
        (input.fill(&head) == head.len()).then_some(input)
    });
    let next = match input {
        Some(input) => {
            let worker = Rc::clone(&client.worker);
            let (same, next) = worker.handlers.handle(client, input).await;
            client = same;
            match next {
                // Boxed, as with a connection of its own.
                Next::Tunnel(tunnel) => Box::pin(tunnel.relay(&mut client)).await,
                next => next,
            }
        }
        None => Box::pin(refuse_unread(&mut client, Failure::HeadTooLarge)).await,
    };
    // Whatever is not complete is reset when the stream is dropped.
    if matches!(next, Next::Request | Next::Close | Next::Linger) {
        client.stream.finish();
    }
}

fn millis(client: &Client) -> u64 {
    client.worker.now() / 1_000_000
}
