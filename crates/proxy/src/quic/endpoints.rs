//! A worker's endpoints: one for each address of a listener that speaks HTTP/3, each with its tasks.

use super::channel::Channel;
use super::endpoint::Endpoint;
use super::seat::Seat;
use super::wire::Wire;
use crate::descriptor::watch;
use crate::worker::Worker;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::task::{JoinHandle, spawn_local, yield_now};

/// Calls to the kernel of one turn, after which connections have theirs.
const TURN_RECEIVES: u32 = 16;

/// Packets handed over that are taken in one turn.
const TURN_PACKETS: usize = 64;

/// What one worker gets of an address.
pub struct Share {
    /// The address in the configuration.
    pub bind: SocketAddr,
    /// This worker's sockets there.
    pub sockets: Vec<UdpSocket>,
    /// Its place among the workers.
    pub seat: Seat,
}

/// The endpoints, by the address in the configuration.
pub struct Endpoints {
    by_bind: FxHashMap<SocketAddr, Running>,
    /// Those that a reload took away, until their connections have ended.
    leaving: Vec<(SocketAddr, Rc<Endpoint>, JoinHandle<()>)>,
    wire: Rc<RefCell<Wire>>,
}

struct Running {
    endpoint: Rc<Endpoint>,
    receivers: Vec<JoinHandle<()>>,
    handed: JoinHandle<()>,
    /// Takes what a successor passes on.
    passed: Option<JoinHandle<()>>,
}

/// How often it is looked whether the last connection of an address that is gone has ended, and how long that may take:
/// as for connections over TCP.
const LOOK: Duration = Duration::from_secs(1);
const LOOKS: u32 = 60;

/// What clients are told when a process ends (RFC 9114 §8.1): nothing is wrong.
const NO_ERROR: u64 = 0x100;

impl Endpoints {
    /// None yet.
    pub fn new() -> Self {
        Self { by_bind: FxHashMap::default(), leaving: Vec::new(), wire: Rc::new(RefCell::new(Wire::new())) }
    }

    /// Adds endpoints for new sockets, and lets those go whose address the worker's snapshot no longer has for HTTP/3:
    /// their connections end after what is under way.
    pub fn update(&mut self, worker: &Rc<Worker>, shares: Vec<Share>) {
        let view = worker.pin();
        let speaks = |bind| view.listener(bind).is_some_and(|(listener, _)| listener.http3);
        let gone: Vec<SocketAddr> = self.by_bind.keys().copied().filter(|bind| !speaks(*bind)).collect();
        self.leaving.retain(|(.., task)| !task.is_finished());
        for bind in gone {
            if let Some(running) = self.by_bind.remove(&bind) {
                let endpoint = Rc::clone(&running.endpoint);
                endpoint.wake();
                let task = spawn_local(leave(Rc::clone(worker), running));
                self.leaving.push((bind, endpoint, task));
            }
        }
        for Share { bind, sockets, seat } in shares {
            let watched = sockets.into_iter().map(|socket| watch(socket.into()));
            match watched.collect::<Result<Vec<_>, _>>() {
                Ok(sockets) => {
                    // Back so soon: what is left of the old ones would take the new ones' packets.
                    for (_, old, task) in self.leaving.extract_if(.., |(old, ..)| *old == bind) {
                        old.close(NO_ERROR);
                        task.abort();
                    }
                    let endpoint = Endpoint::new(worker, bind, sockets, &seat);
                    let running = Running::start(endpoint, seat, &self.wire);
                    self.by_bind.insert(bind, running);
                }
                // Only a system without descriptors refuses; the address then has no endpoint here.
                Err(error) => worker.stats.borrow_mut().accept_error(&error),
            }
        }
    }

    /// A successor gets the same sockets, and passes on what is not its own; one of the workers takes all of that.
    pub fn succeeded(&mut self, channels: Vec<(SocketAddr, Channel)>) {
        self.by_bind.values().for_each(|running| running.endpoint.succeeded());
        for (bind, channel) in channels {
            let Some(running) = self.by_bind.get_mut(&bind) else { continue };
            // Only a system without descriptors refuses; the connections then end for want of packets.
            let Ok(watched) = channel.descriptor().and_then(watch) else { continue };
            let taking = spawn_local(take_passed(Rc::clone(&running.endpoint), channel, watched));
            if let Some(before) = running.passed.replace(taking) {
                before.abort();
            }
        }
    }

    /// The worker drains. With a successor, which reads from the same sockets, nothing is read from them here.
    pub fn drain(&mut self, has_successor: bool) {
        if has_successor {
            let running = self.by_bind.values();
            running.flat_map(|running| &running.receivers).for_each(JoinHandle::abort);
        }
    }

    /// Tells every client that its connection is over.
    pub fn close(&self) {
        let running = self.by_bind.values().map(|running| &running.endpoint);
        running
            .chain(self.leaving.iter().map(|(_, endpoint, _)| endpoint))
            .for_each(|one| one.close(NO_ERROR));
    }
}

impl Running {
    fn start(endpoint: Rc<Endpoint>, seat: Seat, wire: &Rc<RefCell<Wire>>) -> Self {
        let receive = |socket| spawn_local(receive(Rc::clone(&endpoint), socket, Rc::clone(wire)));
        let receivers = (0..endpoint.sockets().len()).map(receive).collect();
        let handed = spawn_local(take_handed(Rc::clone(&endpoint), seat));
        Self { endpoint, receivers, handed, passed: None }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.receivers.iter().for_each(JoinHandle::abort);
        self.handed.abort();
        self.passed.iter().for_each(JoinHandle::abort);
    }
}

/// Goes on receiving for an address that is gone, as long as it has connections.
async fn leave(worker: Rc<Worker>, running: Running) {
    for _ in 0..LOOKS {
        worker.alarm.sleep(LOOK).await;
        if running.endpoint.is_empty() {
            return;
        }
    }
    running.endpoint.close(NO_ERROR);
}

/// Takes packets off a socket.
async fn receive(endpoint: Rc<Endpoint>, socket: usize, wire: Rc<RefCell<Wire>>) {
    while let Ok(mut guard) = endpoint.sockets()[socket].readable().await {
        let has_more = endpoint.receive(socket, &mut wire.borrow_mut(), TURN_RECEIVES);
        if has_more {
            drop(guard);
            yield_now().await;
        } else {
            guard.clear_ready();
        }
    }
}

/// Takes packets that a successor passes on.
async fn take_passed(endpoint: Rc<Endpoint>, channel: Channel, watched: AsyncFd<OwnedFd>) {
    while let Ok(mut guard) = watched.readable().await {
        let has_more = endpoint.take_passed(&channel, TURN_RECEIVES);
        if has_more {
            drop(guard);
            yield_now().await;
        } else {
            guard.clear_ready();
        }
    }
}

/// Takes packets that other workers hand over.
async fn take_handed(endpoint: Rc<Endpoint>, mut seat: Seat) {
    let mut packets = Vec::new();
    while seat.inbox.recv_many(&mut packets, TURN_PACKETS).await > 0 {
        packets.drain(..).for_each(|packet| endpoint.take(packet));
        yield_now().await;
    }
}
