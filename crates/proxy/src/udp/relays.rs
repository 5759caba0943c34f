//! A worker's relays: one for each UDP socket it has, each with its tasks.

use super::batch::Batch;
use super::relay::{FAMILIES, Relay};
use crate::descriptor::watch;
use crate::worker::Worker;
use crate::worker::deadlines::TICK;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::task::{JoinHandle, spawn_local, yield_now};

/// How long a session may be silent while the process drains. Clients that wait longer for an answer have asked again by
/// then, and whoever is heard of has its session until the process ends.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// The relays, by the address in the configuration.
pub struct Relays {
    by_bind: FxHashMap<SocketAddr, Vec<Running>>,
    /// Room for datagrams on their way through; no task keeps any while it waits.
    batch: Rc<RefCell<Batch>>,
    /// Sockets towards endpoints that a relay may have, for each address family.
    outlets: usize,
}

struct Running {
    shared: Rc<Shared>,
    requests: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
}

/// What the tasks of a relay share.
struct Shared {
    relay: RefCell<Relay>,
    socket: AsyncFd<OwnedFd>,
    batch: Rc<RefCell<Batch>>,
    /// How long a session may be silent; `MAX` leaves it to the listener.
    patience: Cell<Duration>,
}

impl Relays {
    /// None yet; each may have so many sockets towards endpoints, for each address family.
    pub fn new(outlets: usize) -> Self {
        Self { by_bind: FxHashMap::default(), batch: Rc::new(RefCell::new(Batch::new())), outlets }
    }

    /// Adds relays for new sockets and ends those whose address the worker's snapshot no longer names.
    pub fn update(&mut self, worker: &Rc<Worker>, sockets: Vec<(SocketAddr, UdpSocket)>) {
        let view = worker.pin();
        self.by_bind.retain(|bind, running| {
            let stays = view.datagrams(*bind).is_some();
            if !stays {
                running.drain(..).for_each(Running::end);
            }
            stays
        });
        for (bind, socket) in sockets {
            match Running::start(worker, bind, socket, &self.batch, self.outlets) {
                Ok(Some(running)) => self.by_bind.entry(bind).or_default().push(running),
                Ok(None) => {}
                // Only a system without descriptors refuses; the address then has no relay here.
                Err(error) => worker.stats.borrow_mut().accept_error(&error),
            }
        }
    }

    /// The worker drains: no session begins any more, and one that falls silent ends soon. With a successor, which reads
    /// from the same sockets, the clients' datagrams are left to it, and only answers are passed on.
    pub fn drain(&self, has_successor: bool) {
        for running in self.by_bind.values().flatten() {
            running.shared.patience.set(LAST_ANSWERS);
            if has_successor {
                running.requests.abort();
            }
        }
    }
}

impl Running {
    fn start(
        worker: &Rc<Worker>,
        bind: SocketAddr,
        socket: UdpSocket,
        batch: &Rc<RefCell<Batch>>,
        outlets: usize,
    ) -> io::Result<Option<Self>> {
        let Some(relay) = Relay::new(worker, bind, &socket, outlets)? else { return Ok(None) };
        let epolls = FAMILIES.map(|family| relay.epoll(family));
        let socket = watch(socket.into())?;
        let shared = Rc::new(Shared {
            relay: RefCell::new(relay),
            socket,
            batch: Rc::clone(batch),
            patience: Cell::new(Duration::MAX),
        });
        let mut others = vec![spawn_local(sweeps(Rc::clone(worker), Rc::clone(&shared)))];
        for (family, epoll) in FAMILIES.into_iter().zip(epolls) {
            let epoll = watch(epoll?)?;
            others.push(spawn_local(answers(Rc::clone(&shared), family, epoll)));
        }
        let requests = spawn_local(requests(Rc::clone(&shared)));
        Ok(Some(Self { shared, requests, others }))
    }

    fn end(self) {
        self.requests.abort();
        self.others.iter().for_each(JoinHandle::abort);
        self.shared.relay.borrow_mut().end();
    }
}

impl Shared {
    fn take(&self, take: impl FnOnce(&mut Relay, &mut Batch, BorrowedFd<'_>) -> bool) -> bool {
        take(&mut self.relay.borrow_mut(), &mut self.batch.borrow_mut(), self.socket.get_ref().as_fd())
    }
}

/// Passes on what clients send.
async fn requests(shared: Rc<Shared>) {
    while let Ok(mut guard) = shared.socket.readable().await {
        let has_more = shared.take(Relay::take_requests);
        if has_more {
            // The answers' turn, and everybody else's.
            drop(guard);
            yield_now().await;
        } else {
            guard.clear_ready();
        }
    }
}

/// Passes on what endpoints of one address family answer.
async fn answers(shared: Rc<Shared>, family: usize, epoll: AsyncFd<OwnedFd>) {
    while let Ok(mut guard) = epoll.readable().await {
        let has_more = shared.take(|relay, batch, socket| relay.take_answers(family, batch, socket));
        if has_more {
            drop(guard);
            yield_now().await;
        } else {
            guard.clear_ready();
        }
    }
}

/// Ends silent sessions.
async fn sweeps(worker: Rc<Worker>, shared: Rc<Shared>) {
    loop {
        worker.alarm.sleep(TICK).await;
        shared.relay.borrow_mut().sweep(shared.patience.get());
    }
}
