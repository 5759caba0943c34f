//! Connections to endpoints that requests share, by endpoint and worker: which of them has room, and when there is to
//! be another. Their tasks are in `endpoint.rs`.

use super::endpoint;
use super::line::{Line, Place};
use super::mux::Mux;
use super::stream::H2Stream;
use crate::stream::Stream;
use crate::tls::Target;
use crate::upstream::part;
use crate::worker::Worker;
use evenly_core::document::Http2;
use evenly_core::error::Failure;
use evenly_core::pool::{Endpoint, EndpointId, Pool};
use evenly_http2::{OpenError, StreamId};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A worker's shared connections.
#[derive(Default)]
pub struct SharedConnections {
    /// By the endpoint's number.
    sets: RefCell<Vec<Option<Rc<Set>>>>,
}

/// Those to one endpoint.
pub(super) struct Set {
    /// Numbers are given out again after a reload, so the number alone does not say where a connection leads.
    address: SocketAddr,
    /// All that take or will take streams, the oldest first.
    connections: RefCell<Vec<Rc<Shared>>>,
    /// Requests that wait for a place on one of them.
    line: Line,
    /// Whether the endpoint has chosen HTTP/1.1 when it chose last, where it may choose.
    chose_http1: Cell<bool>,
}

/// One connection.
pub struct Shared {
    /// What its task and its streams share.
    pub mux: Rc<Mux>,
    set: Rc<Set>,
    /// How TLS is spoken on it, if it is.
    target: Option<Arc<Target>>,
    phase: Cell<Phase>,
    /// It itself, in [`Phase::Own`], until somebody takes it.
    own: RefCell<Option<Stream>>,
    /// Why it could not be made, if it could not.
    pub failure: Cell<Failure>,
    /// Streams that have a place and are not opened yet.
    reserved: Cell<usize>,
    /// Requests that wait for it to open.
    joined: Cell<usize>,
    /// Those with a place that wait for what is to be sent before them.
    writers: RefCell<Vec<Waker>>,
    /// Whether somebody has told that it ended under its streams.
    is_told: Cell<bool>,
    /// Something was received; its task takes that away.
    pub heard: Cell<bool>,
    /// A stream was given up for want of a response: whether the endpoint lives is to be found out.
    pub is_suspect: Cell<bool>,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is being made.
    Opening,
    /// It takes streams.
    Open,
    /// It could not be made.
    Failed,
    /// It was made, and carries one request at a time: the endpoint has chosen HTTP/1.1.
    Own,
    /// It takes no more streams.
    Leaving,
}

/// How a request reaches its endpoint.
pub enum Entered {
    /// By a stream on a connection that is shared; and whether that was not made for it.
    Stream(H2Stream, bool),
    /// By a connection of its own that was just made, because the endpoint has chosen HTTP/1.1 on it.
    Own(Stream),
    /// By one that it makes itself: the endpoint has chosen HTTP/1.1 when it was asked last.
    Dial,
}

impl SharedConnections {
    fn set(&self, endpoint: &Endpoint) -> Rc<Set> {
        let mut sets = self.sets.borrow_mut();
        let index = endpoint.id().0 as usize;
        if sets.len() <= index {
            sets.resize_with(index + 1, || None);
        }
        let address = endpoint.address();
        match &sets[index] {
            Some(set) if set.address == address => Rc::clone(set),
            other => {
                other.iter().for_each(|set| set.leave());
                let set = Rc::new(Set {
                    address,
                    connections: RefCell::default(),
                    line: Line::default(),
                    chose_http1: Cell::new(false),
                });
                sets[index] = Some(Rc::clone(&set));
                set
            }
        }
    }

    /// Has everything to endpoints that are gone end when its streams have.
    pub fn sweep(&self, is_known: impl Fn(EndpointId) -> bool) {
        for (index, set) in self.sets.borrow_mut().iter_mut().enumerate() {
            if set.is_some() && !u32::try_from(index).is_ok_and(|id| is_known(EndpointId(id))) {
                set.take().iter().for_each(|set| set.leave());
            }
        }
    }
}

/// A place for a stream on a connection to `endpoint`, once there is one, or what an endpoint that may choose has it be
/// instead. `made`: a connection that was made for the request alone, and on which the endpoint has chosen HTTP/2. The
/// caller holds the deadline.
///
/// # Errors
/// The connection that was waited for could not be made, and whether the caller is the first to tell.
pub async fn enter(
    worker: &Rc<Worker>,
    (pool, endpoint): (&Arc<Pool>, &Endpoint),
    target: Option<Arc<Target>>,
    made: Option<Stream>,
) -> Result<Entered, (Failure, bool)> {
    let Some(http2) = &pool.http2 else { return Err((Failure::Internal, true)) };
    let set = worker.shared.set(endpoint);
    let begin = |made| {
        let shared =
            endpoint::begin(worker, (pool, http2, endpoint), (target.clone(), made), Rc::clone(&set));
        set.connections.borrow_mut().push(Rc::clone(&shared));
        Joined::new(shared)
    };
    let mut joined =
        made.and_then(|made| set.adopts(http2, target.as_ref(), made)).map(|made| begin(Some(made)));
    let (mut is_opener, mut place) = (joined.is_some(), None::<Place<'_>>);
    poll_fn(|cx| {
        match joined.as_ref().map(|Joined(shared)| (shared, shared.phase.get())) {
            Some((shared, Phase::Failed)) => return Poll::Ready(Err((shared.failure.get(), shared.blame()))),
            Some((shared, Phase::Own)) => {
                let own = shared.own.borrow_mut().take();
                return Poll::Ready(Ok(own.map_or(Entered::Dial, Entered::Own)));
            }
            _ => {}
        }
        let ahead = place.as_ref().map_or(set.line.len(), Place::ahead);
        if let Some(shared) = set.with_room(target.as_ref(), ahead) {
            shared.reserved.set(shared.reserved.get() + 1);
            return Poll::Ready(Ok(Entered::Stream(H2Stream::to_endpoint(shared), !is_opener)));
        }
        if joined.as_ref().is_none_or(|joined| joined.0.phase.get() != Phase::Opening) {
            if http2.negotiated && set.chose_http1.get() {
                return Poll::Ready(Ok(Entered::Dial));
            }
            set.part(target.as_ref());
            joined = set.opening(http2, target.as_ref()).map(Joined::new);
            if joined.is_none() && set.connections.borrow().len() < http2.max_connections as usize {
                (joined, is_opener) = (Some(begin(None)), true);
            }
        }
        place.get_or_insert_with(|| set.line.join(cx));
        Poll::Pending
    })
    .await
}

/// A request that waits for a connection to open.
struct Joined(Rc<Shared>);

impl Joined {
    fn new(shared: Rc<Shared>) -> Self {
        shared.joined.set(shared.joined.get() + 1);
        Self(shared)
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        let left = self.0.joined.get() - 1;
        self.0.joined.set(left);
        if left == 0 {
            // Those for whom it was made have gone.
            self.0.own.take().into_iter().for_each(part);
        }
    }
}

impl Set {
    /// A connection with room for one more than the `ahead` who were first.
    fn with_room(&self, target: Option<&Arc<Target>>, ahead: usize) -> Option<Rc<Shared>> {
        let connections = self.connections.borrow();
        let mut with_room =
            connections.iter().filter(|shared| shared.is_for(target) && shared.room() > 0).peekable();
        let first = with_room.peek().map(|shared| Rc::clone(shared));
        let room: usize = with_room.map(|shared| shared.room()).sum();
        first.filter(|_| room > ahead)
    }

    /// A connection that is being made and will have room, as far as can be told.
    fn opening(&self, http2: &Http2, target: Option<&Arc<Target>>) -> Option<Rc<Shared>> {
        let has_room = |shared: &&Rc<Shared>| {
            shared.is_for(target)
                && shared.phase.get() == Phase::Opening
                && shared.joined.get() < http2.max_streams as usize
        };
        self.connections.borrow().iter().find(has_room).map(Rc::clone)
    }

    /// A connection on which the endpoint has chosen HTTP/2 after all, if there is to be one more. Many may have been made at
    /// once, when a restart has changed its choice; those that are not needed end.
    fn adopts(&self, http2: &Http2, target: Option<&Arc<Target>>, made: Stream) -> Option<Stream> {
        self.chose_http1.set(false);
        let is_needed = self.with_room(target, 0).is_none()
            && self.opening(http2, target).is_none()
            && self.connections.borrow().len() < http2.max_connections as usize;
        if is_needed {
            return Some(made);
        }
        part(made);
        None
    }

    /// Has those leave that were made on other terms: nobody can use them any more, and they would count.
    fn part(&self, target: Option<&Arc<Target>>) {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|shared| {
            let is_usable = shared.is_for(target);
            if !is_usable {
                shared.leave();
            }
            is_usable
        });
    }

    /// Wakes as many as there is room for.
    fn wake_first(&self) {
        if self.line.len() > 0 {
            let room = self.connections.borrow().iter().map(|shared| shared.room()).sum();
            self.line.wake(room);
        }
    }

    fn leave(&self) {
        let connections = std::mem::take(&mut *self.connections.borrow_mut());
        connections.iter().for_each(|shared| shared.leave());
        self.line.wake(usize::MAX);
    }
}

impl Shared {
    /// A connection that is being made.
    pub(super) fn new(mux: Rc<Mux>, target: Option<Arc<Target>>, set: Rc<Set>) -> Self {
        Self {
            mux,
            set,
            target,
            phase: Cell::new(Phase::Opening),
            own: RefCell::default(),
            failure: Cell::new(Failure::ConnectFailed),
            reserved: Cell::new(0),
            joined: Cell::new(0),
            writers: RefCell::default(),
            is_told: Cell::new(false),
            heard: Cell::new(false),
            is_suspect: Cell::new(false),
        }
    }

    /// How TLS is spoken on it, if it is.
    pub(super) fn target(&self) -> Option<Arc<Target>> {
        self.target.clone()
    }

    fn is_for(&self, target: Option<&Arc<Target>>) -> bool {
        match (&self.target, target) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// How far it is.
    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Moves on to another phase, and tells those who wait.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        if matches!(phase, Phase::Failed | Phase::Own | Phase::Leaving) {
            self.set.connections.borrow_mut().retain(|shared| !std::ptr::eq(&**shared, self));
            self.written();
            // Each of those who wait may be the one who makes another.
            self.set.line.wake(usize::MAX);
        } else {
            self.set.wake_first();
        }
    }

    /// It is made, and the endpoint has chosen. Returns it if others are to share it; a connection of HTTP/1.1 goes to whoever
    /// has waited longest for it, and the others make their own. If nobody waits any more, it is for a later request.
    pub(super) fn chosen(&self, stream: Stream, keep: impl FnOnce(Stream)) -> Option<Stream> {
        let is_shared = stream.facts().is_some_and(|facts| facts.is_h2);
        self.set.chose_http1.set(!is_shared);
        if is_shared {
            return Some(stream);
        }
        match self.joined.get() {
            0 => keep(stream),
            _ => *self.own.borrow_mut() = Some(stream),
        }
        self.enter(Phase::Own);
        None
    }

    /// Whether nobody has a stream, or is about to.
    pub(super) fn is_unused(&self) -> bool {
        self.reserved.get() == 0 && self.joined.get() == 0 && self.mux.state().slots.is_empty()
    }

    /// No new streams; the connection ends with the last of those that it has.
    fn leave(&self) {
        if self.phase.get() != Phase::Failed {
            self.phase.set(Phase::Leaving);
        }
        self.mux.state().notify();
    }

    /// How many more streams it takes.
    fn room(&self) -> usize {
        match self.phase.get() {
            Phase::Open => self.mux.state().connection.room().saturating_sub(self.reserved.get()),
            Phase::Opening | Phase::Failed | Phase::Own | Phase::Leaving => 0,
        }
    }

    /// Opens a stream, for which a place was kept.
    pub(super) fn open(&self, head: &[u8], is_end: bool) -> Result<StreamId, OpenError> {
        let id = self.mux.state().open(head, is_end)?;
        self.reserved.set(self.reserved.get() - 1);
        if self.mux.state().connection.is_exhausted() {
            self.enter(Phase::Leaving);
        }
        Ok(id)
    }

    /// Has a task woken that would open a stream, once what waits to be sent is.
    pub(super) fn wait_for_output(&self, cx: &Context<'_>) {
        let mut writers = self.writers.borrow_mut();
        if !writers.iter().any(|writer| writer.will_wake(cx.waker())) {
            writers.push(cx.waker().clone());
        }
    }

    /// All that waited was sent.
    pub(super) fn written(&self) {
        self.writers.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// A stream has gone, or who has kept a place for one.
    pub(super) fn left(&self, id: Option<StreamId>) {
        if id.is_none() {
            self.reserved.set(self.reserved.get() - 1);
        }
        self.mux.state().notify();
        self.set.wake_first();
    }

    /// Whether the one who asks is the first to tell that it ended.
    pub(super) fn blame(&self) -> bool {
        !self.is_told.replace(true)
    }
}
