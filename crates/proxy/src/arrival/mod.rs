//! *Accept*, from the socket to the protocol: whose connection it is, and whether that client may come in.
//!
//! | step | where |
//! |---|---|
//! | a trusted proxy says who the client is | `header.rs` |
//! | the client's network and the number of its connections | [`enter`], `crate::permits` |
//! | what happens to those who may not | `refusal.rs` |
//! | *handshake*, where TLS is terminated | [`secure`], `crate::tls` |
//!
//! What comes of it is a task of its own: `http::serve` or `tcp::serve`.

mod header;
mod refusal;

pub use refusal::{Tarpit, tell};

use crate::permits::Permit;
use crate::stream::Stream;
use crate::worker::Worker;
use crate::{http, tcp, tls};
use evenly_core::document::{Others, Protocol};
use evenly_core::error::Failure;
use evenly_core::listener::Listener;
use evenly_core::proxy_protocol::{Addresses, Outgoing, Transport, Version};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Where a connection comes from.
pub struct Origin {
    /// The client: who is connected, or whom a trusted proxy names.
    pub peer: SocketAddr,
    /// The configured address that it came to; names the listener in every snapshot.
    pub bind: SocketAddr,
    /// What a trusted proxy said besides.
    pub proxied: Option<Rc<Proxied>>,
}

/// What a PROXY protocol header says besides the client's address.
pub struct Proxied {
    /// Where the client connected to.
    pub destination: SocketAddr,
    /// TLVs, to be passed on.
    pub tlvs: Box<[u8]>,
}

impl Origin {
    /// Both ends of the client's connection, as the client sees them.
    pub fn addresses(&self, stream: &Stream) -> Addresses {
        addresses(self.peer, self.bind, self.proxied.as_deref(), stream)
    }
}

/// Both ends of a client's connection, as the client sees them.
pub fn addresses(
    peer: SocketAddr,
    bind: SocketAddr,
    proxied: Option<&Proxied>,
    stream: &Stream,
) -> Addresses {
    let destination = proxied.map(|proxied| proxied.destination);
    // A socket that is gone has no address any more, and its connection nobody to tell.
    let destination = destination.or_else(|| stream.local_addr()).unwrap_or(bind);
    Addresses { source: peer, destination }
}

/// The PROXY protocol header that an endpoint gets in front of a connection.
pub fn introduction(version: Version, addresses: Addresses, proxied: Option<&Proxied>) -> Vec<u8> {
    let tlvs = proxied.map_or(&[][..], |proxied| &proxied.tlvs);
    let mut out = Vec::new();
    let outgoing = Outgoing { version, transport: Transport::Stream, addresses: Some(addresses), tlvs };
    evenly_core::proxy_protocol::write(&mut out, &outgoing);
    out
}

/// Takes a connection that has its permit to where it is served.
pub fn arrive(
    worker: &Rc<Worker>,
    listener: &Arc<Listener>,
    stream: TcpStream,
    origin: Origin,
    permit: Permit,
) {
    let Some(proxies) = &listener.proxy_protocol else {
        return enter(worker, listener, stream, origin, permit);
    };
    if proxies.from.contains(origin.peer.ip()) {
        let (worker, listener) = (Rc::clone(worker), Arc::clone(listener));
        tokio::task::spawn_local(async move { proxied(&worker, &listener, stream, origin, permit).await });
        return;
    }
    match proxies.others {
        Others::Plain => enter(worker, listener, stream, origin, permit),
        Others::Refuse => refusal::refuse(worker, listener, stream, origin.peer, Failure::ProxyHeaderBad),
    }
}

/// Reads the header of a trusted proxy first.
async fn proxied(
    worker: &Rc<Worker>,
    listener: &Arc<Listener>,
    stream: TcpStream,
    mut origin: Origin,
    permit: Permit,
) {
    match header::read(worker, &stream, (origin.bind, listener.timeouts.header)).await {
        Ok(Some((peer, proxied))) => {
            origin.peer = peer;
            origin.proxied = Some(proxied);
        }
        // The proxy's own connection.
        Ok(None) => {}
        Err(failure) => return refusal::refuse(worker, listener, stream, origin.peer, failure),
    }
    enter(worker, listener, stream, origin, permit);
}

/// Lets a client in whose address is known, or turns it away.
fn enter(
    worker: &Rc<Worker>,
    listener: &Arc<Listener>,
    stream: TcpStream,
    origin: Origin,
    mut permit: Permit,
) {
    let client = origin.peer.ip();
    if !listener.denied.is_empty() && listener.denied.contains(client) {
        return refusal::refuse(worker, listener, stream, origin.peer, Failure::ClientDenied);
    }
    if listener.max_per_client.is_some_and(|most| !permit.count_client(client, most)) {
        return refusal::refuse(worker, listener, stream, origin.peer, Failure::ClientLimit);
    }
    if listener.tls.is_none() {
        return serve(worker, listener, Stream::Plain(stream), origin, permit);
    }
    let (worker, listener) = (Rc::clone(worker), Arc::clone(listener));
    tokio::task::spawn_local(async move { secure(&worker, &listener, stream, origin, permit).await });
}

/// *Handshake*.
async fn secure(
    worker: &Rc<Worker>,
    listener: &Arc<Listener>,
    stream: TcpStream,
    origin: Origin,
    permit: Permit,
) {
    let view = worker.view_of(origin.bind);
    let termination = view.as_ref().and_then(|view| view.termination(origin.bind));
    let (Some(tls), Some(termination)) = (&listener.tls, termination.cloned()) else { return };
    drop(view);
    let now = worker.now();
    let address = origin.peer.ip();
    if tls.rate.as_ref().is_some_and(|rate| !rate.admit(permit.hash_of(address), now)) {
        return refusal::refuse(worker, listener, stream, origin.peer, Failure::TlsLimit);
    }
    match tls::handshake(worker, stream, origin.bind, &termination, tls).await {
        Ok(Some(session)) => {
            let facts = session.facts();
            worker.stats.borrow_mut().tls_agreed(listener.id.0, facts.version, facts.is_resumed);
            // A task of its own: a connection need not carry on what its handshake needed.
            serve(worker, listener, Stream::Tls(session), origin, permit);
        }
        Ok(None) => {}
        Err(failure) => {
            let mut stats = worker.stats.borrow_mut();
            stats.tls_failed(listener.id.0);
            if failure == Failure::TlsTimeout {
                stats.slow_client(listener.id.0);
            }
            drop(stats);
            tell(worker, listener, (origin.peer, "TCP"), failure);
        }
    }
}

/// Gives a connection the task that serves it.
fn serve(worker: &Rc<Worker>, listener: &Listener, stream: Stream, origin: Origin, permit: Permit) {
    let worker = Rc::clone(worker);
    match listener.protocol {
        Protocol::Http => {
            tokio::task::spawn_local(http::serve(worker, stream, origin, permit));
        }
        Protocol::Tcp => {
            tokio::task::spawn_local(tcp::serve(worker, stream, origin, permit));
        }
        // Streams do not come to sockets for datagrams.
        Protocol::Udp => {}
    }
}
