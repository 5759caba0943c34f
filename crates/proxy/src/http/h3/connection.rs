//! The connection's task: takes its handshake, its streams and its deadlines through what happens, gives each request a
//! task of its own, and sees to it that the connection ends.

mod control;
mod handshake;
mod whereabouts;

use super::VERSION;
use super::mux::{Begun, Mux};
use super::stream::H3Stream;
use crate::arrival::{Origin, tell};
use crate::http::client::Client;
use crate::http::h2::request;
use crate::permits::Permit;
use crate::quic::{self, Link, SEND_WINDOW};
use crate::stream::Stream;
use crate::tls::Facts;
use crate::worker::deadlines::Deadline;
use crate::worker::{Open, Worker};
use bytes::Bytes;
use evenly_core::error::Failure;
use evenly_core::listener::Listener;
use evenly_http3::{Code, Connection, Error, Limits, Scope, Uni, write_greeting};
use quinn_proto::{ConnectionError, Dir, Event, StreamEvent, StreamId, VarInt};
use rustc_hash::FxHashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use whereabouts::Whereabouts;

/// What fields may take in memory beyond ten times what was sent for them, and heads of which a part is missing.
const HELD_HEAD_BYTES: u32 = 256 << 10;

/// Never, as a tick.
const NEVER: u64 = u64::MAX;

/// Serves a client by HTTP/3, from its first packet to its last.
pub async fn serve(
    worker: Rc<Worker>,
    link: Rc<Link>,
    origin: Origin,
    listener: Arc<Listener>,
    permit: Permit,
) {
    let deadline = worker.deadlines.slot();
    let handshake = listener.tls.as_ref().map_or(NEVER, |tls| deadline.at(tls.handshake));
    let mut task = Task {
        worker,
        link,
        whereabouts: Whereabouts::new(origin.peer),
        bind: origin.bind,
        listener,
        deadline,
        handshake,
        permit: Some(permit),
        agreed: None,
        is_over: false,
    };
    poll_fn(|cx| {
        task.deadline.register(cx);
        Poll::Ready(())
    })
    .await;
    poll_fn(|cx| task.poll(cx)).await;
}

struct Task {
    worker: Rc<Worker>,
    link: Rc<Link>,
    whereabouts: Whereabouts,
    bind: SocketAddr,
    listener: Arc<Listener>,
    deadline: Deadline,
    /// When the handshake has to be over, as a tick like those below.
    handshake: u64,
    /// The connection's, until it is agreed on.
    permit: Option<Permit>,
    /// Once the handshake is over, or early data has come.
    agreed: Option<Agreed>,
    /// Nothing more is said but that it is over.
    is_over: bool,
}

/// What there is of a connection once that can have requests.
struct Agreed {
    mux: Rc<Mux>,
    /// The client's unidirectional streams.
    unis: FxHashMap<StreamId, Uni>,
    /// Our control stream, and what has to be said on it.
    control: StreamId,
    saying: Vec<u8>,
    /// When it ends for want of requests; never as long as there is one.
    idle: u64,
    /// When it is given up because the client confirms nothing of what it was sent, and how many responses that are.
    lost: u64,
    unconfirmed: usize,
    /// When the client is asked whether it is still there, while it waits for a response.
    ping: u64,
    /// When requests are refused, after the client was told that the connection ends.
    leave: u64,
    /// The client was told which requests are its last.
    is_decided: bool,
    /// The stream after the last one that was opened.
    next: u64,
    _open: Open,
}

impl Task {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.link.register(cx);
        self.link.expire(cx);
        self.track();
        self.events();
        self.follow();
        self.deadlines();
        let has_more = self.link.flush();
        if self.link.connection().is_drained() {
            self.lose();
            return Poll::Ready(());
        }
        if has_more {
            cx.waker().wake_by_ref();
        }
        self.link.arm(cx);
        self.pause();
        Poll::Pending
    }

    fn events(&mut self) {
        loop {
            // Not in the condition: the connection must be free for what follows.
            let event = self.link.connection().poll();
            match event {
                None => return,
                Some(Event::Connected) => self.connected(),
                Some(Event::ConnectionLost { reason }) => self.lost(&reason),
                Some(Event::Stream(event)) if !self.is_over => {
                    if self.agreed.is_none() {
                        // It has come in early data.
                        self.agree();
                    }
                    self.stream(event);
                }
                Some(_) => {}
            }
        }
    }

    /// Enough is agreed on for requests.
    fn agree(&mut self) {
        let facts = self.link.connection().crypto_session().handshake_data();
        let mut facts = facts.and_then(|facts| facts.downcast::<Facts>().ok()).unwrap_or_default();
        match self.certificate() {
            Ok(certificate) => facts.client.certificate = certificate,
            Err(failure) => return self.refuse(failure),
        }
        let Some(permit) = self.permit.take() else { return };
        let listener = self.listener.id.0;
        let mut stats = self.worker.stats.borrow_mut();
        stats.tls_agreed(listener, facts.version, facts.is_resumed);
        stats.h3_opened(listener);
        drop(stats);
        let limits = limits(&self.listener);
        let control = self.link.connection().streams().open(Dir::Uni);
        let Some(control) = control else {
            return self.close(Code::GENERAL_PROTOCOL_ERROR, "a client must grant three streams");
        };
        let mut saying = Vec::new();
        write_greeting(&mut saying, &limits);
        let connection = Connection::new(limits, self.link.now());
        self.agreed = Some(Agreed {
            mux: Mux::new(connection, Rc::clone(&self.link), permit, Rc::new(*facts)),
            unis: FxHashMap::default(),
            control,
            saying,
            idle: NEVER,
            lost: NEVER,
            unconfirmed: 0,
            ping: NEVER,
            leave: NEVER,
            is_decided: false,
            next: 0,
            _open: self.worker.open(self.listener.id),
        });
        self.say();
    }

    fn stream(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Opened { dir: Dir::Bi } => {
                while let Some(id) = self.accept(Dir::Bi) {
                    self.open(id);
                }
            }
            StreamEvent::Opened { dir: Dir::Uni } => {
                while let Some(id) = self.accept(Dir::Uni) {
                    if let Some(agreed) = &mut self.agreed {
                        agreed.unis.insert(id, Uni::new());
                    }
                    self.read_uni(id);
                }
            }
            StreamEvent::Readable { id } if id.dir() == Dir::Uni => self.read_uni(id),
            StreamEvent::Readable { id } => self.read(id),
            StreamEvent::Writable { id } => match &self.agreed {
                Some(agreed) if agreed.control == id => self.say(),
                Some(agreed) => agreed.mux.writable(id),
                None => {}
            },
            StreamEvent::Stopped { id, .. } => match &self.agreed {
                Some(agreed) if agreed.control == id => {
                    self.close(Code::CLOSED_CRITICAL_STREAM, "the control stream is needed");
                }
                Some(agreed) => {
                    agreed.mux.stopped(id);
                    agreed.mux.confirmed(id);
                }
                None => {}
            },
            StreamEvent::Finished { id } => {
                if let Some(agreed) = &self.agreed {
                    agreed.mux.confirmed(id);
                }
            }
            StreamEvent::Available { .. } => {}
        }
        self.faults();
    }

    fn accept(&self, dir: Dir) -> Option<StreamId> {
        self.link.connection().streams().accept(dir)
    }

    /// The client has opened a stream for a request.
    fn open(&mut self, id: StreamId) {
        let Some(agreed) = &mut self.agreed else { return };
        agreed.next = u64::from(VarInt::from(id)).saturating_add(4);
        if agreed.is_decided {
            return agreed.mux.cancel(id, false, Code::REQUEST_REJECTED);
        }
        agreed.mux.open(id, self.deadline.at(self.listener.timeouts.header));
        self.read(id);
    }

    /// Something has come on a request's stream.
    fn read(&self, id: StreamId) {
        let Some(agreed) = &self.agreed else { return };
        let begun = agreed.mux.readable(id, || self.worker.buffers.text(), self.link.now());
        let head = match begun {
            None => return,
            Some(Begun::Head(head)) => Some(head),
            Some(Begun::TooLarge) => None,
        };
        let text = head.as_ref().map_or(&[][..], |head| head);
        let stream = Stream::H3(H3Stream::new(Rc::clone(&agreed.mux), id, text));
        let origin = Origin { peer: self.whereabouts.peer, bind: self.bind, proxied: None };
        let (worker, listener) = (Rc::clone(&self.worker), Arc::clone(&self.listener));
        let client = Box::new(Client::new(worker, stream, origin, listener, None));
        tokio::task::spawn_local(request(client, head));
    }

    /// Takes note of what the client did wrong.
    fn faults(&mut self) {
        let faults = self.agreed.as_ref().map(|agreed| agreed.mux.faults()).unwrap_or_default();
        faults.into_iter().for_each(|error| self.wrong(error));
    }

    fn wrong(&mut self, error: Error) {
        let is_connection = error.scope == Scope::Connection;
        if is_connection && self.is_over {
            return;
        }
        self.worker.stats.borrow_mut().h3_failed(self.listener.id.0, error.code, is_connection);
        let failure = if error.is_abuse() { Failure::Http3Abuse } else { Failure::Http3Bad };
        tell(&self.worker, &self.listener, (self.whereabouts.peer, VERSION), failure);
        if is_connection {
            self.close(error.code, error.what);
        }
    }

    /// Ends the connection, and says why.
    fn close(&mut self, code: Code, what: &'static str) {
        self.is_over = true;
        let code = VarInt::from_u64(code.0).unwrap_or_default();
        let why = Bytes::from_static(what.as_bytes());
        self.link.connection().close(Instant::now(), code, why);
        self.lose();
    }

    /// The connection is no more.
    fn lost(&mut self, reason: &ConnectionError) {
        let listener = self.listener.id.0;
        if self.agreed.is_none() && self.permit.is_some() && !self.is_over {
            self.worker.stats.borrow_mut().tls_failed(listener);
            tell(&self.worker, &self.listener, (self.whereabouts.peer, VERSION), quic::failure(reason));
        } else if let ConnectionError::TransportError(_) = reason {
            // The code is QUIC's own, not one of HTTP/3's.
            self.worker.stats.borrow_mut().h3_failed(listener, Code(0), true);
            tell(&self.worker, &self.listener, (self.whereabouts.peer, VERSION), Failure::Http3Bad);
        }
        self.lose();
    }

    /// Lets go of what the connection had: its last packets need none of it.
    fn lose(&mut self) {
        self.is_over = true;
        self.link.agreed();
        self.permit = None;
        if let Some(agreed) = self.agreed.take() {
            agreed.mux.break_all();
        }
    }

    /// Follows the client to another address.
    fn track(&mut self) {
        if self.whereabouts.follow(&self.link, &self.deadline) {
            self.worker.stats.borrow_mut().quic_migrated(self.listener.id.0);
        }
    }

    /// Follows the configuration to where that says that the connection ends.
    fn follow(&mut self) {
        if self.is_over {
            return;
        }
        let view = self.worker.view_of(self.bind);
        let listener = view.as_ref().and_then(|view| view.listener(self.bind));
        let speaks = listener.is_some_and(|(listener, _)| listener.http3);
        if let Some((listener, _)) = listener {
            self.listener = Arc::clone(listener);
        }
        if self.listener.denied.contains(self.whereabouts.peer.ip()) {
            tell(&self.worker, &self.listener, (self.whereabouts.peer, VERSION), Failure::ClientDenied);
            return self.close(Code::NO_ERROR, "");
        }
        let requires = self.listener.tls.as_ref().is_some_and(|tls| tls.requires_clients);
        let has_shown = |agreed: &Agreed| agreed.mux.facts.client.certificate.is_some();
        if requires && self.agreed.as_ref().is_some_and(|agreed| !has_shown(agreed)) {
            // A reload wants certificates, and this client will show none any more.
            return self.close(Code::NO_ERROR, "");
        }
        if !speaks || self.worker.is_leaving(self.bind) {
            self.leave();
        }
    }

    /// Ends what had its time.
    fn deadlines(&mut self) {
        self.faults();
        if self.is_over {
            return;
        }
        if self.deadline.is_past(self.handshake) {
            let listener = self.listener.id.0;
            let mut stats = self.worker.stats.borrow_mut();
            stats.tls_failed(listener);
            stats.slow_client(listener);
            drop(stats);
            tell(&self.worker, &self.listener, (self.whereabouts.peer, VERSION), Failure::TlsTimeout);
            self.handshake = NEVER;
            return self.close(Code::NO_ERROR, "the handshake takes too long");
        }
        let Some(agreed) = &mut self.agreed else { return };
        let is_past = |tick| self.deadline.is_past(tick);
        if is_past(agreed.mux.due()) {
            let late = agreed.mux.expire(is_past);
            (0..late).for_each(|_| self.worker.stats.borrow_mut().slow_client(self.listener.id.0));
        }
        let unconfirmed = agreed.mux.unconfirmed();
        if unconfirmed != agreed.unconfirmed {
            let patience = time_to_take(&self.listener).filter(|_| unconfirmed > 0);
            agreed.lost = patience.map_or(NEVER, |patience| self.deadline.at(patience));
            agreed.unconfirmed = unconfirmed;
        }
        if is_past(agreed.lost) {
            self.worker.stats.borrow_mut().slow_client(self.listener.id.0);
            agreed.lost = NEVER;
            return self.close(Code::NO_ERROR, "nothing is confirmed");
        }
        let idle = self.listener.timeouts.idle;
        // Not before the client has all of its last response: what QUIC has yet to send would be lost.
        if !agreed.mux.is_done() {
            agreed.idle = NEVER;
            if is_past(agreed.ping) {
                self.link.connection().ping();
                agreed.ping = NEVER;
            }
            if agreed.ping == NEVER {
                agreed.ping = self.deadline.at(idle / 3);
            }
        } else {
            (agreed.ping, agreed.idle) = match agreed.idle {
                NEVER => (NEVER, self.deadline.at(idle)),
                idle => (NEVER, idle),
            };
            if is_past(agreed.idle) {
                self.close(Code::NO_ERROR, "");
            }
        }
    }

    /// Has the task woken when something is due.
    fn pause(&self) {
        let due = match &self.agreed {
            _ if self.is_over => NEVER,
            None => self.handshake,
            Some(agreed) => {
                // Once that is over, the last stream's end is waited for.
                let leave = if self.deadline.is_past(agreed.leave) { NEVER } else { agreed.leave };
                let due = agreed.idle.min(agreed.ping).min(agreed.lost).min(leave).min(agreed.mux.due());
                due.min(self.whereabouts.due())
            }
        };
        self.deadline.set_at(due);
    }
}

/// How long the slowest client that the listener allows may take for what is all sent; `None` where any is allowed.
fn time_to_take(listener: &Listener) -> Option<Duration> {
    let limits = &listener.limits;
    let seconds = SEND_WINDOW.checked_div(limits.min_rate.into())?;
    let grace = Duration::from_millis(limits.min_rate_grace_ms);
    Some(listener.timeouts.send + grace + Duration::from_secs(seconds))
}

/// What a connection may cost, as its listener has it.
fn limits(listener: &Listener) -> Limits {
    Limits {
        streams: listener.limits.streams,
        head_bytes: listener.limits.head_bytes,
        fields: u32::from(listener.limits.headers),
        held_head_bytes: HELD_HEAD_BYTES,
        extended_connect: true,
    }
}
