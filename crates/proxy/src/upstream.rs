//! Connections to endpoints: kept idle for reuse, one stack for each endpoint and worker, or dialled anew.

use crate::http::{self, Entered, Loss};
use crate::io::is_quiet;
use crate::stream::Stream;
use crate::tls::{Alpn, EITHER, HTTP_1, Target, originate};
use crate::transparent::appear_as;
use crate::worker::Worker;
use evenly_core::error::Failure;
use evenly_core::pool::{Endpoint, EndpointId, Nanos, Pool};
use evenly_core::proxy_protocol::Addresses;
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::{TcpSocket, TcpStream};

/// A connection to an endpoint.
pub struct Upstream {
    /// The socket.
    pub stream: Stream,
    /// The endpoint's number in the snapshot that it was dialled under.
    pub endpoint: EndpointId,
    /// Where it leads.
    pub address: SocketAddr,
    /// Whether it carried a request before: then its endpoint may have closed it while the next one was on its way.
    pub reused: bool,
    /// Whose connection it is, when the endpoint knows.
    pub owner: Option<Owner>,
    /// How TLS is spoken on it, if it is: who wants it otherwise now has no use for it.
    pub target: Option<Arc<Target>>,
}

/// Whose a connection is, when its endpoint knows: nobody else may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// One client connection's, which a PROXY protocol header named.
    Connection(Box<Addresses>),
    /// The client's whose address it comes from. Boxed, like the other: see the size below.
    Client(Box<IpAddr>),
}

impl Upstream {
    /// Whether it ended with a connection of which another request has told so already.
    pub fn is_lost_again(&self) -> bool {
        matches!(&self.stream, Stream::H2(stream) if stream.loss() == Loss::Lost { is_first: false })
    }
}

// Each is moved several times in every request, and what is larger is moved by a call of memcpy.
const _: () = assert!(size_of::<Upstream>() <= 128 && size_of::<Idle>() <= 128);

/// An idle connection, and how long it may be.
struct Idle {
    stream: Stream,
    /// Numbers are given out again after a reload, so the number alone does not say where a connection leads.
    address: SocketAddr,
    owner: Option<Owner>,
    target: Option<Arc<Target>>,
    /// When it has been idle for too long.
    until: Nanos,
}

/// A worker's idle upstream connections, by endpoint.
pub struct IdleConnections {
    by_endpoint: RefCell<Vec<Vec<Idle>>>,
    total: Cell<usize>,
    most: usize,
}

impl IdleConnections {
    /// None yet, and never more than `most`: descriptors are for clients first.
    pub fn new(most: usize) -> Self {
        Self { by_endpoint: RefCell::default(), total: Cell::new(0), most }
    }

    /// Takes the connection that was used last and is still quiet; closes those that are not. `owner` is whose it must be,
    /// for pools whose endpoints know; `target` is how TLS is spoken with it, if it is.
    pub fn take(
        &self,
        endpoint: &Endpoint,
        owner: Option<&Owner>,
        target: Option<&Arc<Target>>,
    ) -> Option<Upstream> {
        let mut all = self.by_endpoint.borrow_mut();
        let stack = all.get_mut(endpoint.id().0 as usize)?;
        // Where they do not know, that is the last one.
        let fits = |idle: &Idle| idle.owner.as_ref() == owner && is_same(idle.target.as_ref(), target);
        while let Some(at) = stack.iter().rposition(fits) {
            let Idle { stream, address, owner, target, .. } = stack.remove(at);
            self.total.set(self.total.get() - 1);
            if address == endpoint.address() && is_quiet(&stream) {
                let endpoint = endpoint.id();
                return Some(Upstream { stream, endpoint, address, reused: true, owner, target });
            }
            part(stream);
        }
        None
    }

    /// Keeps a connection whose last exchange ended cleanly. At the endpoint's bound the one idle longest makes room;
    /// at the worker's, it is closed instead.
    pub fn keep(&self, upstream: Upstream, pool: &Pool, now: Nanos) {
        let most = pool.keepalive.max_idle as usize;
        if upstream.stream.frames_messages() {
            // It has ended, and its connection is not its own.
            return;
        }
        if most == 0 || self.total.get() >= self.most {
            return part(upstream.stream);
        }
        let mut all = self.by_endpoint.borrow_mut();
        let index = upstream.endpoint.0 as usize;
        if all.len() <= index {
            all.resize_with(index + 1, Vec::new);
        }
        let stack = &mut all[index];
        if stack.len() >= most {
            part(stack.remove(0).stream);
            self.total.set(self.total.get() - 1);
        }
        let Upstream { stream, address, owner, target, .. } = upstream;
        let until = now.saturating_add(pool.keepalive.idle_timeout_ms.saturating_mul(1_000_000));
        stack.push(Idle { stream, address, owner, target, until });
        self.total.set(self.total.get() + 1);
    }

    /// Closes what is idle for too long or was closed by its endpoint, and everything to endpoints that are gone.
    pub fn sweep(&self, now: Nanos, is_known: impl Fn(EndpointId) -> bool) {
        let mut total = 0;
        for (index, stack) in self.by_endpoint.borrow_mut().iter_mut().enumerate() {
            if stack.is_empty() {
                continue;
            }
            let known = u32::try_from(index).is_ok_and(|id| is_known(EndpointId(id)));
            let stays = |idle: &mut Idle| known && now < idle.until && is_quiet(&idle.stream);
            stack.extract_if(.., |idle| !stays(idle)).for_each(|idle| part(idle.stream));
            total += stack.len();
            if stack.is_empty() {
                stack.shrink_to_fit();
            }
        }
        self.total.set(total);
    }

    /// Closes all: what lies idle is the first to go when descriptors run out, and goes with its worker.
    pub fn clear(&self) {
        let all = std::mem::take(&mut *self.by_endpoint.borrow_mut());
        all.into_iter().flatten().for_each(|idle| part(idle.stream));
        self.total.set(0);
    }
}

/// Closes a connection on which nothing is under way; under TLS with a word, without which endpoints suspect that
/// something was cut off.
pub fn part(stream: Stream) {
    if let Stream::TlsOut(mut session) = stream {
        session.leave(&[]);
    }
}

#[inline]
fn is_same(one: Option<&Arc<Target>>, other: Option<&Arc<Target>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

/// How a connection to an endpoint begins.
pub struct Opening {
    /// The PROXY protocol header, in front of anything else; may be empty.
    pub introduction: Vec<u8>,
    /// The address that it comes from, if it is not the node's own.
    pub source: Option<IpAddr>,
    /// How TLS is spoken, if it is.
    pub target: Option<Arc<Target>>,
    /// What is offered there.
    pub alpn: Alpn,
}

/// A connection to an endpoint of `pool` that can carry a request: a new one, or a place on one that requests share. The
/// caller holds the deadline.
///
/// # Errors
/// There is no connection, or no session on it; and whether nobody else has told so of the same one.
pub async fn acquire(
    worker: &Rc<Worker>,
    (pool, endpoint): (&Arc<Pool>, &Endpoint),
    (introduction, source): (Vec<u8>, Option<IpAddr>),
    target: Option<Arc<Target>>,
) -> Result<Upstream, (Failure, bool)> {
    if pool.http2.is_none() {
        let opening = Opening { introduction, source, target, alpn: HTTP_1 };
        return dial(worker, endpoint, opening).await.map_err(|failure| (failure, true));
    }
    // Nobody is introduced by it, or shown: connections that are shared are nobody's.
    let mut made = None;
    let (stream, reused) = loop {
        match http::enter(worker, (pool, endpoint), target.clone(), made.take()).await? {
            Entered::Stream(stream, reused) => break (Stream::H2(stream), reused),
            Entered::Own(stream) => break (stream, false),
            Entered::Dial => {
                // Boxed, as it would make the state of every connection larger.
                let dialling = Box::pin(dial_shared(worker, endpoint, (target.clone(), EITHER)));
                let stream = dialling.await.map_err(|failure| (failure, true))?;
                if stream.facts().is_none_or(|facts| !facts.is_h2) {
                    break (stream, false);
                }
                made = Some(stream);
            }
        }
    };
    let (endpoint, address) = (endpoint.id(), endpoint.address());
    Ok(Upstream { stream, endpoint, address, reused, owner: None, target })
}

/// A connection that requests are to share, if the endpoint is offered HTTP/2 alone or chooses it.
///
/// # Errors
/// There is no connection, or no session on it.
pub async fn dial_shared(
    worker: &Rc<Worker>,
    endpoint: &Endpoint,
    (target, alpn): (Option<Arc<Target>>, Alpn),
) -> Result<Stream, Failure> {
    let opening = Opening { introduction: Vec::new(), source: None, target, alpn };
    dial(worker, endpoint, opening).await.map(|upstream| upstream.stream)
}

/// Connects to an endpoint; without a descriptor left, at the cost of all idle connections. The caller holds the
/// deadline.
///
/// # Errors
/// There is no connection, or no session on it.
pub async fn dial(worker: &Rc<Worker>, endpoint: &Endpoint, opening: Opening) -> Result<Upstream, Failure> {
    let address = endpoint.address();
    let Opening { introduction, source, target, alpn } = opening;
    let socket = match dial_address(address, source).await {
        Err(error) if is_out_of_descriptors(&error) => {
            worker.idle.clear();
            dial_address(address, source).await
        }
        dialled => dialled,
    };
    let socket = socket.map_err(|error| match error.kind() {
        // Also when all ports between that address and the endpoint are taken.
        io::ErrorKind::AddrNotAvailable if source.is_some() => Failure::SourceUnusable,
        _ => Failure::ConnectFailed,
    })?;
    if !introduction.is_empty() {
        introduce(&socket, &introduction).map_err(|_| Failure::ConnectFailed)?;
    }
    let stream = match &target {
        None => Stream::Plain(socket),
        // Boxed, as those without TLS need not carry it.
        Some(target) => match Box::pin(originate(socket, target, alpn, &worker.buffers)).await {
            Ok(session) => {
                worker.stats.borrow_mut().upstream_agreed(endpoint.id().0, session.facts().is_resumed);
                Stream::TlsOut(session)
            }
            Err(trouble) => {
                target.failed(trouble);
                return Err(trouble.failure);
            }
        },
    };
    Ok(Upstream { stream, endpoint: endpoint.id(), address, reused: false, owner: None, target })
}

/// Sends a PROXY protocol header on a connection that was just made, before anything else. It is far smaller than what
/// a new socket takes at once.
fn introduce(socket: &TcpStream, header: &[u8]) -> io::Result<()> {
    let sent = socket.try_write(header)?;
    if sent < header.len() { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) }
}

/// Whether the process or the system has no descriptor left (EMFILE, ENFILE).
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE].into_iter().any(|errno| number == Some(errno.raw_os_error()))
}

async fn dial_address(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Heads and small bodies go out at once; Nagle's delay would meet the peer's delayed ACK.
    socket.set_nodelay(true)?;
    if let Some(source) = source {
        // Whatever the system has against it, it has against the address.
        appear_as(&socket, source, address).map_err(|_| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
    }
    socket.connect(address).await
}
