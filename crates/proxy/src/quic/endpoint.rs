//! One bound address on one worker: whose a packet is, and who may come in.

use super::channel::{Channel, Passed};
use super::link::Link;
use super::seat::{Ids, Keys, Owner, Packet, Passage, Seat};
use super::session::{Sessions, failure};
use super::wire::{SEGMENTS, Wire, send};
use crate::arrival::{Origin, tell};
use crate::http;
use crate::metrics::Lost;
use crate::permits::Permit;
use crate::worker::Worker;
use crate::worker::view::View;
use evenly_core::document::OnDeny;
use evenly_core::error::Failure;
use evenly_core::listener::{Listener, ListenerId};
use quinn_proto::{
    Connection, ConnectionEvent, ConnectionHandle, DatagramEvent, EndpointConfig, EndpointEvent, IdleTimeout,
    Incoming, ServerConfig, Transmit, TransportConfig, VarInt,
};
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// Handshakes under way on one worker's address from which on clients have to show that they are where they say (Retry):
/// as many as clients 100 ms away begin in a burst of a thousand a second; above it a round trip more is better than
/// work and memory for whoever forges addresses.
const HANDSHAKES: u32 = 100;

/// What of a request's body may wait to be passed on, as for HTTP/2.
const STREAM_WINDOW: u32 = 64 << 10;

/// The same for all requests of a connection together.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// What of responses may wait for the client, sent or not: enough for 160 Mbit/s over 50 ms.
pub const SEND_WINDOW: u64 = 1 << 20;

/// A control stream, two for QPACK, and some of types that are made up so that nobody relies on their absence
/// (RFC 9114 §6.2.3).
const UNI_STREAMS: u32 = 8;

/// The shortest silence after which a client counts as gone: twice what a lost packet takes to be sent again a few times.
const SHORTEST_SILENCE: Duration = Duration::from_secs(10);

/// An address on a worker.
pub struct Endpoint {
    worker: Rc<Worker>,
    bind: SocketAddr,
    /// The first one is sent from; there are more only after a predecessor had more workers.
    sockets: Vec<AsyncFd<OwnedFd>>,
    local: Option<SocketAddr>,
    keys: Arc<Keys>,
    passage: Passage,
    quic: RefCell<quinn_proto::Endpoint>,
    links: RefCell<FxHashMap<ConnectionHandle, Rc<Link>>>,
    /// Handshakes under way.
    handshakes: Cell<u32>,
    has_successor: Cell<bool>,
    /// Of the view with this number.
    config: RefCell<(u64, Option<Arc<ServerConfig>>)>,
    /// Room for packets that leave.
    room: RefCell<Vec<u8>>,
}

/// What becomes of a client that is new.
enum Verdict {
    Accept(Arc<Listener>, Permit),
    Retry,
    Refuse,
    Ignore,
}

impl Endpoint {
    pub(super) fn new(
        worker: &Rc<Worker>,
        bind: SocketAddr,
        sockets: Vec<AsyncFd<OwnedFd>>,
        seat: &Seat,
    ) -> Rc<Self> {
        let ids = {
            let seat = seat.ids();
            move || Box::new(Ids::clone(&seat)) as Box<dyn quinn_proto::ConnectionIdGenerator>
        };
        let mut config = EndpointConfig::new(Arc::clone(&seat.keys.reset) as _);
        config.cid_generator(ids).supported_versions(vec![1]);
        let quic = quinn_proto::Endpoint::new(Arc::new(config), None, true, None);
        let first = sockets.first().map(|socket| socket2::SockRef::from(socket.get_ref()).local_addr());
        Rc::new(Self {
            worker: Rc::clone(worker),
            bind,
            local: first.and_then(|local| local.ok()?.as_socket()),
            sockets,
            keys: Arc::clone(&seat.keys),
            passage: seat.passage(),
            quic: RefCell::new(quic),
            links: RefCell::default(),
            handshakes: Cell::new(0),
            has_successor: Cell::new(false),
            config: RefCell::default(),
            room: RefCell::default(),
        })
    }

    /// The worker that it is on.
    pub fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// Where it is bound.
    pub fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    pub(super) fn sockets(&self) -> &[AsyncFd<OwnedFd>] {
        &self.sockets
    }

    /// Receives what there is on one of the sockets, at most `most` times; whether more may be there.
    pub(super) fn receive(self: &Rc<Self>, socket: usize, wire: &mut Wire, most: u32) -> bool {
        let socket = self.sockets[socket].get_ref().as_fd();
        for _ in 0..most {
            match wire.receive(socket) {
                Ok(Some(received)) => {
                    for bytes in wire.packets(&received) {
                        let (remote, local, ecn) = (received.remote, received.local, received.ecn);
                        self.sort(Packet { remote, local, ecn, bytes });
                    }
                }
                Ok(None) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                // What the network says of packets that were sent (ICMP): QUIC relies on its own timers (RFC 9000 §14.2).
                Err(_) => {}
            }
        }
        true
    }

    /// A packet has come: whose it is.
    fn sort(self: &Rc<Self>, packet: Packet) {
        match self.passage.owner(&packet.bytes) {
            Owner::Own => self.take(packet),
            Owner::Elsewhere => match self.passage.hand_back(&packet) {
                Passed::On => self.count(|stats, listener| stats.quic_handed_over(listener)),
                Passed::Full => self.count(|stats, listener| stats.quic_lost(listener, Lost::HandOver)),
                // Whoever had it is no more, and the client is told (stateless reset). Only a process that has a
                // successor does not know: it may be a connection of that.
                Passed::Nowhere if self.has_successor.get() => {}
                Passed::Nowhere => self.take(packet),
            },
            Owner::Other(worker) => {
                let is_taken = self.passage.hand_over(worker, packet);
                self.count(|stats, listener| match is_taken {
                    true => stats.quic_handed_over(listener),
                    false => stats.quic_lost(listener, Lost::HandOver),
                });
            }
        }
    }

    /// Takes what a successor passes on, at most `most` packets; whether more may be there.
    pub(super) fn take_passed(self: &Rc<Self>, channel: &Channel, most: u32) -> bool {
        for _ in 0..most {
            match channel.receive() {
                Ok(Some(packet)) => self.sort(packet),
                Ok(None) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// There is a successor, with the same sockets.
    pub(super) fn succeeded(&self) {
        self.has_successor.set(true);
    }

    /// Takes a packet that is this worker's.
    pub(super) fn take(self: &Rc<Self>, packet: Packet) {
        let Packet { remote, local, ecn, bytes } = packet;
        let now = Instant::now();
        let view = self.worker.view_of(self.bind);
        self.follow(view.as_deref());
        let mut out = Vec::new();
        let event = self.quic.borrow_mut().handle(now, remote, local, ecn, bytes, &mut out);
        match event {
            None => {}
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                let link = self.links.borrow().get(&handle).map(Rc::clone);
                if let Some(link) = link {
                    link.feed(event);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => self.arrive(view.as_deref(), incoming, now),
            Some(DatagramEvent::Response(transmit)) => self.send(&transmit, &out),
        }
    }

    /// Takes over what the current snapshot says of new connections.
    fn follow(&self, view: Option<&View>) {
        let generation = view.map_or(u64::MAX, |view| view.generation);
        let mut config = self.config.borrow_mut();
        if config.0 != generation {
            *config = (generation, view.and_then(|view| self.settings(view)));
            self.quic.borrow_mut().set_server_config(config.1.clone());
        }
    }

    fn settings(&self, view: &View) -> Option<Arc<ServerConfig>> {
        let (listener, _) = view.listener(self.bind)?;
        let ja4 = listener.tls.as_ref().is_some_and(|tls| tls.ja4);
        let sessions = Sessions::new(view.termination(self.bind)?, ja4).ok()?;
        let mut config = ServerConfig::new(sessions, Arc::clone(&self.keys.tokens) as _);
        config.transport_config(Arc::new(transport(listener)));
        Some(Arc::new(config))
    }

    /// *Accept*.
    fn arrive(self: &Rc<Self>, view: Option<&View>, incoming: Incoming, now: Instant) {
        let mut out = Vec::new();
        let verdict = view.map_or(Verdict::Ignore, |view| self.judge(view, &incoming));
        let (listener, permit) = match verdict {
            Verdict::Accept(listener, permit) => (listener, permit),
            Verdict::Ignore => return self.quic.borrow_mut().ignore(incoming),
            Verdict::Refuse => {
                let transmit = self.quic.borrow_mut().refuse(incoming, &mut out);
                return self.send(&transmit, &out);
            }
            Verdict::Retry => {
                self.count(|stats, listener| stats.quic_retried(listener));
                // Whoever has shown where it is is never asked again.
                if let Ok(transmit) = self.quic.borrow_mut().retry(incoming, &mut out) {
                    self.send(&transmit, &out);
                }
                return;
            }
        };
        let peer = incoming.remote_address();
        let accepted = self.quic.borrow_mut().accept(incoming, now, &mut out, None);
        match accepted {
            Ok((handle, connection)) => {
                let link = Link::new(Rc::clone(self), handle, connection);
                self.links.borrow_mut().insert(handle, Rc::clone(&link));
                self.handshakes.set(self.handshakes.get() + 1);
                let (worker, bind) = (Rc::clone(&self.worker), self.bind);
                let origin = Origin { peer, bind, proxied: None };
                tokio::task::spawn_local(http::serve_h3(worker, link, origin, listener, permit));
            }
            Err(error) => {
                self.worker.stats.borrow_mut().tls_failed(listener.id.0);
                tell(&self.worker, &listener, (peer, http::H3_VERSION), failure(&error.cause));
                if let Some(transmit) = error.response {
                    self.send(&transmit, &out);
                }
            }
        }
    }

    /// Whether a client may come in, as over TCP; and whether its address may be forged.
    fn judge(&self, view: &View, incoming: &Incoming) -> Verdict {
        let Some((listener, permits)) = view.listener(self.bind) else { return Verdict::Ignore };
        if !listener.http3 || self.worker.is_leaving(self.bind) {
            return Verdict::Refuse;
        }
        let peer = incoming.remote_address();
        let refuse = |failure| {
            tell(&self.worker, listener, (peer, http::H3_VERSION), failure);
            // Who is to learn nothing waits in vain, which costs nothing here.
            if listener.on_deny == OnDeny::Reset { Verdict::Refuse } else { Verdict::Ignore }
        };
        if listener.denied.contains(peer.ip()) {
            return refuse(Failure::ClientDenied);
        }
        let rate = listener.tls.as_ref().and_then(|tls| tls.rate.as_ref());
        // What counts for one client must not be run up by others in its name.
        let is_counted = listener.max_per_client.is_some() || rate.is_some();
        if (is_counted || self.handshakes.get() >= HANDSHAKES) && !incoming.remote_address_validated() {
            return Verdict::Retry;
        }
        let Some(mut permit) = permits.acquire() else {
            self.worker.stats.borrow_mut().accept_limited();
            return Verdict::Refuse;
        };
        if listener.max_per_client.is_some_and(|most| !permit.count_client(peer.ip(), most)) {
            return refuse(Failure::ClientLimit);
        }
        let now = self.worker.now();
        if rate.is_some_and(|rate| !rate.admit(permit.hash_of(peer.ip()), now)) {
            return refuse(Failure::TlsLimit);
        }
        Verdict::Accept(Arc::clone(listener), permit)
    }

    pub(super) fn handshake_over(&self) {
        self.handshakes.set(self.handshakes.get() - 1);
    }

    /// What a connection has to tell; what is to be told to it.
    pub(super) fn settle(&self, handle: ConnectionHandle, event: EndpointEvent) -> Option<ConnectionEvent> {
        if event.is_drained() {
            self.links.borrow_mut().remove(&handle);
        }
        self.quic.borrow_mut().handle_event(handle, event)
    }

    /// Sends packets of a connection; whether there were any.
    pub(super) fn transmit(&self, connection: &mut Connection) -> bool {
        let mut room = self.room.borrow_mut();
        room.clear();
        let Some(transmit) = connection.poll_transmit(Instant::now(), SEGMENTS, &mut room) else {
            return false;
        };
        self.send(&transmit, &room[..transmit.size]);
        true
    }

    fn send(&self, transmit: &Transmit, bytes: &[u8]) {
        let Some(socket) = self.sockets.first() else { return };
        let is_any = self.local.is_some_and(|local| local.ip().is_unspecified());
        if send(socket.get_ref().as_fd(), is_any, transmit, &bytes[..transmit.size]).is_err() {
            // A full queue, a probe of the path's size, or an unreachable client: lost as any packet may be.
            self.count(|stats, listener| stats.quic_lost(listener, Lost::Unsent));
        }
    }

    /// Whether it has no connection.
    pub(super) fn is_empty(&self) -> bool {
        self.links.borrow().is_empty()
    }

    /// Has every connection look at what has changed.
    pub(super) fn wake(&self) {
        self.links.borrow().values().for_each(|link| link.notify());
    }

    /// Ends every connection at once, and says so.
    pub(super) fn close(&self, code: u64) {
        let links: Vec<_> = self.links.borrow().values().map(Rc::clone).collect();
        for link in links {
            let code = VarInt::from_u64(code).unwrap_or_default();
            link.connection().close(Instant::now(), code, bytes::Bytes::new());
            link.flush();
            link.notify();
        }
    }

    fn count(&self, count: impl FnOnce(&mut crate::metrics::WorkerStats, u32)) {
        let view = self.worker.view_of(self.bind);
        let listener = view.as_ref().and_then(|view| view.listener(self.bind));
        if let Some(ListenerId(listener)) = listener.map(|(listener, _)| listener.id) {
            count(&mut self.worker.stats.borrow_mut(), listener);
        }
    }
}

/// What a connection may cost, as its listener has it.
fn transport(listener: &Listener) -> TransportConfig {
    let mut transport = TransportConfig::default();
    let silence = listener.timeouts.idle.max(SHORTEST_SILENCE);
    transport
        .max_concurrent_bidi_streams(listener.limits.streams.into())
        .max_concurrent_uni_streams(UNI_STREAMS.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(SEND_WINDOW)
        .max_idle_timeout(IdleTimeout::try_from(silence).ok())
        // Nobody sends datagrams here (RFC 9221).
        .datagram_receive_buffer_size(None);
    transport
}
