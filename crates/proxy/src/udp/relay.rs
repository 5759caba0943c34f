//! What happens to a datagram: a client's finds its session, or makes one, and goes to the endpoint; an endpoint's finds
//! its session and goes to the client. Nothing here waits. When a session leaves its endpoint is in `moving.rs`.

mod moving;

use super::batch::{BATCH, Batch, Datagram, Heads};
use super::outlets::Outlets;
use super::session::{Carried, record};
use super::trial::{REFUSAL, Trial};
use crate::permits::ListenerPermits;
use crate::worker::Worker;
use crate::worker::view::View;
use evenly_core::affinity::{Ask, Told, pick};
use evenly_core::circuit::Permit;
use evenly_core::error::Failure;
use evenly_core::hash_key::HashKey;
use evenly_core::listener::Listener;
use evenly_core::pool::{EndpointId, Lease, Pool};
use evenly_core::proxy_protocol::{Addresses, Outgoing, Transport, write};
use evenly_core::sessions::{Due, Flow, Session, SessionId, Sessions, Tick};
use socket2::Domain;
use std::hash::RandomState;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Datagrams that one look at an endpoint's socket takes: most carry one session, and few answers come together.
const ANSWERS: usize = 8;

/// One bound socket of one worker with its sessions.
pub struct Relay {
    worker: Rc<Worker>,
    bind: SocketAddr,
    local: SocketAddr,
    site: Site,
    sessions: Sessions<Carried, RandomState>,
    outlets: [Outlets; 2],
    heads: [Heads; 3],
    received: Vec<Datagram>,
    leaving: Vec<Datagram>,
    /// Sockets that have answers which did not fit into the last batch.
    waiting: [Vec<u32>; 2],
    /// Bytes of tables and sockets, as the metrics have them.
    told: (u64, u64),
}

/// The address families, as places in arrays.
pub const FAMILIES: [usize; 2] = [V4, V6];
const V4: usize = 0;
const V6: usize = 1;
/// Places of heads: for what clients send, for what they get, for what endpoints answer.
const REQUESTS: usize = 0;
const LEAVING: usize = 1;
const ANSWERING: usize = 2;

/// The configuration as of the last batch.
struct Site {
    view: Rc<View>,
    listener: Arc<Listener>,
    permits: Arc<ListenerPermits>,
    pool: usize,
}

/// Why a datagram goes nowhere.
enum Lost {
    /// The listener or the pool does not take it.
    Refused(Failure),
    /// The kernel does not take it.
    Unsent,
    /// No new session is begun any more.
    Draining,
}

impl Relay {
    /// A relay without sessions; `None` when the worker's snapshot has no such listener.
    pub fn new(
        worker: &Rc<Worker>,
        bind: SocketAddr,
        socket: &UdpSocket,
        outlets: usize,
    ) -> io::Result<Option<Self>> {
        let Some(site) = Site::of(worker, bind) else { return Ok(None) };
        let (local, is_any) = (socket.local_addr()?, bind.ip().is_unspecified());
        let most = u32::try_from(outlets).unwrap_or(u32::MAX);
        let unbound = SocketAddr::from(([0, 0, 0, 0], 0));
        Ok(Some(Self {
            worker: Rc::clone(worker),
            bind,
            local,
            site,
            sessions: Sessions::new(RandomState::new()),
            outlets: [Outlets::new(Domain::IPV4, most)?, Outlets::new(Domain::IPV6, most)?],
            heads: [
                Heads::receiving(local, is_any),
                Heads::sending(local, is_any),
                Heads::receiving(unbound, false),
            ],
            received: Vec::with_capacity(BATCH),
            leaving: Vec::with_capacity(BATCH),
            waiting: [Vec::new(), Vec::new()],
            told: (0, 0),
        }))
    }

    /// What becomes readable when an endpoint of this family answers.
    pub fn epoll(&self, family: usize) -> io::Result<OwnedFd> {
        self.outlets[family].epoll()
    }

    /// Takes a batch of what clients sent; whether there may be more.
    pub fn take_requests(&mut self, batch: &mut Batch, socket: BorrowedFd<'_>) -> bool {
        let mut received = std::mem::take(&mut self.received);
        received.clear();
        // An error of the socket is one of a datagram that is gone: the next call tells of the others.
        let count =
            batch.receive(socket, &mut self.heads[REQUESTS], 0, BATCH, &mut received).unwrap_or_default();
        self.refresh();
        let (now, id) = (self.now(), self.site.listener.id.0);
        for datagram in &received {
            if let Err(lost) = self.forward(datagram, batch.payload(datagram), now) {
                let mut stats = self.worker.stats.borrow_mut();
                match lost {
                    Lost::Refused(failure) => stats.turned_away(id, failure),
                    Lost::Unsent | Lost::Draining => stats.datagrams_unsent(id, 1),
                }
            }
        }
        self.worker.stats.borrow_mut().datagrams_came(id, count as u64);
        self.received = received;
        count == BATCH
    }

    /// Takes what endpoints answered and passes it on.
    pub fn take_answers(&mut self, family: usize, batch: &mut Batch, socket: BorrowedFd<'_>) -> bool {
        let mut waiting = std::mem::take(&mut self.waiting[family]);
        let has_more = self.outlets[family].ready(&mut waiting);
        let (mut received, mut used, now) = (std::mem::take(&mut self.received), 0, self.now());
        while let Some(source) = waiting.pop() {
            if used == BATCH {
                self.leave(batch, socket);
                used = 0;
            }
            let wanted = ANSWERS.min(BATCH - used);
            received.clear();
            let Ok(outlet) = self.outlets[family].socket(source) else { continue };
            match batch.receive(outlet.as_fd(), &mut self.heads[ANSWERING], used, wanted, &mut received) {
                Ok(count) => {
                    used += count;
                    for datagram in &received {
                        self.answer(family, source, datagram, now);
                    }
                    if count == wanted {
                        waiting.push(source);
                    }
                }
                Err(error) => {
                    let told = self.note_refusals(family, source);
                    // The error came instead of an answer, which may still be there.
                    if told || error.kind() != io::ErrorKind::WouldBlock {
                        waiting.push(source);
                    }
                }
            }
        }
        self.leave(batch, socket);
        self.received = received;
        self.waiting[family] = waiting;
        has_more
    }

    /// Ends sessions on which nothing came for so long, at most as long as the listener says, and judges endpoints that have
    /// not answered.
    pub fn sweep(&mut self, most: Duration) {
        self.refresh();
        let Listener { responses, timeouts, .. } = &*self.site.listener;
        let before = |patience| self.now().saturating_sub(self.worker.deadlines.at(patience) - self.now());
        let patience = if responses.is_some() { timeouts.idle } else { REFUSAL };
        let due = Due { silent: before(timeouts.idle.min(most)), unanswered: before(patience) };
        for id in self.sessions.due(due) {
            self.judge_unanswered(id, due);
            if self.sessions.get(id).is_some_and(|session| session.is_silent(due)) {
                self.close(id);
            }
        }
        self.outlets.iter_mut().for_each(Outlets::shrink);
        let bytes = self.sessions.bytes() + self.outlets.iter().map(|one| one.sources.bytes()).sum::<usize>();
        let sockets = self.outlets.iter().map(|one| u64::from(one.sources.len())).sum();
        self.tell_tables((bytes as u64, sockets));
    }

    /// Ends all sessions.
    pub fn end(&mut self) {
        for id in self.sessions.ids() {
            self.close(id);
        }
        self.tell_tables((0, 0));
    }

    fn tell_tables(&mut self, now: (u64, u64)) {
        let before = std::mem::replace(&mut self.told, now);
        self.worker.stats.borrow_mut().tables_changed(self.site.listener.id.0, before, now);
    }

    fn now(&self) -> Tick {
        self.worker.deadlines.at(Duration::ZERO)
    }

    /// Goes on with the newest snapshot, unless that has no such listener: then the relay is about to end.
    fn refresh(&mut self) {
        if !Rc::ptr_eq(&self.site.view, &self.worker.pin())
            && let Some(site) = Site::of(&self.worker, self.bind)
        {
            self.site = site;
        }
    }

    fn forward(&mut self, datagram: &Datagram, payload: &[u8], now: Tick) -> Result<(), Lost> {
        let flow = Flow { client: datagram.peer, local: datagram.local };
        let id = match self.sessions.find(&flow) {
            Some(id) => id,
            None => self.open(flow, now)?,
        };
        if self.has_to_move(id) {
            self.move_on(id, now)?;
        }
        let Some(session) = self.sessions.get(id) else { return Err(Lost::Unsent) };
        session.last = now;
        session.with.bytes.0 += payload.len() as u64;
        let outlets = &self.outlets[family(session.endpoint)];
        let manner = (session.with.header.as_deref(), session.with.source);
        let sent = outlets.send(session.source, session.endpoint, manner, payload);
        sent.map_err(|error| {
            if matches!(error.kind(), io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) {
                self.fail(id, Failure::ConnectFailed);
            }
            Lost::Unsent
        })
    }

    /// *Admit* and *pick*: a session for a client's first datagram.
    fn open(&mut self, flow: Flow, now: Tick) -> Result<SessionId, Lost> {
        if self.worker.is_draining() {
            return Err(Lost::Draining);
        }
        let listener = &self.site.listener;
        let client = flow.client.ip();
        if !listener.denied.is_empty() && listener.denied.contains(client) {
            return Err(Lost::Refused(Failure::ClientDenied));
        }
        let mut permit = self.site.permits.acquire().ok_or(Lost::Refused(Failure::Overload))?;
        if listener.max_per_client.is_some_and(|most| !permit.count_client(client, most)) {
            return Err(Lost::Refused(Failure::ClientLimit));
        }
        let entry = self.enter()?;
        let (lease, affinity) = self.pick(flow, None)?;
        let endpoint = lease.endpoint().address();
        let (shown, source) = (self.shown(flow, endpoint)?, self.claim(endpoint)?);
        let with = Carried {
            source: shown,
            header: self.header(flow),
            generation: self.site.view.snapshot.generation,
            started: Instant::now(),
            bytes: (0, 0),
            trial: Trial::new(entry),
            _counted: (self.worker.open(self.site.listener.id), permit),
            lease,
            affinity,
        };
        let answers_left = self.site.listener.responses;
        let unanswered = Some(now);
        let id =
            self.sessions.open(Session { flow, endpoint, source, last: now, unanswered, answers_left, with });
        self.outlets[family(endpoint)].sources.take(source, endpoint, id);
        Ok(id)
    }

    /// Whether the pool's circuit lets a session come to an endpoint.
    fn enter(&self) -> Result<Permit, Lost> {
        self.worker.enter(self.site.view.pool(self.site.pool)).ok_or(Lost::Refused(Failure::CircuitOpen))
    }

    fn claim(&mut self, endpoint: SocketAddr) -> Result<u32, Lost> {
        self.outlets[family(endpoint)].claim(endpoint).ok_or(Lost::Refused(Failure::Overload))
    }

    fn pick(&self, flow: Flow, exclude: Option<EndpointId>) -> Result<(Lease, Told), Lost> {
        let client = flow.client.ip().to_canonical();
        let key = Some(HashKey::of_address(client));
        let now = self.worker.now();
        let mut picker = self.site.view.picker(self.site.pool).borrow_mut();
        let picked = match self.site.view.snapshot.affinity(self.site.pool) {
            Some(affinity) => {
                let mut clue = affinity.clue_of_address(client);
                let ask = Ask { key, tried: exclude.as_slice(), now };
                pick(affinity, &mut clue, &mut picker, ask).map(|lease| (lease, clue.told))
            }
            None => picker.pick(key, exclude, now).map(|lease| (lease, Told::default())),
        };
        // There is no connection to wait for.
        picked.inspect(|(lease, _)| lease.connected()).map_err(|none| Lost::Refused(none.into()))
    }

    /// The client's address, if the endpoint is to see it.
    fn shown(&self, flow: Flow, endpoint: SocketAddr) -> Result<Option<IpAddr>, Lost> {
        let shown = self.site.view.pool(self.site.pool).source_for(flow.client.ip());
        match shown.is_none_or(|client| client.is_ipv4() == endpoint.is_ipv4()) {
            true => Ok(shown),
            false => Err(Lost::Refused(Failure::SourceUnusable)),
        }
    }

    /// What every datagram of a session begins with: receivers of datagrams have nothing else to know them by.
    fn header(&self, flow: Flow) -> Option<Box<[u8]>> {
        let version = self.site.view.pool(self.site.pool).proxy_protocol?;
        let destination = SocketAddr::new(flow.local.unwrap_or(self.local.ip()), self.local.port());
        let addresses = Some(Addresses { source: flow.client, destination });
        let mut out = Vec::new();
        write(&mut out, &Outgoing { version, transport: Transport::Datagram, addresses, tlvs: &[] });
        Some(out.into())
    }

    /// An endpoint's answer: whose it is, and whether it is the last.
    fn answer(&mut self, family: usize, source: u32, datagram: &Datagram, now: Tick) {
        let id = self.outlets[family].sources.session(source, datagram.peer);
        let Some((id, session)) = id.and_then(|id| Some((id, self.sessions.get(id)?))) else {
            // Of a session that is over, or from somebody who was not asked.
            return self.worker.stats.borrow_mut().datagrams_unexpected(self.site.listener.id.0, 1);
        };
        session.last = now;
        session.with.bytes.1 += datagram.length() as u64;
        session.unanswered = None;
        let Carried { trial, lease, generation, .. } = &mut session.with;
        trial.answered(self.site.judging(*generation), lease);
        self.leaving.push(datagram.onwards(session.flow.client, session.flow.local));
        if let Some(left) = &mut session.answers_left {
            *left -= 1;
            if *left == 0 {
                self.close(id);
            }
        }
    }

    /// Sends what is collected for clients.
    fn leave(&mut self, batch: &Batch, socket: BorrowedFd<'_>) {
        let (mut at, mut unsent) = (0, 0);
        while at < self.leaving.len() {
            match batch.send(socket, &mut self.heads[LEAVING], &self.leaving[at..]) {
                Ok(sent) => at += sent.max(1),
                // A full queue or an unreachable client: this one is lost, as any datagram may be.
                Err(_) => (at, unsent) = (at + 1, unsent + 1),
            }
        }
        let mut stats = self.worker.stats.borrow_mut();
        stats.datagrams_left(self.site.listener.id.0, self.leaving.len() as u64 - unsent);
        stats.datagrams_unsent(self.site.listener.id.0, unsent);
        self.leaving.clear();
    }

    fn close(&mut self, id: SessionId) {
        let Some(session) = self.sessions.close(id) else { return };
        self.outlets[family(session.endpoint)].sources.release(session.source, session.endpoint);
        record(&self.worker, &self.site.listener, self.site.view.pool(self.site.pool), &session);
    }
}

impl Site {
    fn of(worker: &Rc<Worker>, bind: SocketAddr) -> Option<Self> {
        let view = worker.pin();
        let (listener, permits) =
            view.datagrams(bind).map(|(one, other)| (Arc::clone(one), Arc::clone(other)))?;
        let pool = view.pool_of_datagrams(bind)?;
        Some(Self { view, listener, permits, pool })
    }

    /// The pool, if an endpoint known to be in it as of `generation` is one that it judges.
    fn judging(&self, generation: u64) -> Option<&Pool> {
        (generation == self.view.snapshot.generation).then(|| &**self.view.pool(self.pool))
    }
}

fn family(endpoint: SocketAddr) -> usize {
    if endpoint.is_ipv4() { V4 } else { V6 }
}
