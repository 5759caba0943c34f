//! Connections to endpoints: kept idle for reuse, one stack for each endpoint and worker, or dialled anew.

use crate::io::is_quiet;
use evenly_core::pool::{Endpoint, EndpointId, Pool};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream};

/// A connection to an endpoint.
pub struct Upstream {
    /// The socket.
    pub stream: TcpStream,
    /// Where it leads.
    pub endpoint: EndpointId,
    /// Whether it carried a request before: then its endpoint may have closed it while the next one was on its way.
    pub reused: bool,
}

/// An idle connection, with when it became idle.
struct Idle {
    stream: TcpStream,
    since: Instant,
    /// Copied from the pool, so that a sweep needs no snapshot.
    timeout: Duration,
}

/// A worker's idle upstream connections, by endpoint.
#[derive(Default)]
pub struct IdleConnections {
    by_endpoint: RefCell<Vec<Vec<Idle>>>,
}

impl IdleConnections {
    /// Takes the connection that was used last and is still quiet; closes those that are not.
    pub fn take(&self, endpoint: EndpointId) -> Option<Upstream> {
        let mut all = self.by_endpoint.borrow_mut();
        let stack = all.get_mut(endpoint.0 as usize)?;
        while let Some(idle) = stack.pop() {
            if is_quiet(&idle.stream) {
                return Some(Upstream { stream: idle.stream, endpoint, reused: true });
            }
        }
        None
    }

    /// Keeps a connection whose last exchange ended cleanly; the one idle longest makes room.
    pub fn keep(&self, upstream: Upstream, pool: &Pool, now: Instant) {
        let most = pool.keepalive.max_idle as usize;
        if most == 0 {
            return;
        }
        let mut all = self.by_endpoint.borrow_mut();
        let index = upstream.endpoint.0 as usize;
        if all.len() <= index {
            all.resize_with(index + 1, Vec::new);
        }
        let stack = &mut all[index];
        if stack.len() >= most {
            stack.remove(0);
        }
        let timeout = Duration::from_millis(pool.keepalive.idle_timeout_ms);
        stack.push(Idle { stream: upstream.stream, since: now, timeout });
    }

    /// Closes what is idle for too long or was closed by its endpoint, and everything to endpoints that are gone.
    pub fn sweep(&self, now: Instant, is_known: impl Fn(EndpointId) -> bool) {
        for (index, stack) in self.by_endpoint.borrow_mut().iter_mut().enumerate() {
            if stack.is_empty() {
                continue;
            }
            let known = u32::try_from(index).is_ok_and(|id| is_known(EndpointId(id)));
            stack.retain(|idle| {
                known && now.duration_since(idle.since) < idle.timeout && is_quiet(&idle.stream)
            });
            if stack.is_empty() {
                stack.shrink_to_fit();
            }
        }
    }

    /// Closes all.
    pub fn clear(&self) {
        self.by_endpoint.borrow_mut().clear();
    }
}

/// Connects to an endpoint. The caller holds the deadline.
pub async fn dial(endpoint: &Endpoint) -> io::Result<Upstream> {
    let stream = dial_address(endpoint.address()).await?;
    Ok(Upstream { stream, endpoint: endpoint.id(), reused: false })
}

async fn dial_address(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Heads and small bodies go out at once; Nagle's delay would meet the peer's delayed ACK.
    socket.set_nodelay(true)?;
    socket.connect(address).await
}
