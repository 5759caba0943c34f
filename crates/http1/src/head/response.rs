//! Response heads (RFC 9112 §4).

use super::facts::{Coding, Facts};
use super::fields::{Field, Slots, copy_lines};
use super::kind::FieldKind;
use super::lines::{Lines, read_lines, split_value};
use super::{BodyLength, Fault, HeadLimits, Version};

/// A response head that says one thing only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHead<'b, 's> {
    /// 100 to 999.
    pub status: u16,
    /// The phrase behind the status; empty if there is none or if it is not UTF-8.
    pub reason: &'b str,
    /// The endpoint's version.
    pub version: Version,
    /// Whether the connection may be used again once the body is complete. Never set when the end of the connection
    /// ends the body, nor after a 204 that says it has a body.
    pub keep_alive: bool,
    /// How its body is framed. For 101, and 2xx to CONNECT, [`BodyLength::None`]: what follows is a tunnel.
    pub body: BodyLength,
    /// The protocol that the endpoint changes to (101) or asks for, in HTTP/1.1 and if `Connection` says so.
    pub upgrade: Option<&'b [u8]>,
    /// All field lines, in order. A `Content-Length` that must not be passed on (204, and 2xx to CONNECT) is marked as
    /// hop-by-hop.
    pub fields: &'s [Field<'b>],
    /// Bytes of the buffer that were read, the empty line included.
    pub length: usize,
    raw: &'b [u8],
}

impl<'b> ResponseHead<'b, '_> {
    /// Appends to `out` each field line that `keep` accepts, as it was sent; neighbours go in one copy.
    #[inline]
    pub fn copy_fields(&self, out: &mut Vec<u8>, keep: impl FnMut(&Field<'b>) -> bool) {
        copy_lines(self.raw, self.fields, out, keep);
    }
}

/// Why a response was refused, which always becomes 502; the connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseError {
    reason: &'static str,
}

impl ResponseError {
    /// What to write into the log.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason
    }
}

impl std::fmt::Display for ResponseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason)
    }
}

impl std::error::Error for ResponseError {}

impl From<Fault> for ResponseError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Syntax(reason) => Self { reason },
            Fault::TooManyFields => Self { reason: "too many header fields" },
        }
    }
}

/// Reads a response head from the beginning of `buf`; `None` until all of it is there.
///
/// `request_method` is the method of the request it answers: HEAD and CONNECT change what follows. A 1xx is returned
/// as a head of its own; the next head follows it.
///
/// # Errors
/// [`ResponseError`], as soon as the bytes seen so far leave no doubt.
#[inline]
pub fn parse_response<'b, 's>(
    buf: &'b [u8],
    limits: &HeadLimits,
    request_method: &str,
    slots: &'s mut Slots<'b>,
) -> Result<Option<ResponseHead<'b, 's>>, ResponseError> {
    let head = limits.window(buf);
    let Some(line) = parse_line(head)? else { return await_more(limits, head) };
    let mut facts = Facts::default();
    let Some(lines) = read_lines(head, line.end, limits.fields, slots, &mut facts)? else {
        return await_more(limits, head);
    };
    conclude(head, &line, lines, &facts, request_method).map(Some)
}

/// `None`, or the error if a head that is not complete yet has reached the limit.
fn await_more<T>(limits: &HeadLimits, head: &[u8]) -> Result<Option<T>, ResponseError> {
    if limits.is_reached(head) { Err(ResponseError { reason: "head too large" }) } else { Ok(None) }
}

/// A status line.
struct StatusLine<'b> {
    version: Version,
    status: u16,
    reason: &'b str,
    /// Where the next line begins.
    end: usize,
}

/// `HTTP-version SP 3DIGIT [ SP reason ] CRLF`. RFC 9112 §4 wants the second space even without a
/// reason; servers that leave it out are many, and there is only one way to read them.
#[inline]
fn parse_line(head: &[u8]) -> Result<Option<StatusLine<'_>>, Fault> {
    let Some((start, rest)) = head.split_first_chunk::<12>() else {
        return check_unfinished_line(head).map(|()| None);
    };
    let version = match start {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', b' ', ..] => Version::Http11,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0', b' ', ..] => Version::Http10,
        _ => return Err(Fault::Syntax("invalid version in the status line")),
    };
    let &[.., hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = start else {
        return Err(Fault::Syntax("invalid status"));
    };
    let status = [tens, ones]
        .iter()
        .fold(u16::from(hundreds - b'0'), |status, digit| status * 10 + u16::from(digit - b'0'));
    let phrase = match rest {
        [b' ', phrase @ ..] => phrase,
        [b'\r', ..] => rest,
        [] => return Ok(None),
        _ => return Err(Fault::Syntax("invalid status")),
    };
    let Some((reason, behind)) = split_value(phrase)? else { return Ok(None) };
    // The reason that most responses have need not be looked at byte by byte.
    let reason = if reason == b"OK" { "OK" } else { std::str::from_utf8(reason).unwrap_or_default() };
    Ok(Some(StatusLine { version, status, reason, end: head.len() - behind.len() }))
}

/// Fewer bytes than a status line has: the beginning of one, or none at all. An empty line before it is not
/// skipped: it would be what an earlier response left behind.
#[cold]
fn check_unfinished_line(head: &[u8]) -> Result<(), Fault> {
    let fits = head.iter().zip(b"HTTP/1.v ").all(|(&byte, &form)| match form {
        b'v' => matches!(byte, b'0' | b'1'),
        _ => byte == form,
    });
    if fits { Ok(()) } else { Err(Fault::Syntax("invalid version in the status line")) }
}

/// Draws the conclusions from the whole head.
#[inline]
fn conclude<'b, 's>(
    head: &'b [u8],
    line: &StatusLine<'b>,
    lines: Lines<'b, 's>,
    facts: &Facts<'b>,
    request_method: &str,
) -> Result<ResponseHead<'b, 's>, ResponseError> {
    let Lines { fields, end } = lines;
    let is_http11 = line.version == Version::Http11;
    let framed = framed_length(line.version, facts)?;
    let upgrade = facts.upgrade().filter(|_| is_http11);
    let is_tunnel = request_method == "CONNECT" && (200..=299).contains(&line.status);
    let has_no_body = is_tunnel || request_method == "HEAD" || matches!(line.status, 100..=199 | 204 | 304);
    let body = if has_no_body { BodyLength::None } else { framed };
    let claims_body = matches!(framed, BodyLength::Chunked | BodyLength::Length(1..));
    if matches!(line.status, 100..=199) && framed != BodyLength::UntilClose {
        return Err(ResponseError { reason: "1xx with a body" });
    }
    if line.status == 101 && upgrade.is_none() {
        return Err(ResponseError { reason: "101 without Upgrade" });
    }
    if line.status == 204 || is_tunnel {
        mark_lengths(fields);
    }
    let wants_reuse = !facts.options.close && (is_http11 || facts.options.keep_alive);
    let is_sound = body != BodyLength::UntilClose && !(line.status == 204 && claims_body);
    Ok(ResponseHead {
        status: line.status,
        reason: line.reason,
        version: line.version,
        keep_alive: wants_reuse && is_sound,
        body,
        upgrade,
        fields,
        length: end,
        raw: &head[..end],
    })
}

/// RFC 9112 §6.3 for responses that may have a body.
#[inline]
fn framed_length(version: Version, facts: &Facts<'_>) -> Result<BodyLength, Fault> {
    facts.check_framing()?;
    match (facts.transfer_encoding, facts.content_length) {
        (None, None) => Ok(BodyLength::UntilClose),
        (None, Some(length)) => Ok(BodyLength::Length(length)),
        (Some(_), _) if version == Version::Http10 => Err(Fault::Syntax("Transfer-Encoding in HTTP/1.0")),
        (Some(value), _) if Coding::of(value) == Coding::Chunked => Ok(BodyLength::Chunked),
        (Some(_), _) => Err(Fault::Syntax("invalid Transfer-Encoding")),
    }
}

/// Keeps a forbidden `Content-Length` (RFC 9110 §8.6) from being passed on, where it would shift the next message.
#[cold]
fn mark_lengths(fields: &mut [Field<'_>]) {
    for field in fields.iter_mut().filter(|field| field.kind == FieldKind::ContentLength) {
        field.hop = true;
    }
}

#[cfg(test)]
mod tests;
