//! What the access log says of a request or connection, and in which form.
//!
//! A line is begun while the request's head is at hand and finished when all is counted. It is rendered into a lent
//! text and handed to the worker's ring whole; the writer behind it is `service/access_log`.

mod json;
mod text;

use crate::metrics::Record;
use crate::service::LogRing;
use crate::tls::Facts;
use crate::worker::Worker;
use crate::worker::buffers::Text;
use evenly_core::document::LogFormat;
use evenly_core::listener::Listener;
use evenly_http1::{FieldKind, RequestHead};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

/// A worker's access log.
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// Where finished lines go.
    pub ring: LogRing,
}

/// A line that is begun.
pub struct Line {
    text: Text,
    format: LogFormat,
    /// Where what is known only at the end goes into a text line; the referrer and the agent follow it.
    split: usize,
}

/// What the log calls the things that the record has only numbers for.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// The route.
    pub route: Option<&'a str>,
    /// The pool.
    pub pool: Option<&'a str>,
    /// The endpoint.
    pub endpoint: Option<SocketAddr>,
}

/// What the log takes from the request itself. Bytes as received; each format escapes what it must.
struct Asked<'a> {
    /// Who asked, behind trusted proxies too.
    client: IpAddr,
    /// Who is connected.
    peer: SocketAddr,
    listener: &'a str,
    request_id: &'a str,
    method: &'a str,
    target: &'a str,
    host: &'a str,
    protocol: &'a str,
    referer: &'a [u8],
    user_agent: &'a [u8],
}

impl Line {
    /// Begins the line of a request; `None` when there is no access log, which costs nothing then.
    pub fn request(
        worker: &Rc<Worker>,
        listener: &Listener,
        (client, peer, protocol): (IpAddr, SocketAddr, &str),
        head: &RequestHead<'_, '_>,
        request_id: &str,
    ) -> Option<Self> {
        let format = format(worker)?;
        let named = |name: &[u8]| {
            let other = head.fields.iter().filter(|field| field.kind == FieldKind::Other);
            let mut named = other.filter(|field| field.name.as_bytes().eq_ignore_ascii_case(name));
            named.next().map_or(&b""[..], |field| field.value)
        };
        let asked = Asked {
            client,
            peer,
            listener: &listener.name,
            request_id,
            method: head.method,
            target: head.target.raw,
            host: head.host,
            protocol,
            referer: named(b"referer"),
            user_agent: named(b"user-agent"),
        };
        Some(Self::begin(worker, format, &asked))
    }

    /// Begins the line of a request whose head could not be read, or of a TCP connection.
    pub fn unread(
        worker: &Rc<Worker>,
        listener: &Listener,
        peer: SocketAddr,
        protocol: &str,
    ) -> Option<Self> {
        let format = format(worker)?;
        let asked = Asked {
            client: peer.ip().to_canonical(),
            peer,
            listener: &listener.name,
            request_id: "",
            method: "",
            target: "",
            host: "",
            protocol,
            referer: b"",
            user_agent: b"",
        };
        Some(Self::begin(worker, format, &asked))
    }

    fn begin(worker: &Rc<Worker>, format: LogFormat, asked: &Asked<'_>) -> Self {
        let mut text = worker.buffers.text();
        let split = match format {
            LogFormat::Json => json::begin(&mut text, asked),
            LogFormat::Text => text::begin(&mut text, asked),
        };
        Self { text, format, split }
    }

    /// Says whose request it is.
    pub fn user(&mut self, name: &str) {
        match self.format {
            LogFormat::Json => json::user(&mut self.text, name),
            LogFormat::Text => self.split += text::user(&mut self.text, name),
        }
    }

    /// Says what was agreed on with a client that came over TLS; text lines have no place for it.
    pub fn tls(&mut self, facts: &Facts) {
        if self.format == LogFormat::Json {
            json::tls(&mut self.text, facts);
        }
    }

    /// Says what name a client's ClientHello had that is passed through; text lines have no place for it.
    pub fn server_name(&mut self, name: &str) {
        if self.format == LogFormat::Json {
            json::server_name(&mut self.text, name);
        }
    }

    /// Says that the response was compressed, and from how many bytes; text lines have no place for it.
    pub fn compressed(&mut self, coding: &str, bytes: u64) {
        if self.format == LogFormat::Json {
            json::compressed(&mut self.text, coding, bytes);
        }
    }

    /// Says that a second try began beside the first, and whether it was the faster one; text lines have no place for it.
    pub fn hedged(&mut self, word: &str) {
        if self.format == LogFormat::Json {
            json::hedged(&mut self.text, word);
        }
    }

    /// Says for how long it was held up on purpose; text lines have no place for it.
    pub fn delayed(&mut self, delay: Duration) {
        if self.format == LogFormat::Json {
            json::delayed(&mut self.text, delay);
        }
    }

    /// Says what was spoken to the endpoint; text lines have no place for it.
    pub fn spoken(&mut self, protocol: &str) {
        if self.format == LogFormat::Json {
            json::spoken(&mut self.text, protocol);
        }
    }

    /// Finishes the line and hands it over; when the ring is full it is dropped there and counted.
    pub fn finish(mut self, worker: &Worker, record: &Record, names: &Names<'_>) {
        match self.format {
            LogFormat::Json => json::finish(&mut self.text, record, names),
            LogFormat::Text => text::finish(&mut self.text, self.split, record, names),
        }
        if let Some(log) = worker.log.borrow_mut().as_mut() {
            log.ring.push(&self.text);
        }
    }
}

fn format(worker: &Worker) -> Option<LogFormat> {
    worker.log.borrow().as_ref().map(|log| log.format)
}
