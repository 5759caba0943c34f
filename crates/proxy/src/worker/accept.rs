//! *Accept*: takes connections off this worker's listening sockets, each under a permit.

use super::Worker;
use crate::arrival::{Origin, arrive};
use crate::upstream::is_out_of_descriptors;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Pause after the system refused a descriptor or memory, and between looks for a free permit: soon enough for a
/// client not to notice, seldom enough not to spin.
const PAUSE: Duration = Duration::from_millis(20);

/// This worker's listening sockets, each with the task that accepts on it.
#[derive(Default)]
pub struct Acceptors {
    tasks: FxHashMap<SocketAddr, Vec<Acceptor>>,
}

struct Acceptor {
    socket: Rc<TcpListener>,
    waiting: Waiting,
    task: tokio::task::JoinHandle<()>,
}

/// Connections that wait for a permit. While the socket is open that is at most one: the others wait in the kernel's
/// queue, which is bounded, and behind which clients wait with their first packet.
type Waiting = Rc<RefCell<VecDeque<(TcpStream, SocketAddr)>>>;

impl Acceptors {
    /// Adds new sockets and closes those whose address the worker's snapshot no longer names.
    pub fn update(&mut self, worker: &Rc<Worker>, sockets: Vec<(SocketAddr, std::net::TcpListener)>) {
        let view = worker.pin();
        let gone: Vec<SocketAddr> =
            self.tasks.keys().filter(|bind| view.listener(**bind).is_none()).copied().collect();
        if !gone.is_empty() {
            // Their idle connections learn that they are to end.
            worker.deadlines.wake_all();
        }
        for bind in gone {
            self.tasks.remove(&bind).into_iter().flatten().for_each(|acceptor| acceptor.close(worker, bind));
        }
        for (bind, socket) in sockets {
            match TcpListener::from_std(socket) {
                Ok(socket) => {
                    let acceptor = Acceptor::start(worker, socket, bind);
                    self.tasks.entry(bind).or_default().push(acceptor);
                }
                // Only a runtime without descriptors refuses; the address then has no acceptor here.
                Err(error) => worker.stats.borrow_mut().accept_error(&error),
            }
        }
    }

    /// Closes all: the worker drains.
    pub fn close(&mut self, worker: &Rc<Worker>) {
        for (bind, acceptors) in self.tasks.drain() {
            acceptors.into_iter().for_each(|acceptor| acceptor.close(worker, bind));
        }
    }
}

impl Acceptor {
    fn start(worker: &Rc<Worker>, socket: TcpListener, bind: SocketAddr) -> Self {
        let (socket, waiting) = (Rc::new(socket), Waiting::default());
        let accepting = accept(Rc::clone(worker), Rc::clone(&socket), Rc::clone(&waiting), bind);
        Self { socket, waiting, task: tokio::task::spawn_local(accepting) }
    }

    /// Stops accepting, and serves who came before that: closing the socket resets who is still in its queue.
    fn close(self, worker: &Rc<Worker>, bind: SocketAddr) {
        self.task.abort();
        let mut waiting = self.waiting.borrow_mut();
        // Asked of the kernel, not of tokio, which may not have heard yet of the last arrivals.
        while let Ok((socket, peer)) = socket2::SockRef::from(&*self.socket).accept() {
            let stream = socket.set_nonblocking(true).and_then(|()| TcpStream::from_std(socket.into()));
            if let (Ok(stream), Some(peer)) = (stream, peer.as_socket()) {
                waiting.push_back((stream, peer));
            }
        }
        drop(waiting);
        tokio::task::spawn_local(serve_waiting(Rc::clone(worker), self.waiting, bind));
    }
}

async fn accept(worker: Rc<Worker>, socket: Rc<TcpListener>, waiting: Waiting, bind: SocketAddr) {
    loop {
        match poll_fn(|cx| socket.poll_accept(cx)).await {
            Ok((stream, peer)) => {
                if let Some(stream) = serve(&worker, stream, peer, bind) {
                    worker.stats.borrow_mut().accept_limited();
                    waiting.borrow_mut().push_back((stream, peer));
                    serve_waiting(Rc::clone(&worker), Rc::clone(&waiting), bind).await;
                }
            }
            Err(error) => {
                worker.stats.borrow_mut().accept_error(&error);
                if is_out_of_descriptors(&error) {
                    worker.idle.clear();
                }
                if !is_of_one_connection(&error) {
                    worker.alarm.sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Serves who waits, in order, as permits become free. Ends when nobody waits any more, or when the listener's last
/// view is dropped.
async fn serve_waiting(worker: Rc<Worker>, waiting: Waiting, bind: SocketAddr) {
    loop {
        let Some((stream, peer)) = waiting.borrow_mut().pop_front() else { return };
        if let Some(stream) = serve(&worker, stream, peer, bind) {
            waiting.borrow_mut().push_front((stream, peer));
            worker.alarm.sleep(PAUSE).await;
        }
    }
}

/// Errors that accept(2) reports for the connection at the queue's head, not for the socket.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Gives a connection its permit and its task, or gives it back when a limit is reached.
fn serve(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, bind: SocketAddr) -> Option<TcpStream> {
    let view = worker.view_of(bind)?;
    let (listener, permits) = view.listener(bind)?;
    let Some(permit) = permits.acquire() else { return Some(stream) };
    arrive(worker, listener, stream, Origin { peer, bind, proxied: None }, permit);
    None
}
