//! One connection, between its endpoint, which brings packets, and its task, which reads and writes its streams.

use super::endpoint::Endpoint;
use crate::worker::alarm::Sleep;
use quinn_proto::{Connection, ConnectionEvent, ConnectionHandle};
use std::cell::{Cell, RefCell, RefMut};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// Calls to the kernel of one turn, after which the worker's other connections come first: with segmentation at most
/// some 600 KiB, about 0.3 ms.
const TURN_SENDS: u32 = 10;

/// A connection.
pub struct Link {
    endpoint: Rc<Endpoint>,
    handle: ConnectionHandle,
    connection: RefCell<Connection>,
    task: RefCell<Option<Waker>>,
    /// When the connection wants to be looked at again, and who rings then; maybe sooner than it has to be.
    sleep: RefCell<Option<(Instant, Sleep)>>,
    /// The task has taken the connection over: its handshake is no longer under way.
    is_agreed: Cell<bool>,
}

impl Link {
    pub(super) fn new(endpoint: Rc<Endpoint>, handle: ConnectionHandle, connection: Connection) -> Rc<Self> {
        Rc::new(Self {
            endpoint,
            handle,
            connection: RefCell::new(connection),
            task: RefCell::default(),
            sleep: RefCell::default(),
            is_agreed: Cell::new(false),
        })
    }

    /// The connection, for a step that does not await. Whoever may have given it something to send calls
    /// [`Link::notify`].
    pub fn connection(&self) -> RefMut<'_, Connection> {
        self.connection.borrow_mut()
    }

    /// The worker's time, in milliseconds.
    pub fn now(&self) -> u64 {
        self.endpoint.worker().now() / 1_000_000
    }

    /// From where the client's packets come now, and how long a round trip takes there.
    pub fn remote(&self) -> (SocketAddr, Duration) {
        let connection = self.connection.borrow();
        (connection.remote_address(), connection.rtt())
    }

    /// The address of this end, where it is known.
    pub fn local(&self) -> Option<SocketAddr> {
        let own = self.connection.borrow().local_ip();
        let bound = self.endpoint.local()?;
        Some(own.map_or(bound, |own| SocketAddr::new(own, bound.port())))
    }

    /// Remembers whom to wake when something has happened.
    pub fn register(&self, cx: &Context<'_>) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
    }

    /// Has the connection's task look: there is something to send, or a stream less.
    pub fn notify(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }

    /// A packet has come for it, or what its endpoint answers.
    pub(super) fn feed(&self, event: ConnectionEvent) {
        self.connection.borrow_mut().handle_event(event);
        self.notify();
    }

    /// The handshake is over.
    pub fn agreed(&self) {
        if !self.is_agreed.replace(true) {
            self.endpoint.handshake_over();
        }
    }

    /// Takes what is due to the connection.
    pub fn expire(&self, cx: &mut Context<'_>) {
        let mut sleep = self.sleep.borrow_mut();
        let Some((_, waiting)) = &mut *sleep else { return };
        if Pin::new(waiting).poll(cx).is_ready() {
            *sleep = None;
            self.connection.borrow_mut().handle_timeout(Instant::now());
        }
    }

    /// Sends what there is to send, and settles what the endpoint has to know; whether more is left for the next turn.
    pub fn flush(&self) -> bool {
        let mut connection = self.connection.borrow_mut();
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(answer) = self.endpoint.settle(self.handle, event) {
                connection.handle_event(answer);
            }
        }
        (0..TURN_SENDS).all(|_| self.endpoint.transmit(&mut connection))
    }

    /// Has the task woken when the connection wants it.
    pub fn arm(&self, cx: &mut Context<'_>) {
        let Some(due) = self.connection.borrow_mut().poll_timeout() else { return };
        let mut sleep = self.sleep.borrow_mut();
        // Timers move with each packet, mostly to later: then the clock rings once in vain.
        if sleep.as_ref().is_none_or(|(at, _)| due < *at) {
            let pause = due.saturating_duration_since(Instant::now());
            let mut waiting = self.endpoint.worker().alarm.sleep(pause);
            if Pin::new(&mut waiting).poll(cx).is_ready() {
                // Due already: the next turn takes it.
                cx.waker().wake_by_ref();
            }
            *sleep = Some((due, waiting));
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.agreed();
    }
}
