//! Mirroring: a copy of a request goes to a second pool on a task of its own, and nobody waits for it.
//!
//! The exchange only lays things aside (its head, a small body, and what its response was); the task does the rest. When
//! the exchange ends first, the task goes on, under its own deadline; when too many tasks run, the copy is dropped.

mod copy;
mod tee;

pub use tee::Tee;

use super::client::Client;
use super::exchange::Exchange;
use super::kept::Kept;
use crate::pump::Pump;
use crate::worker::Worker;
use crate::worker::buffers::Text;
use copy::Copy;
use evenly_core::route::{Mirrored, Outcome, Route};
use std::rc::Rc;
use tokio::sync::oneshot;

/// What an exchange lays aside for its copy. Boxed, as it is rare.
pub struct Mirroring {
    worker: Rc<Worker>,
    route: u32,
    /// What its pool's balancer goes by.
    key: Option<u64>,
    /// The head for the endpoint, until the copy is on its way.
    head: Option<Text>,
    /// Whether what became of it is counted, or will be by its task.
    is_told: bool,
    /// Where the client's answer is told to the task that compares.
    answer: Option<oneshot::Sender<Outcome>>,
}

impl Mirroring {
    /// For a request that is drawn for a copy. What becomes a tunnel is none: it has no end to compare.
    pub fn draw(
        client: &Client,
        route: &Route,
        is_tunnel: bool,
        key: impl FnOnce(usize) -> Option<u64>,
    ) -> Option<Box<Self>> {
        let (mirror, worker) = (route.mirror.as_ref()?, &client.worker);
        let is_drawn = !is_tunnel && worker.random.borrow_mut().hits(mirror.percent);
        let (worker, route) = (Rc::clone(worker), route.id.0);
        is_drawn.then(|| {
            let key = key(mirror.pool.0 as usize);
            Box::new(Self { worker, route, key, head: None, is_told: false, answer: None })
        })
    }

    fn tell(&mut self, status: u16, length: u64, tee: &Tee) {
        if let Some(answer) = self.answer.take() {
            // The task may have given up.
            let _ = answer.send(Outcome { status, length, hash: tee.hash_value() });
        }
    }

    fn count(&mut self, what: Mirrored) {
        self.is_told = true;
        self.worker.stats.borrow_mut().mirrored(self.route, what);
    }
}

impl Drop for Mirroring {
    fn drop(&mut self) {
        if !self.is_told {
            self.count(Mirrored::DroppedIncomplete);
        }
    }
}

/// Has a request's body laid aside as it passes, if it is to be copied.
pub fn tee(exchange: &Exchange) -> Option<Box<Tee>> {
    exchange.mirror.as_ref()?;
    exchange.route().mirror.as_ref().map(|mirror| Box::new(Tee::keep(mirror.body_bytes)))
}

/// The request is about to be sent: so is its copy, if all of it is at hand.
pub fn begin(exchange: &mut Exchange, is_whole: bool) {
    let Some(mirroring) = &mut exchange.mirror else { return };
    let mut head = mirroring.worker.buffers.text();
    head.extend_from_slice(&exchange.head);
    mirroring.head = Some(head);
    if is_whole {
        send(exchange, None);
    }
}

/// The request's body is through.
pub fn uploaded(exchange: &mut Exchange, tee: Option<Box<Tee>>) {
    match tee.as_ref().map(|tee| tee.kept()) {
        None => {}
        Some(Some(body)) => send(exchange, Some(body)),
        Some(None) => {
            if let Some(mirroring) = &mut exchange.mirror {
                mirroring.count(Mirrored::DroppedBody);
            }
        }
    }
}

/// Starts the copy's task; `body` is what came behind the head, unless it is there already.
fn send(exchange: &mut Exchange, body: Option<&[u8]>) {
    let Some(mut mirroring) = exchange.mirror.take() else { return };
    let route = exchange.route();
    if let (Some(mirror), Some(mut text)) = (&route.mirror, mirroring.head.take()) {
        match mirroring.worker.mirrors.admit(mirroring.route, mirror.in_flight) {
            None => mirroring.count(Mirrored::DroppedInFlight),
            Some(slot) => {
                text.extend_from_slice(body.unwrap_or_default());
                let kept = if body.is_some() && exchange.is_chunked { Kept::Bare } else { Kept::Nothing };
                let expected = mirror.compare.then(|| {
                    let (tell, told) = oneshot::channel();
                    mirroring.answer = Some(tell);
                    told
                });
                mirroring.is_told = true;
                let copy = Copy {
                    worker: Rc::clone(&mirroring.worker),
                    view: Rc::clone(&exchange.view),
                    route: exchange.route,
                    key: mirroring.key,
                    text,
                    kept,
                    host_at: exchange.host_at.clone().map(|at| at.start),
                    method: exchange.method,
                    expected,
                };
                tokio::task::spawn_local(copy.run(slot));
            }
        }
    }
    exchange.mirror = Some(mirroring);
}

/// The client gets a small answer, with this body.
pub fn answered(exchange: &mut Exchange, body: &[u8]) {
    let Some(mirroring) = exchange.mirror.as_mut().filter(|mirroring| mirroring.answer.is_some()) else {
        return;
    };
    let most =
        exchange.view.snapshot.routes[exchange.route].mirror.as_ref().map_or(0, |mirror| mirror.body_bytes);
    let mut tee = Tee::hash(most);
    tee.take(body);
    mirroring.tell(exchange.tally.status, body.len() as u64, &tee);
}

/// Has the response's body looked at as it passes, if it is to be compared.
pub fn watch(exchange: &Exchange, download: &mut Pump) {
    let is_compared = exchange.mirror.as_ref().is_some_and(|mirroring| mirroring.answer.is_some());
    if let Some(mirror) = exchange.route().mirror.as_ref().filter(|_| is_compared) {
        download.tee = Some(Box::new(Tee::hash(mirror.body_bytes)));
    }
}

/// The client got a long answer, as a whole.
pub fn relayed(exchange: &mut Exchange, download: &Pump) {
    let status = exchange.tally.status;
    if let (Some(mirroring), Some(tee)) = (&mut exchange.mirror, &download.tee) {
        mirroring.tell(status, download.received, tee);
    }
}
