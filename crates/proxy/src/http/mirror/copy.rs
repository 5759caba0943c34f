//! A copy on its way: pick, connect, send, read the answer to its end, compare.

use super::Tee;
use crate::http::exchange::Method;
use crate::http::kept::Kept;
use crate::http::settle::LIMITS;
use crate::io;
use crate::stream::Stream;
use crate::upstream::{Upstream, acquire, part};
use crate::worker::Worker;
use crate::worker::buffers::{Buffer, Text};
use crate::worker::mirrors::Slot;
use crate::worker::view::View;
use evenly_core::pool::Endpoint;
use evenly_core::route::{Comparison, Mirror, Mirrored, Outcome};
use evenly_http1::{BodyLength, BodyReader, Slots, parse_response};
use std::future::poll_fn;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::oneshot;

/// All that a copy needs; it outlives the exchange that it was made of.
pub(super) struct Copy {
    pub worker: Rc<Worker>,
    pub view: Rc<View>,
    /// The route's place in the snapshot.
    pub route: usize,
    pub key: Option<u64>,
    /// Head and body.
    pub text: Text,
    /// How a body of unknown length is framed in it.
    pub kept: Kept,
    /// Where `Host` belongs, when it is the endpoint's address.
    pub host_at: Option<usize>,
    pub method: Method,
    /// What the client gets, when that is to be compared.
    pub expected: Option<oneshot::Receiver<Outcome>>,
}

/// The answer did not come, or not whole.
struct Broken;

/// A response head, as far as a copy needs it.
struct Head {
    status: u16,
    length: usize,
    body: BodyReader,
    keep_alive: bool,
}

impl Copy {
    /// Sends it and counts what became of it. `_slot` is its place among those under way.
    pub(super) async fn run(mut self, _slot: Slot) {
        let view = Rc::clone(&self.view);
        let route = &view.snapshot.routes[self.route];
        let Some(mirror) = &route.mirror else { return };
        let id = route.id.0;
        let alarm = Rc::clone(&self.worker.alarm);
        let pool = Arc::clone(self.view.pool(mirror.pool.0 as usize));
        let permit = self.worker.enter(&pool);
        let result = match permit {
            Some(_) => alarm.within(mirror.timeout, self.ask(mirror)).await,
            None => Some(Err(Mirrored::NoEndpoint)),
        };
        let (what, outcome) = match result {
            Some(Ok(outcome)) => (Mirrored::Answered, Some(outcome)),
            Some(Err(what)) => (what, None),
            None => (Mirrored::Failed, None),
        };
        if let Some(permit) = permit.filter(|_| what != Mirrored::NoEndpoint) {
            pool.leave(permit, outcome.as_ref().is_some_and(|outcome| outcome.status < 500));
        }
        self.worker.stats.borrow_mut().mirrored(id, what);
        if let Some(expected) = self.expected.take() {
            // The client's own deadlines end this wait: its exchange drops the sender.
            let compared = Comparison::of(expected.await.ok(), outcome);
            self.worker.stats.borrow_mut().compared(id, compared);
        }
    }

    async fn ask(&mut self, mirror: &Mirror) -> Result<Outcome, Mirrored> {
        let now = self.worker.now();
        let picker = self.view.picker(mirror.pool.0 as usize);
        let lease = picker.borrow_mut().pick(self.key, None, now).map_err(|_| Mirrored::NoEndpoint)?;
        let endpoint = lease.endpoint();
        self.put_host(endpoint);
        let target = self.view.target(endpoint).map(Arc::clone);
        if let Some(idle) = self.worker.idle.take(endpoint, None, target.as_ref()) {
            lease.connected();
            // Its endpoint may have closed it meanwhile; then a new one may do, since nobody minds a copy that comes twice.
            if let Ok(outcome) = self.exchange(idle, mirror).await {
                return Ok(outcome);
            }
        }
        let pool = self.view.pool(mirror.pool.0 as usize);
        let acquired = acquire(&self.worker, (pool, endpoint), (Vec::new(), None), target).await;
        lease.connected();
        let upstream = acquired.map_err(|_| Mirrored::Failed)?;
        if !upstream.stream.frames_messages() {
            self.worker.stats.borrow_mut().upstream_opened(endpoint.id().0);
        }
        self.exchange(upstream, mirror).await.map_err(|Broken| Mirrored::Failed)
    }

    fn put_host(&mut self, endpoint: &Endpoint) {
        if let Some(at) = self.host_at.take() {
            let mut line = Vec::with_capacity(64);
            // Writing to memory does not fail.
            let _ = write!(line, "Host: {}\r\n", endpoint.address());
            self.text.splice(at..at, line);
        }
    }

    /// Sends the request and reads the answer to its end.
    async fn exchange(&mut self, mut upstream: Upstream, mirror: &Mirror) -> Result<Outcome, Broken> {
        let chunks = !upstream.stream.frames_messages();
        self.kept.reframe(&mut self.text, chunks, true).map_err(|_| Broken)?;
        self.send(&mut upstream).await?;
        let (head, mut buffer) = self.head(&mut upstream).await?;
        let (mut body, mut length, mut tee) = (head.body, 0, Tee::hash(mirror.body_bytes));
        let mut is_clean = true;
        loop {
            buffer.compact();
            let taken = body.take(&mut buffer).map_err(|_| Broken)?;
            length += taken.data as u64;
            tee.take(&buffer[..taken.data]);
            if body.is_done() {
                is_clean &= taken.consumed == buffer.len();
                break;
            }
            buffer = self.read(&mut upstream).await?;
            if buffer.is_empty() {
                body.on_eof().map_err(|_| Broken)?;
                is_clean = false;
                break;
            }
        }
        self.worker.stats.borrow_mut().mirror_answered(upstream.endpoint.0, head.status);
        if head.keep_alive && is_clean {
            let pool = self.view.pool(mirror.pool.0 as usize);
            self.worker.idle.keep(upstream, pool, self.worker.now());
        } else {
            part(upstream.stream);
        }
        Ok(Outcome { status: head.status, length, hash: tee.hash_value() })
    }

    async fn send(&self, upstream: &mut Upstream) -> Result<(), Broken> {
        let mut sent = 0;
        while sent < self.text.len() {
            let wrote = poll_fn(|cx| io::poll_write(&mut upstream.stream, cx, &self.text[sent..])).await;
            match wrote {
                Ok(n) if n > 0 => sent += n,
                _ => return Err(Broken),
            }
        }
        upstream.stream.finish();
        Ok(())
    }

    async fn read(&self, upstream: &mut Upstream) -> Result<Buffer, Broken> {
        poll_fn(|cx| io::poll_read(&mut upstream.stream, cx, &self.worker.buffers)).await.map_err(|_| Broken)
    }

    /// The final response's head, and the buffer with what came behind it.
    async fn head(&self, upstream: &mut Upstream) -> Result<(Head, Buffer), Broken> {
        let mut buffer = self.read(upstream).await?;
        loop {
            match parse(&buffer, self.method, &upstream.stream)? {
                Some(head) if (100..200).contains(&head.status) => buffer.consume(head.length),
                Some(head) => {
                    buffer.consume(head.length);
                    return Ok((head, buffer));
                }
                None => {
                    buffer.compact();
                    let more = poll_fn(|cx| match buffer.room().is_empty() {
                        true => Poll::Ready(Ok(0)),
                        false => io::poll_read_into(&mut upstream.stream, cx, &mut buffer),
                    });
                    if more.await.map_or(true, |n| n == 0) {
                        return Err(Broken);
                    }
                }
            }
        }
    }
}

fn parse(buffer: &Buffer, method: Method, stream: &Stream) -> Result<Option<Head>, Broken> {
    let mut slots = Slots::new();
    let head = parse_response(buffer, &LIMITS, method.for_response(), &mut slots).map_err(|_| Broken)?;
    Ok(head.map(|head| Head {
        status: head.status,
        length: head.length,
        body: stream.body(head.body),
        keep_alive: head.keep_alive && head.body != BodyLength::UntilClose,
    }))
}
