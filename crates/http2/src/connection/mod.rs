//! One connection: what it is made of, and its steps.
//!
//! `frames` cuts the input, `headers`, `data` and `control` take the frames, `send` is what the application sends, and
//! `ends` how streams and the connection end. `fault` is what goes wrong on the way.

mod control;
mod data;
mod ends;
pub(crate) mod fault;
mod frames;
mod headers;
mod send;

use crate::abuse::Budgets;
use crate::error::{ConnectionError, ErrorCode, StreamError};
use crate::event::{Event, Step, StreamId};
use crate::frame::{MAX_31, PREFACE, flag, header, kind, write_number};
use crate::hpack::Decoder;
use crate::limits::Limits;
use crate::message::{Exchange, Rooms};
use crate::output::Output;
use crate::settings::{self, FIRST_WINDOW, PeerSettings};
use crate::streams::{Half, Stream, Streams};
use fault::Fault;
use frames::{Progress, Reading};
use headers::PartialBlock;

/// What a client's requests say as `:scheme`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain TCP.
    Http,
    /// TLS.
    Https,
}

/// One HTTP/2 connection, either role.
///
/// # Who frames what
///
/// * A text says `content-length` if the message did; the sum of the data is checked against it, so the caller passes
///   the data on as it is.
/// * Otherwise, if a body may follow, the text says `transfer-encoding: chunked`. [`Event::Data`] is never chunked: a
///   caller that feeds it to a reader of HTTP/1.1 frames each piece as a chunk, the end as the last chunk, and
///   [`Event::Trailers`] as its trailer section.
/// * A head that ends its message has no framing, or `content-length: 0` where HTTP/1.1 wants one.
/// * What is sent is the other way round: `transfer-encoding` is dropped from heads, and `send_data` wants the body
///   without any framing.
/// * CONNECT, and `upgrade` once 101 was sent or received, make a tunnel of the stream: data as it is.
///
/// # Life of a stream
///
/// A stream counts against [`Limits::streams`] until the caller says [`Connection::finished`], whatever the peer did
/// to it in the meantime; that is the bound on work under way. Calls for streams that are over do nothing.
pub struct Connection {
    is_server: bool,
    /// Client role: what `:scheme` says.
    is_secure: bool,
    limits: Limits,
    peer: PeerSettings,
    /// The peer knows our settings.
    is_acknowledged: bool,
    output: Output,
    reading: Reading,
    /// The beginning of a frame whose end is still to come.
    partial: Vec<u8>,
    block: Option<PartialBlock>,
    decoder: Decoder,
    /// A block was sent; the first one says something about the table.
    has_sent_block: bool,
    rooms: Rooms,
    streams: Streams,
    /// The highest stream that the peer has opened.
    last_peer: u32,
    /// The next stream to open.
    next_own: u32,
    /// What may be sent on all streams together.
    send_window: i64,
    /// What the peer may send on all streams together.
    receive_window: i64,
    /// What was consumed, but not yet given back to the peer.
    credit: u32,
    budgets: Budgets,
    draining: Draining,
    is_peer_leaving: bool,
    /// [`Event::AllWritable`] is due.
    is_writable_due: bool,
    /// The peer owes an answer to a PING of the application.
    is_ping_due: bool,
    is_closed: bool,
}

/// How far this side's shutdown is (RFC 9113 §6.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Draining {
    No,
    /// The peer is told; streams that it opened before it knew are still taken.
    Announced,
    /// New streams are refused.
    Decided,
}

/// The PING that says when the peer knows of the shutdown.
const PROBE: &[u8; 8] = b"shutdown";
/// The PING of the application.
const KEEP_ALIVE: &[u8; 8] = b"are you?";

/// An [`Event`] before its text is borrowed.
enum Happened<'i> {
    Head { stream: StreamId, is_end: bool },
    Interim { stream: StreamId },
    TooLarge { stream: StreamId, is_end: bool },
    Data { stream: StreamId, bytes: &'i [u8], is_end: bool },
    Trailers { stream: StreamId },
    Reset { stream: StreamId, code: ErrorCode },
    Broken { stream: StreamId, error: StreamError },
    Writable { stream: StreamId },
    AllWritable,
    Settings,
    Pong,
    GoAway { last: StreamId, code: ErrorCode },
}

impl Connection {
    /// The server's side of a new connection. Its SETTINGS are in the output; the preface is expected in the input.
    #[must_use]
    pub fn server(limits: Limits, now: u64) -> Self {
        Self::new(limits, true, Scheme::Http, now)
    }

    /// The client's side of a new connection. Preface and SETTINGS are in the output; requests may follow at once.
    #[must_use]
    pub fn client(limits: Limits, scheme: Scheme, now: u64) -> Self {
        Self::new(limits, false, scheme, now)
    }

    fn new(limits: Limits, is_server: bool, scheme: Scheme, now: u64) -> Self {
        let connection_window = limits.connection_window.clamp(FIRST_WINDOW, MAX_31);
        let mut output = Output::default();
        if !is_server {
            output.bytes.extend_from_slice(PREFACE);
        }
        settings::write(&mut output.bytes, &limits, is_server);
        if connection_window > FIRST_WINDOW {
            write_number(&mut output.bytes, kind::WINDOW_UPDATE, 0, connection_window - FIRST_WINDOW);
        }
        Self {
            is_server,
            is_secure: scheme == Scheme::Https,
            limits,
            peer: PeerSettings::FIRST,
            is_acknowledged: false,
            output,
            reading: if is_server { Reading::Preface(0) } else { Reading::Frame },
            partial: Vec::new(),
            block: None,
            decoder: Decoder::new(),
            has_sent_block: false,
            rooms: Rooms::default(),
            streams: Streams::new(limits.streams),
            last_peer: 0,
            next_own: 1,
            send_window: i64::from(FIRST_WINDOW),
            receive_window: i64::from(connection_window),
            credit: 0,
            budgets: Budgets::new(now, limits.streams),
            draining: Draining::No,
            is_peer_leaving: false,
            is_writable_due: false,
            is_ping_due: false,
            is_closed: false,
        }
    }

    /// One step through the input; loop until [`Step::More`].
    ///
    /// Take no step while [`Connection::is_stuck`].
    pub fn step<'a>(&'a mut self, input: &'a [u8], now: u64) -> Step<'a> {
        let mut rest = input;
        let outcome = self.run(&mut rest, now);
        let consumed = input.len() - rest.len();
        match outcome {
            Ok(None) => Step::More { consumed },
            Ok(Some(happened)) => Step::Event { consumed, event: self.event(happened) },
            Err(error) => Step::Failed { consumed, error },
        }
    }

    fn run<'i>(&mut self, rest: &mut &'i [u8], now: u64) -> Result<Option<Happened<'i>>, ConnectionError> {
        loop {
            if self.is_closed {
                *rest = &[];
                return Ok(None);
            }
            if std::mem::take(&mut self.is_writable_due) {
                self.streams.iter_mut().for_each(|stream| stream.is_waiting = false);
                return Ok(Some(Happened::AllWritable));
            }
            let fault = match self.advance(rest, now) {
                Ok(Progress::Again) => continue,
                Ok(Progress::More) => return Ok(None),
                Ok(Progress::Happened(happened)) => return Ok(Some(happened)),
                Err(fault) => fault,
            };
            let error = match fault {
                Fault::Stream(id, error) => match self.break_stream(id, &error, now) {
                    Ok(()) => return Ok(Some(Happened::Broken { stream: StreamId(id), error })),
                    Err(error) => error,
                },
                Fault::Connection(error) => error,
            };
            self.close(error.code);
            return Err(error);
        }
    }

    fn event<'a>(&'a self, happened: Happened<'a>) -> Event<'a> {
        let text = &self.rooms.text[..];
        match happened {
            Happened::Head { stream, is_end } => Event::Head { stream, text, is_end },
            Happened::Interim { stream } => Event::Interim { stream, text },
            Happened::TooLarge { stream, is_end } => Event::TooLarge { stream, is_end },
            Happened::Data { stream, bytes, is_end } => Event::Data { stream, bytes, is_end },
            Happened::Trailers { stream } => Event::Trailers { stream, fields: text },
            Happened::Reset { stream, code } => Event::Reset { stream, code },
            Happened::Broken { stream, error } => Event::Broken { stream, error },
            Happened::Writable { stream } => Event::Writable { stream },
            Happened::AllWritable => Event::AllWritable,
            Happened::Settings => Event::Settings,
            Happened::Pong => Event::Pong,
            Happened::GoAway { last, code } => Event::GoAway { last, code },
        }
    }

    /// What waits to be written to the socket.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Whether more output waits than [`Limits::output_bytes`].
    #[must_use]
    pub fn is_backlogged(&self) -> bool {
        self.output.len() > self.limits.output_bytes
    }

    /// Whether so much waits that nothing more shall be read: a peer that does not read shall not be read from. A server has
    /// to be read from a while longer, or two ends that both send would wait for one another for ever.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        let backlogs = if self.is_server { 1 } else { 2 };
        self.output.len() > backlogs * self.limits.output_bytes
    }

    /// Asks for a sign of life: [`Event::Pong`]. Does nothing while an answer is awaited.
    pub fn ping(&mut self) {
        if !self.is_closed && !std::mem::replace(&mut self.is_ping_due, true) {
            self.output.bytes.extend_from_slice(&header(8, kind::PING, flag::NONE, 0));
            self.output.bytes.extend_from_slice(KEEP_ALIVE);
        }
    }

    /// Streams that the application has not finished.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Client role: how many requests can be sent now. Until the server's settings are known, it is taken to allow 100.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.is_server || self.is_draining() || self.is_closed {
            return 0;
        }
        let identifiers = (MAX_31 + 2).saturating_sub(self.next_own) as usize / 2;
        let granted = self.peer.streams.min(self.limits.streams) as usize;
        granted.saturating_sub(self.streams.len()).min(identifiers)
    }

    /// Client role: whether no request can be sent any more, because identifiers are used up (RFC 9113 §5.1.1).
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        !self.is_server && self.next_own > MAX_31
    }

    /// Client role: whether the server takes WebSocket and other protocols (RFC 8441); known from [`Event::Settings`] on.
    #[must_use]
    pub fn takes_upgrades(&self) -> bool {
        self.peer.extended_connect
    }

    /// Whether the peer's first SETTINGS have come, with which every connection of HTTP/2 begins (RFC 9113 §3.4).
    #[must_use]
    pub fn has_settings(&self) -> bool {
        self.peer.are_known
    }

    /// Whether a side has begun to shut down: no new streams, the others may finish.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining != Draining::No || self.is_peer_leaving
    }

    /// Whether the beginning of something was received that means nothing without its end: the preface, a frame or a
    /// header block.
    #[must_use]
    pub fn is_midway(&self) -> bool {
        let is_begun = matches!(self.reading, Reading::Preface(1..));
        is_begun || !self.partial.is_empty() || self.block.is_some()
    }

    /// Whether it has failed or was closed: write the output and close.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Gives back memory that an idle connection does not need.
    pub fn rest(&mut self) {
        self.output.rest();
        self.streams.rest();
        self.decoder.rest();
        self.rooms = Rooms::default();
        if self.partial.is_empty() {
            self.partial = Vec::new();
        }
    }

    /// Whether a new stream of the peer is one too many.
    fn refuses_streams(&self) -> bool {
        self.draining == Draining::Decided || self.streams.len() >= self.limits.streams as usize
    }

    /// Whether a stream was never opened (RFC 9113 §5.1.1); stream 0 never is.
    fn is_idle(&self, id: u32) -> bool {
        let is_opened = if self.is_server { id <= self.last_peer } else { id < self.next_own };
        !is_opened || id.is_multiple_of(2)
    }

    fn new_stream(&self, id: u32, exchange: Exchange, remote: Half, local: Half) -> Stream {
        let window = self.limits.stream_window.min(MAX_31);
        // Until our settings are acknowledged, the peer may rely on the first window.
        let window = if self.is_acknowledged { window } else { window.max(FIRST_WINDOW) };
        Stream {
            id,
            remote,
            local,
            over: None,
            exchange,
            receive_window: i64::from(window),
            unread: 0,
            credit: 0,
            send_window: i64::from(self.peer.window),
            is_waiting: false,
            content_left: None,
            held: 0,
        }
    }
}

#[cfg(test)]
mod tests;
