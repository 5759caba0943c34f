//! HTTP/1.1 text becomes a header block.
//!
//! The texts are the caller's own or were read by `evenly_http1`, so what would be refused here is a mistake; it is
//! checked all the same, as what leaves here is nobody's to check but the peer's.

use super::exchange::Exchange;
use super::kind::{Kind, is_token_byte, is_value};
use super::websocket;
use crate::hpack::{Coding, Name, write_field, write_index, write_named};
use evenly_http1::{FieldLine, split_field};

/// Names longer than this mean nothing here.
const LONGEST_KNOWN_NAME: usize = 32;
/// Indices of the static table.
const METHOD_GET: u8 = 2;
const METHOD_POST: u8 = 3;
const PATH_ROOT: u8 = 4;
const SCHEME_HTTP: u8 = 6;
const SCHEME_HTTPS: u8 = 7;

/// What went out with a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Sent {
    /// A request of this kind.
    Request(Exchange),
    /// Nothing to rely on: the server does not take other protocols (RFC 8441 §3).
    NeedsExtendedConnect,
}

/// Writes a response head, and returns its status.
///
/// # Errors
/// What is wrong with the text; the block is of no use then.
pub fn write_response(out: &mut impl Coding, head: &[u8], exchange: &Exchange) -> Result<u16, &'static str> {
    let mut lines = Lines(head);
    let status = status(lines.cut()?)?;
    let is_tunnel = exchange.is_upgrade() && status == 101;
    if status == 101 && !is_tunnel {
        return Err("101 to a request without upgrade");
    }
    if exchange.is_upgrade() && (200..300).contains(&status) {
        return Err("2xx to an upgrade, which HTTP/2 would take as its success");
    }
    out.status(if is_tunnel { 200 } else { status });
    // RFC 9110 §8.6.
    let has_length = status >= 200 && status != 204;
    let mut is_accepted = false;
    while let Some(line) = lines.next()? {
        let mut lower = [0; LONGEST_KNOWN_NAME];
        let name = known(line.name, &mut lower);
        match name.kind {
            Kind::Connection => {}
            Kind::ContentLength if !has_length => {}
            Kind::WebSocket if is_tunnel => {
                is_accepted |= matches!(exchange, Exchange::WebSocket(accept) if accept[..] == *line.value);
            }
            _ => out.field(name, line.value),
        }
    }
    if is_tunnel && matches!(exchange, Exchange::WebSocket(_)) && !is_accepted {
        return Err("101 without the right sec-websocket-accept");
    }
    Ok(status)
}

/// Writes a request head. `is_secure` says what `:scheme` is, `may_extend` whether the server takes extended CONNECT.
///
/// # Errors
/// What is wrong with the text; the block is of no use then.
pub fn write_request(
    out: &mut Vec<u8>,
    head: &[u8],
    is_secure: bool,
    may_extend: bool,
) -> Result<Sent, &'static str> {
    let mut lines = Lines(head);
    let mut words = lines.cut()?.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(b"HTTP/1.1" | b"HTTP/1.0"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("invalid request line");
    };
    if method.is_empty() || !method.iter().all(|&byte| is_token_byte(byte)) || !is_value(target) {
        return Err("invalid request line");
    }
    let outline = Outline::of(Lines(lines.0))?;
    let exchange = outline.exchange(method);
    if exchange.is_upgrade() && !may_extend {
        return Ok(Sent::NeedsExtendedConnect);
    }
    write_start(out, method, target, &outline, &exchange, is_secure)?;
    let mut is_grpc = false;
    while let Some(line) = lines.next()? {
        let mut lower = [0; LONGEST_KNOWN_NAME];
        let name = known(line.name, &mut lower);
        match name.kind {
            Kind::Connection | Kind::Host | Kind::Te => {}
            Kind::WebSocket | Kind::ContentLength if exchange.is_upgrade() => {}
            _ => {
                is_grpc |= name.text == b"content-type" && line.value.starts_with(b"application/grpc");
                write_named(out, name, line.value);
            }
        }
    }
    // gRPC's servers want to hear it, and a proxy's text has lost it: TE is for one connection in HTTP/1.1.
    if outline.takes_trailers || is_grpc {
        write_field(out, b"te", b"trailers");
    }
    Ok(Sent::Request(exchange))
}

/// Writes trailers, lines `name: value CRLF`. What would change the meaning of the head is left out (RFC 9110 §6.5.1).
///
/// # Errors
/// What is wrong with the text; the block is of no use then.
pub fn write_trailers(out: &mut impl Coding, fields: &[u8]) -> Result<(), &'static str> {
    let mut lines = Lines(fields);
    while let Some(line) = lines.next()? {
        let mut lower = [0; LONGEST_KNOWN_NAME];
        let name = known(line.name, &mut lower);
        if name.kind == Kind::Other {
            out.field(name, line.value);
        }
    }
    Ok(())
}

fn write_start(
    out: &mut Vec<u8>,
    method: &[u8],
    target: &[u8],
    outline: &Outline<'_>,
    exchange: &Exchange,
    is_secure: bool,
) -> Result<(), &'static str> {
    let (authority, path) = split_target(method, target, outline.host)?;
    match method {
        _ if exchange.is_upgrade() => write_field(out, b":method", b"CONNECT"),
        b"GET" => write_index(out, METHOD_GET),
        b"POST" => write_index(out, METHOD_POST),
        _ => write_field(out, b":method", method),
    }
    if *exchange != Exchange::Connect {
        write_index(out, if is_secure { SCHEME_HTTPS } else { SCHEME_HTTP });
        match path {
            b"/" => write_index(out, PATH_ROOT),
            _ => write_field(out, b":path", path),
        }
    }
    write_field(out, b":authority", authority);
    if exchange.is_upgrade() {
        write_field(out, b":protocol", exchange.protocol());
    }
    Ok(())
}

/// Authority and path of a target in any of its forms (RFC 9112 §3.2).
fn split_target<'t>(
    method: &[u8],
    target: &'t [u8],
    host: Option<&'t [u8]>,
) -> Result<(&'t [u8], &'t [u8]), &'static str> {
    let host = host.ok_or("request without Host");
    if method == b"CONNECT" {
        return Ok((target, b""));
    }
    if matches!(target, [b'/', ..] | b"*") {
        return Ok((host?, target));
    }
    let behind = target
        .windows(3)
        .position(|three| three == b"://")
        .map(|at| &target[at + 3..])
        .ok_or("invalid target")?;
    let end = behind.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(behind.len());
    match behind.split_at(end) {
        ([], _) => Err("invalid target"),
        (authority, path @ [b'/', ..]) => Ok((authority, path)),
        (authority, []) if method == b"OPTIONS" => Ok((authority, b"*")),
        (authority, []) => Ok((authority, b"/")),
        _ => Err("target with a query but without a path"),
    }
}

/// What must be known of a request's fields before the first is written.
#[derive(Default)]
struct Outline<'t> {
    host: Option<&'t [u8]>,
    /// `Upgrade`, if `Connection` says so as well.
    upgrade: Option<&'t [u8]>,
    wants_upgrade: bool,
    key: Option<&'t [u8]>,
    takes_trailers: bool,
}

impl<'t> Outline<'t> {
    fn of(mut lines: Lines<'t>) -> Result<Self, &'static str> {
        let mut outline = Self::default();
        while let Some(line) = lines.next()? {
            // The names that matter have these lengths.
            if !matches!(line.name.len(), 2 | 4 | 7 | 10 | 17) {
                continue;
            }
            let lists = |token: &[u8]| {
                line.value
                    .split(|&byte| byte == b',')
                    .any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
            };
            let mut lower = [0; LONGEST_KNOWN_NAME];
            match known(line.name, &mut lower).text {
                b"host" => outline.host = Some(line.value),
                b"te" => outline.takes_trailers |= lists(b"trailers"),
                b"upgrade" => outline.upgrade = Some(line.value),
                b"connection" => outline.wants_upgrade |= lists(b"upgrade"),
                b"sec-websocket-key" => outline.key = Some(line.value),
                _ => {}
            }
        }
        outline.upgrade = outline.upgrade.filter(|_| outline.wants_upgrade);
        Ok(outline)
    }

    fn exchange(&self, method: &[u8]) -> Exchange {
        match (method, self.upgrade) {
            (b"HEAD", _) => Exchange::HeadOnly,
            (b"CONNECT", _) => Exchange::Connect,
            (b"GET", Some(protocol)) if protocol.eq_ignore_ascii_case(b"websocket") => {
                Exchange::WebSocket(Box::new(websocket::accept(self.key.unwrap_or_default())))
            }
            (b"GET", Some(protocol)) => Exchange::Upgrade(protocol.into()),
            _ => Exchange::Message,
        }
    }
}

/// The status in a status line.
fn status(line: &[u8]) -> Result<u16, &'static str> {
    match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', digits @ ..] => match digits {
            [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] | [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', ..] => {
                Ok(digits[..3].iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0')))
            }
            _ => Err("invalid status line"),
        },
        _ => Err("invalid status line"),
    }
}

/// The lines of a text, up to an empty one or the end.
struct Lines<'t>(&'t [u8]);

impl<'t> Lines<'t> {
    /// The next line without its end.
    fn cut(&mut self) -> Result<&'t [u8], &'static str> {
        let end = self.0.iter().position(|&byte| byte == b'\n').ok_or("text without an end")?;
        let (line, rest) = self.0.split_at(end + 1);
        self.0 = rest;
        line.strip_suffix(b"\r\n").ok_or("bare LF")
    }

    /// The next field.
    #[inline]
    fn next(&mut self) -> Result<Option<FieldLine<'t>>, &'static str> {
        if matches!(self.0, [] | [b'\r', b'\n', ..]) {
            return Ok(None);
        }
        let line = split_field(self.0)?;
        self.0 = line.rest;
        Ok(Some(line))
    }
}

/// A name in lower case, if it is short enough to mean something, and what is known of it.
#[inline]
fn known<'l>(name: &'l [u8], lower: &'l mut [u8; LONGEST_KNOWN_NAME]) -> Name<'l> {
    match lower.get_mut(..name.len()) {
        Some(lower) => {
            lower.copy_from_slice(name);
            lower.make_ascii_lowercase();
            Name::of(lower)
        }
        None => Name::unknown(name),
    }
}

#[cfg(test)]
mod tests;
