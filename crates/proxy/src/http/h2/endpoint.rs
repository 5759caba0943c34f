//! The task of a connection to an endpoint: makes it, moves bytes between its socket and the protocol's state, finds out
//! whether a silent endpoint still lives, and ends it.

use super::connection::AWAKE;
use super::mux::{End, Mux};
use super::shared::{Phase, Set, Shared};
use crate::io;
use crate::stream::Stream;
use crate::tls::{EITHER, HTTP_2, Target};
use crate::upstream::{Upstream, dial_shared};
use crate::worker::Worker;
use crate::worker::deadlines::Deadline;
use evenly_core::document::Http2;
use evenly_core::error::Failure;
use evenly_core::pool::{Endpoint, Pool};
use evenly_http2::{Connection, ErrorCode, Event, Limits, Scheme, Step};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Reads of one turn, after which the worker's other connections come first.
const TURN_READS: u32 = 4;

/// What of a response's body may wait for a client that is slow.
const STREAM_WINDOW: u32 = 64 << 10;

/// Output from which on nothing is added to it but what the endpoint has to be told.
const OUTPUT_BYTES: usize = 64 << 10;

/// A response's head, as large as HTTP/1.1 may bring it.
const HEAD_BYTES: u32 = 64 << 10;

/// As many as `evenly_http1` reads.
const HEAD_FIELDS: u32 = 128;

/// What heads may take in memory beyond ten times what was sent for them.
const HELD_HEAD_BYTES: u32 = 1 << 20;

/// Heads of a stream that nobody has read yet, interim ones among them: no window bounds these.
const UNREAD_HEAD_BYTES: usize = 256 << 10;

/// How long an endpoint has to answer PING; then its connection counts as lost.
const PONG: Duration = Duration::from_secs(10);

/// Never, as a tick.
const NEVER: u64 = u64::MAX;

/// Begins a connection to `endpoint`, which may be `made` already.
pub(super) fn begin(
    worker: &Rc<Worker>,
    (pool, http2, endpoint): (&Arc<Pool>, &Http2, &Endpoint),
    (target, made): (Option<Arc<Target>>, Option<Stream>),
    set: Rc<Set>,
) -> Rc<Shared> {
    let now = worker.now() / 1_000_000;
    let scheme = if target.is_some() { Scheme::Https } else { Scheme::Http };
    let connection = Connection::client(limits(http2.max_streams), scheme, now);
    let shared = Rc::new(Shared::new(Mux::new(connection, None, None, None), target, set));
    let member = pool.member(endpoint.address()).map(|member| Arc::clone(&member.endpoint));
    let task = run(Rc::clone(worker), Arc::clone(pool), (member, made), Rc::clone(&shared));
    tokio::task::spawn_local(task);
    shared
}

/// What a connection may cost. Its window is that of all its streams: a slow client's must not hold up the others'.
fn limits(streams: u32) -> Limits {
    Limits {
        streams,
        stream_window: STREAM_WINDOW,
        connection_window: streams.saturating_mul(STREAM_WINDOW),
        head_bytes: HEAD_BYTES,
        fields: HEAD_FIELDS,
        held_head_bytes: HELD_HEAD_BYTES,
        output_bytes: OUTPUT_BYTES,
        extended_connect: true,
    }
}

/// Makes the connection and serves its streams to the last.
async fn run(
    worker: Rc<Worker>,
    pool: Arc<Pool>,
    (endpoint, made): (Option<Arc<Endpoint>>, Option<Stream>),
    shared: Rc<Shared>,
) {
    let deadline = worker.deadlines.slot();
    let due = deadline.at(Duration::from_millis(pool.timeouts.connect_ms));
    let (Some(endpoint), Some(http2)) = (endpoint, &pool.http2) else { return shared.enter(Phase::Failed) };
    let stream = match made {
        Some(made) => Some(made),
        None => connect(&worker, (http2, &endpoint), &shared, (&deadline, due)).await,
    };
    let Some(stream) = stream else { return shared.enter(Phase::Failed) };
    let chosen = match http2.negotiated {
        true => shared.chosen(stream, |stream| keep(&worker, (&pool, &endpoint), stream, shared.target())),
        false => Some(stream),
    };
    let Some(stream) = chosen else { return };
    let idle = match pool.keepalive.max_idle {
        0 => Duration::ZERO,
        _ => Duration::from_millis(pool.keepalive.idle_timeout_ms),
    };
    let mut task = Task {
        silence: Silence {
            after: Duration::from_millis(http2.ping_after_ms),
            due: NEVER,
            is_asked: false,
            spared: 0,
        },
        greeting: due,
        idle_for: idle,
        idle: NEVER,
        rest: NEVER,
        worker,
        endpoint,
        shared,
        stream,
        deadline,
        end: End::Lost,
    };
    // What the pool says is copied: a connection outlives the snapshot that it was made under.
    drop(pool);
    task.end = poll_fn(|cx| task.poll(cx)).await;
}

/// A connection of HTTP/1.1 that nobody waits for any more.
fn keep(worker: &Worker, (pool, endpoint): (&Pool, &Endpoint), stream: Stream, target: Option<Arc<Target>>) {
    worker.stats.borrow_mut().upstream_opened(endpoint.id().0);
    let (endpoint, address) = (endpoint.id(), endpoint.address());
    let upstream = Upstream { stream, endpoint, address, reused: false, owner: None, target };
    worker.idle.keep(upstream, pool, worker.now());
}

async fn connect(
    worker: &Rc<Worker>,
    (http2, endpoint): (&Http2, &Endpoint),
    shared: &Shared,
    (deadline, due): (&Deadline, u64),
) -> Option<Stream> {
    let alpn = if http2.negotiated { EITHER } else { HTTP_2 };
    let mut dialling = pin!(dial_shared(worker, endpoint, (shared.target(), alpn)));
    poll_fn(|cx| {
        deadline.register(cx);
        if let Poll::Ready(dialled) = dialling.as_mut().poll(cx) {
            return Poll::Ready(dialled.map_err(|failure| shared.failure.set(failure)).ok());
        }
        deadline.set_at(due);
        if deadline.is_past(due) {
            shared.failure.set(Failure::ConnectTimeout);
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}

struct Task {
    worker: Rc<Worker>,
    endpoint: Arc<Endpoint>,
    shared: Rc<Shared>,
    stream: Stream,
    deadline: Deadline,
    /// When the endpoint's SETTINGS have to be there, as a tick like those below.
    greeting: u64,
    /// How long it may be without streams, and until when it may.
    idle_for: Duration,
    idle: u64,
    /// When it gives back memory; never once it has.
    rest: u64,
    silence: Silence,
    /// What its streams are told at its end.
    end: End,
}

/// How long nothing came that is awaited.
struct Silence {
    after: Duration,
    /// When the endpoint is asked for a sign of life, or has to have given one.
    due: u64,
    is_asked: bool,
    /// Until when it is not asked again because of a stream that was given up: servers of gRPC count more than two such
    /// questions in five minutes as abuse.
    spared: u64,
}

impl Task {
    /// Ready when it is over, with what its streams are told.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.shared.mux.state().register(cx);
        let mut reads = 0;
        loop {
            if self.poll_write(cx) == Poll::Ready(false) {
                return Poll::Ready(End::Lost);
            }
            if self.shared.mux.state().connection.is_closed() {
                return Poll::Ready(End::Lost);
            }
            if self.shared.mux.state().connection.is_stuck() {
                return if self.is_late() { Poll::Ready(End::Lost) } else { self.pause() };
            }
            if reads == TURN_READS {
                cx.waker().wake_by_ref();
                return self.pause();
            }
            match io::poll_read(&mut self.stream, cx, &self.worker.buffers) {
                Poll::Ready(Ok(input)) if !input.is_empty() => {
                    self.shared.heard.set(true);
                    if !self.take(&input) {
                        return Poll::Ready(End::Malformed);
                    }
                }
                Poll::Ready(_) => return Poll::Ready(End::Lost),
                Poll::Pending if self.is_late() => return Poll::Ready(End::Lost),
                Poll::Pending => return self.pause(),
            }
            reads += 1;
        }
    }

    /// Gives the socket what waits for it; false when it is broken.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            let mut state = self.shared.mux.state();
            let output = state.connection.output();
            if output.is_empty() {
                state.slots.written();
                drop(state);
                self.shared.written();
                return Poll::Ready(true);
            }
            match io::poll_write(&mut self.stream, cx, output.pending()) {
                Poll::Ready(Ok(n)) if n > 0 => output.advance(n),
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Takes the protocol through what came; false when that breaks its rules.
    fn take(&mut self, input: &[u8]) -> bool {
        let now = self.worker.now() / 1_000_000;
        let mut rest = input;
        loop {
            let mut guard = self.shared.mux.state();
            let state = &mut *guard;
            let event = match state.connection.step(rest, now) {
                Step::More { .. } => return true,
                Step::Failed { .. } => return false,
                Step::Event { consumed, event } => {
                    rest = &rest[consumed..];
                    event
                }
            };
            let slots = &mut state.slots;
            match event {
                Event::Head { stream, text, is_end } => {
                    slots.receive_head(stream, text);
                    if is_end {
                        slots.end(stream, End::Complete);
                    }
                }
                Event::Interim { stream, text } => {
                    if slots.receive_head(stream, text) > UNREAD_HEAD_BYTES {
                        slots.give_up(stream, End::Malformed);
                        state.connection.reset(stream, ErrorCode::ENHANCE_YOUR_CALM);
                    }
                }
                Event::Data { stream, bytes, is_end } => {
                    slots.receive(stream, bytes);
                    if is_end {
                        slots.end(stream, End::Complete);
                    }
                }
                Event::Trailers { stream, fields } => slots.receive_trailers(stream, fields),
                Event::Reset { stream, code: ErrorCode::REFUSED_STREAM } => {
                    slots.give_up(stream, End::Unprocessed);
                }
                Event::Reset { stream, .. } => slots.give_up(stream, End::Broken),
                Event::Broken { stream, .. } => slots.give_up(stream, End::Malformed),
                Event::Writable { stream } => slots.wake(stream),
                Event::AllWritable => slots.wake_all(),
                Event::GoAway { last, .. } => {
                    slots.give_up_behind(last, End::Unprocessed);
                    drop(guard);
                    self.leave();
                }
                Event::Settings => {
                    drop(guard);
                    self.open();
                }
                Event::Pong | Event::TooLarge { .. } => {}
            }
        }
    }

    /// The endpoint's settings are known, or have changed: there may be room.
    fn open(&mut self) {
        self.greeting = NEVER;
        match self.shared.phase() {
            Phase::Opening => {
                self.worker.stats.borrow_mut().upstream_shared(self.endpoint.id().0);
                self.shared.enter(Phase::Open);
            }
            phase => self.shared.enter(phase),
        }
    }

    /// No more streams.
    fn leave(&self) {
        self.shared.enter(match self.shared.phase() {
            Phase::Opening | Phase::Failed | Phase::Own => Phase::Failed,
            Phase::Open | Phase::Leaving => Phase::Leaving,
        });
    }

    /// Whether it has come to its end: it had its time, or nobody needs it any more. Asks a silent endpoint for a sign of
    /// life.
    fn is_late(&mut self) -> bool {
        if self.deadline.is_past(self.greeting) {
            return true;
        }
        if self.shared.is_unused() {
            if self.idle == NEVER {
                self.idle = self.deadline.at(self.idle_for);
                self.rest = self.deadline.at(AWAKE);
            }
            if self.deadline.is_past(self.rest) {
                self.shared.mux.state().rest();
                self.rest = NEVER;
            }
            if self.shared.heard.take() {
                self.silence.is_asked = false;
            }
            if !self.silence.is_asked {
                self.silence.due = NEVER;
            } else if self.deadline.is_past(self.silence.due) {
                // What was asked while it had streams is still to be answered: the next ones shall not find it dead.
                return true;
            }
            let is_over = self.shared.phase() == Phase::Leaving || self.deadline.is_past(self.idle);
            return is_over && self.greeting == NEVER;
        }
        (self.idle, self.rest) = (NEVER, NEVER);
        let silence = &mut self.silence;
        if self.shared.heard.take() {
            (silence.due, silence.is_asked) = (NEVER, false);
            self.shared.is_suspect.set(false);
        }
        if silence.due == NEVER {
            silence.due = self.deadline.at(silence.after);
        }
        let is_due = self.deadline.is_past(silence.due);
        if silence.is_asked {
            return is_due;
        }
        let is_suspect = self.shared.is_suspect.take() && self.deadline.is_past(silence.spared);
        if is_due || is_suspect {
            (silence.due, silence.is_asked) = (self.deadline.at(PONG), true);
            silence.spared = self.deadline.at(silence.after);
            self.shared.mux.state().connection.ping();
            self.shared.mux.state().notify();
        }
        false
    }

    /// Waits, until something is due at the latest.
    fn pause(&self) -> Poll<End> {
        self.deadline.set_at(self.greeting.min(self.idle).min(self.rest).min(self.silence.due));
        Poll::Pending
    }
}

impl Drop for Task {
    /// Tells the endpoint, where it still listens, and the streams; also where a worker ends with the connection.
    fn drop(&mut self) {
        let mut state = self.shared.mux.state();
        let code = if self.end == End::Malformed { ErrorCode::PROTOCOL_ERROR } else { ErrorCode::NO_ERROR };
        // After a breach of the rules the protocol has said which one.
        state.connection.close(code);
        let last = state.connection.output().pending();
        // Best effort: where it does not fit, the endpoint only sees the connection's end.
        match &mut self.stream {
            Stream::Plain(socket) => drop(socket.try_write(last)),
            Stream::TlsOut(session) => session.leave(last),
            // None of them leads to an endpoint and is shared.
            Stream::Tls(_) | Stream::H2(_) | Stream::H3(_) => {}
        }
        // Where several share it, all but one have only lost it.
        let is_shared = state.connection.streams() > 1;
        state.slots.give_up_all(if is_shared { End::Lost } else { self.end });
        drop(state);
        self.leave();
    }
}
