//! A request's fields become the text of a request head (RFC 9113 §8.3.1; RFC 8441 §4).

use super::exchange::Exchange;
use super::kind::{Kind, is_token_byte};
use super::section::Rooms;
use super::websocket;
use super::{Sink, append, content_length};
use crate::hpack::Field;

/// A request while its fields come.
pub struct Request<'r> {
    rooms: &'r mut Rooms,
    /// Where each pseudo-header's value is in the room for them, by [`Kind`].
    pseudo: [Option<(usize, usize)>; 5],
    /// Regular fields have begun.
    has_begun: bool,
    has_host: bool,
    content_length: Option<u64>,
    exchange: Exchange,
    /// Whether other protocols may be asked for.
    may_extend: bool,
    /// What a WebSocket key is made of.
    seed: u64,
}

/// What follows a request's head.
pub struct Outlook {
    /// What the request asked for.
    pub exchange: Exchange,
    /// How much data must follow, if the request says so.
    pub content_length: Option<u64>,
}

impl<'r> Request<'r> {
    /// A request of which nothing is known; `seed` is different for each.
    pub fn new(rooms: &'r mut Rooms, may_extend: bool, seed: u64) -> Self {
        rooms.clear();
        Self {
            rooms,
            pseudo: [None; 5],
            has_begun: false,
            has_host: false,
            content_length: None,
            exchange: Exchange::Message,
            may_extend,
            seed,
        }
    }

    /// All fields are there: completes the text.
    ///
    /// # Errors
    /// Why the request is malformed.
    pub fn finish(mut self, is_end: bool) -> Result<Outlook, &'static str> {
        if !self.has_begun {
            self.begin()?;
        }
        let text = &mut self.rooms.text;
        if !self.rooms.cookies.is_empty() {
            append(text, &[b"cookie: ", &self.rooms.cookies, b"\r\n"]);
        }
        match (&self.exchange, self.content_length) {
            (Exchange::Message, Some(length)) if is_end && length > 0 => {
                return Err("content-length of a request without content");
            }
            (Exchange::Message, Some(_)) => {}
            (Exchange::Message, None) if !is_end => append(text, &[b"transfer-encoding: chunked\r\n"]),
            // RFC 9110 §8.6: where content is expected, its absence is said.
            (Exchange::Message, None) if text.starts_with(b"P") && expects_content(text) => {
                append(text, &[b"content-length: 0\r\n"]);
            }
            (Exchange::Message, None) => {}
            (_, Some(_)) => return Err("CONNECT with content-length"),
            (_, None) => {}
        }
        if let Exchange::Upgrade(protocol) = &self.exchange {
            append(text, &[b"connection: upgrade\r\nupgrade: ", protocol, b"\r\n"]);
        } else if let Exchange::WebSocket(accept) = &mut self.exchange {
            let key = websocket::key(self.seed);
            **accept = websocket::accept(&key);
            append(
                text,
                &[b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: ", &key, b"\r\n"],
            );
        }
        append(text, &[b"\r\n"]);
        Ok(Outlook { exchange: self.exchange, content_length: self.content_length })
    }

    fn value(&self, kind: Kind) -> Option<&[u8]> {
        let (start, end) = self.pseudo[kind as usize]?;
        self.rooms.pseudo.get(start..end)
    }

    /// All pseudo-headers are there: writes the request line and `host`.
    fn begin(&mut self) -> Result<(), &'static str> {
        self.has_begun = true;
        let mut text = std::mem::take(&mut self.rooms.text);
        let begun = self.write_start(&mut text);
        self.rooms.text = text;
        self.exchange = begun?;
        Ok(())
    }

    fn write_start(&self, text: &mut Vec<u8>) -> Result<Exchange, &'static str> {
        let method = self.value(Kind::Method).ok_or("request without :method")?;
        if method.is_empty() || !method.iter().all(|&byte| is_token_byte(byte)) {
            return Err("invalid :method");
        }
        let (scheme, path) = (self.value(Kind::Scheme), self.value(Kind::Path));
        let (authority, protocol) = (self.value(Kind::Authority), self.value(Kind::Protocol));
        if method == b"CONNECT" && protocol.is_none() {
            if scheme.is_some() || path.is_some() {
                return Err("CONNECT with :scheme or :path");
            }
            let authority =
                authority.filter(|authority| is_target(authority)).ok_or("CONNECT without :authority")?;
            append(text, &[b"CONNECT ", authority, b" HTTP/1.1\r\nhost: ", authority, b"\r\n"]);
            return Ok(Exchange::Connect);
        }
        match scheme.ok_or("request without :scheme")? {
            b"http" | b"https" => {}
            other if other.eq_ignore_ascii_case(b"http") || other.eq_ignore_ascii_case(b"https") => {}
            _ => return Err("invalid :scheme"),
        }
        match path.ok_or("request without :path")? {
            b"*" if method == b"OPTIONS" => {}
            target @ [b'/', ..] if is_target(target) => {}
            _ => return Err("invalid :path"),
        }
        let exchange = match protocol {
            None => Exchange::Message,
            Some(protocol) => self.extended(method, protocol)?,
        };
        if exchange.is_upgrade() && authority.is_none() {
            return Err("CONNECT without :authority");
        }
        let method = if exchange.is_upgrade() { b"GET" } else { method };
        append(text, &[method, b" ", path.unwrap_or_default(), b" HTTP/1.1\r\n"]);
        if let Some(authority) = authority {
            append(text, &[b"host: ", authority, b"\r\n"]);
        }
        Ok(exchange)
    }

    /// What `:protocol` asks for.
    #[cold]
    fn extended(&self, method: &[u8], protocol: &[u8]) -> Result<Exchange, &'static str> {
        if !self.may_extend || method != b"CONNECT" {
            return Err(":protocol where it is not allowed");
        }
        if protocol.eq_ignore_ascii_case(b"websocket") {
            return Ok(Exchange::WebSocket(Box::new([0; 28])));
        }
        if protocol.is_empty() || !protocol.iter().all(|&byte| is_token_byte(byte)) {
            return Err("invalid :protocol");
        }
        Ok(Exchange::Upgrade(protocol.into()))
    }

    fn take_pseudo(&mut self, kind: Kind, value: &[u8]) -> Result<(), &'static str> {
        if self.has_begun {
            return Err("pseudo-header behind a field");
        }
        let start = self.rooms.pseudo.len();
        self.rooms.pseudo.extend_from_slice(value);
        let before = self.pseudo[kind as usize].replace((start, self.rooms.pseudo.len()));
        if before.is_some() { Err("repeated pseudo-header") } else { Ok(()) }
    }

    /// `host` besides `:authority` must mean the same, and is not needed then (RFC 9113 §8.3.1).
    fn take_host(&mut self, field: &Field<'_>) -> Result<(), &'static str> {
        if std::mem::replace(&mut self.has_host, true) {
            return Err("repeated host");
        }
        match self.value(Kind::Authority) {
            Some(authority) if is_same(self.value(Kind::Scheme), authority, field.value()) => {}
            Some(_) => return Err(":authority and host differ"),
            None => self.rooms.text.extend_from_slice(field.text),
        }
        Ok(())
    }
}

impl Sink for Request<'_> {
    #[inline]
    fn take(&mut self, field: &Field<'_>) -> Result<(), &'static str> {
        if !field.is_sound {
            return Err("invalid byte in a value");
        }
        match field.kind {
            Kind::Method | Kind::Scheme | Kind::Authority | Kind::Path | Kind::Protocol => {
                return self.take_pseudo(field.kind, field.value());
            }
            Kind::Status => return Err(":status in a request"),
            Kind::Invalid => return Err("invalid field name"),
            Kind::Connection => return Err("field for one connection"),
            _ if self.has_begun => {}
            _ => self.begin()?,
        }
        match field.kind {
            Kind::Host => return self.take_host(field),
            Kind::Cookie => {
                let cookies = &mut self.rooms.cookies;
                if !cookies.is_empty() {
                    cookies.extend_from_slice(b"; ");
                }
                cookies.extend_from_slice(field.value());
                return Ok(());
            }
            Kind::ContentLength => {
                let before = self.content_length.replace(content_length(field.value())?);
                if before.is_some() {
                    return Err("repeated content-length");
                }
            }
            Kind::Te if !field.value().eq_ignore_ascii_case(b"trailers") => {
                return Err("te with more than trailers");
            }
            Kind::WebSocket if self.exchange.is_upgrade() => return Ok(()),
            _ => {}
        }
        self.rooms.text.extend_from_slice(field.text);
        Ok(())
    }
}

/// Whether two authorities are the same for a scheme, whose default port may be left out (RFC 9113 §8.3.1).
fn is_same(scheme: Option<&[u8]>, one: &[u8], other: &[u8]) -> bool {
    let port: &[u8] = match scheme {
        Some(scheme) if scheme.eq_ignore_ascii_case(b"https") => b":443",
        Some(_) => b":80",
        None => b"",
    };
    let [one, other] = [one, other].map(|authority| authority.strip_suffix(port).unwrap_or(authority));
    one.eq_ignore_ascii_case(other)
}

/// Whether `target` can stand in a request line: nothing that would end it. The rest is the parser's to check.
fn is_target(target: &[u8]) -> bool {
    target.iter().fold(!target.is_empty(), |good, &byte| good & (byte > b' ') & (byte != 0x7f))
}

fn expects_content(text: &[u8]) -> bool {
    [&b"POST "[..], b"PUT ", b"PATCH "].iter().any(|method| text.starts_with(method))
}

#[cfg(test)]
mod tests;
