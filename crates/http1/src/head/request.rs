//! Request heads (RFC 9112 §3).

use super::authority::parse_authority;
use super::facts::{Coding, Facts};
use super::fields::{Field, Slots, copy_lines};
use super::lines::{Lines, read_lines};
use super::target::{Target, find_extent, parse_target};
use super::{BodyLength, Fault, HeadLimits, Version, is_token_byte};

/// Bytes of a method. The longest that IANA lists, UPDATEREDIRECTREF, has 17.
pub const MAX_METHOD_BYTES: usize = 32;

/// Empty lines skipped before a request. RFC 9112 §2.2 asks for at least one, which old clients sent
/// after a body; a few more do no harm, endless ones would be work for nothing.
pub const MAX_EMPTY_LINES: usize = 4;

/// A request head that says one thing only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHead<'b, 's> {
    /// A token; compared with case (RFC 9110 §9.1).
    pub method: &'b str,
    /// What it is for.
    pub target: Target<'b>,
    /// The client's version.
    pub version: Version,
    /// `host[:port]` as it counts: from the target if that names one, else from `Host`, else empty, which only
    /// HTTP/1.0 can have. Case as sent.
    pub host: &'b str,
    /// Whether the client wants to use the connection again.
    pub keep_alive: bool,
    /// How its body is framed; never [`BodyLength::UntilClose`].
    pub body: BodyLength,
    /// The client waits for 100 before it sends the body. Never set for HTTP/1.0 (RFC 9110 §10.1.1).
    pub expect_continue: bool,
    /// The protocols that the client would change to, in HTTP/1.1 and if `Connection` says so.
    pub upgrade: Option<&'b [u8]>,
    /// All field lines, in order.
    pub fields: &'s [Field<'b>],
    /// Bytes of the buffer that were read, empty lines before and after included.
    pub length: usize,
    raw: &'b [u8],
}

impl<'b> RequestHead<'b, '_> {
    /// Appends to `out` each field line that `keep` accepts, as it was sent; neighbours go in one copy.
    #[inline]
    pub fn copy_fields(&self, out: &mut Vec<u8>, keep: impl FnMut(&Field<'b>) -> bool) {
        copy_lines(self.raw, self.fields, out, keep);
    }
}

/// Why a request was refused. The connection cannot be used any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// Malformed, or with two possible meanings; says what (400).
    BadSyntax(&'static str),
    /// The head is longer than the limit (431).
    HeadTooLarge,
    /// More field lines than the limit (431).
    TooManyFields,
    /// The target is longer than the limit (414).
    TargetTooLong,
    /// The method is longer than [`MAX_METHOD_BYTES`], so nobody implements it (501).
    MethodTooLong,
    /// A version of HTTP other than 1.0 and 1.1 (505).
    Version,
    /// A registered compression before `chunked`, which is not implemented (501). Codings that are unknown or not
    /// followed by `chunked` once are [`RequestError::BadSyntax`].
    TransferCoding,
    /// `Expect` asks for something else than `100-continue` (417).
    Expectation,
}

impl RequestError {
    /// The status to answer with.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::BadSyntax(_) => 400,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::MethodTooLong | Self::TransferCoding => 501,
            Self::Version => 505,
        }
    }

    /// What to write into the log.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::BadSyntax(what) => what,
            Self::HeadTooLarge => "head too large",
            Self::TooManyFields => "too many header fields",
            Self::TargetTooLong => "target too long",
            Self::MethodTooLong => "method too long",
            Self::Version => "unsupported HTTP version",
            Self::TransferCoding => "unsupported transfer coding",
            Self::Expectation => "unsupported expectation",
        }
    }
}

impl std::fmt::Display for RequestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for RequestError {}

impl From<Fault> for RequestError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Syntax(what) => Self::BadSyntax(what),
            Fault::TooManyFields => Self::TooManyFields,
        }
    }
}

/// Reads a request head from the beginning of `buf`; `None` until all of it is there.
///
/// # Errors
/// [`RequestError`], as soon as the bytes seen so far leave no doubt.
#[inline]
pub fn parse_request<'b, 's>(
    buf: &'b [u8],
    limits: &HeadLimits,
    slots: &'s mut Slots<'b>,
) -> Result<Option<RequestHead<'b, 's>>, RequestError> {
    let head = limits.window(buf);
    let Some(line) = parse_line(head, limits.target_bytes)? else { return limits.await_more(head) };
    let mut facts = Facts::default();
    let Some(lines) = read_lines(head, line.end, limits.fields, slots, &mut facts)? else {
        return limits.await_more(head);
    };
    conclude(head, &line, lines, &facts).map(Some)
}

impl HeadLimits {
    /// `None`, or the error if a head that is not complete yet has reached the limit.
    fn await_more<T>(&self, head: &[u8]) -> Result<Option<T>, RequestError> {
        if self.is_reached(head) { Err(RequestError::HeadTooLarge) } else { Ok(None) }
    }
}

/// A request line.
struct RequestLine<'b> {
    method: &'b str,
    target: Target<'b>,
    /// The authority in the target.
    authority: Option<&'b str>,
    version: Version,
    /// Where the next line begins.
    end: usize,
}

#[inline]
fn parse_line(head: &[u8], target_limit: usize) -> Result<Option<RequestLine<'_>>, RequestError> {
    let Some(start) = skip_empty_lines(head)? else { return Ok(None) };
    let Some(method) = parse_method(&head[start..])? else { return Ok(None) };
    let target_start = start + method.len() + 1;
    let extent = find_extent(head.get(target_start..).unwrap_or_default());
    if extent.length > target_limit {
        return Err(RequestError::TargetTooLong);
    }
    let target_end = target_start + extent.length;
    match head.get(target_end) {
        Some(b' ') if extent.length > 0 => {}
        Some(b' ') => return Err(RequestError::BadSyntax("empty target")),
        Some(b'#') => return Err(RequestError::BadSyntax("fragment in the target")),
        Some(b'\r' | b'\n') => return Err(RequestError::BadSyntax("request line without a version")),
        Some(_) => return Err(RequestError::BadSyntax("invalid byte in the target")),
        None => return Ok(None),
    }
    let (target, authority) = parse_target(method, &head[target_start..target_end], extent.question)
        .map_err(RequestError::BadSyntax)?;
    let version_start = target_end + 1;
    let version = match head.get(version_start..version_start + 10) {
        Some(b"HTTP/1.1\r\n") => Version::Http11,
        Some(b"HTTP/1.0\r\n") => Version::Http10,
        _ => return check_unfinished_version(&head[version_start..]).map(|()| None),
    };
    Ok(Some(RequestLine { method, target, authority, version, end: version_start + 10 }))
}

#[inline]
fn skip_empty_lines(head: &[u8]) -> Result<Option<usize>, RequestError> {
    let mut at = 0;
    loop {
        match head.get(at..).unwrap_or_default() {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if at == 2 * MAX_EMPTY_LINES => {
                return Err(RequestError::BadSyntax("too many empty lines before the request"));
            }
            [b'\r', b'\n', ..] => at += 2,
            [b'\r', ..] => return Err(RequestError::BadSyntax("bare CR")),
            [b'\n', ..] => return Err(RequestError::BadSyntax("bare LF")),
            _ => return Ok(Some(at)),
        }
    }
}

#[inline]
fn parse_method(line: &[u8]) -> Result<Option<&str>, RequestError> {
    if line.starts_with(b"GET ") {
        return Ok(Some("GET"));
    }
    let length = line.iter().take(MAX_METHOD_BYTES + 1).position(|&byte| !is_token_byte(byte));
    match length {
        Some(length) if length > 0 && line[length] == b' ' => method_name(&line[..length]).map(Some),
        Some(0) => Err(RequestError::BadSyntax("request line without a method")),
        Some(_) => Err(RequestError::BadSyntax("invalid byte in the method")),
        None if line.len() > MAX_METHOD_BYTES => Err(RequestError::MethodTooLong),
        None => Ok(None),
    }
}

/// The method as text; the usual ones without another check.
#[inline]
fn method_name(token: &[u8]) -> Result<&str, RequestError> {
    match token {
        b"POST" => Ok("POST"),
        b"HEAD" => Ok("HEAD"),
        b"PUT" => Ok("PUT"),
        _ => std::str::from_utf8(token).map_err(|_| RequestError::BadSyntax("invalid byte in the method")),
    }
}

/// Where a version and a line end should be there is something else, or not all of it.
#[cold]
#[inline(never)]
fn check_unfinished_version(rest: &[u8]) -> Result<(), RequestError> {
    let (version, line_end) = rest.split_at(rest.len().min(8));
    let has_form = version.iter().zip(b"HTTP/d.d").all(|(&byte, &form)| match form {
        b'd' => byte.is_ascii_digit(),
        _ => byte == form,
    });
    if !has_form {
        return Err(RequestError::BadSyntax("invalid version"));
    }
    if version.len() == 8 && !matches!(version, b"HTTP/1.0" | b"HTTP/1.1") {
        return Err(RequestError::Version);
    }
    match line_end {
        [] | [b'\r'] => Ok(()),
        [b'\n', ..] => Err(RequestError::BadSyntax("bare LF")),
        [b'\r', ..] => Err(RequestError::BadSyntax("bare CR")),
        _ => Err(RequestError::BadSyntax("invalid version")),
    }
}

/// Draws the conclusions from the whole head.
#[inline]
fn conclude<'b, 's>(
    head: &'b [u8],
    line: &RequestLine<'b>,
    lines: Lines<'b, 's>,
    facts: &Facts<'b>,
) -> Result<RequestHead<'b, 's>, RequestError> {
    let Lines { fields, end } = lines;
    let is_http11 = line.version == Version::Http11;
    let host = effective_host(line, facts.host)?;
    let body = body_length(line, facts)?;
    if facts.expects_other {
        return Err(RequestError::Expectation);
    }
    Ok(RequestHead {
        method: line.method,
        target: line.target,
        version: line.version,
        host,
        keep_alive: !facts.options.close && (is_http11 || facts.options.keep_alive),
        body,
        expect_continue: facts.expects_continue && is_http11,
        upgrade: facts.upgrade().filter(|_| is_http11),
        fields,
        length: end,
        raw: &head[..end],
    })
}

/// RFC 9112 §3.2: `Host` exactly once and valid, and overruled by the target. An empty `Host` is refused as well: no
/// http URI lacks an authority.
#[inline]
fn effective_host<'b>(line: &RequestLine<'b>, host: Option<&'b [u8]>) -> Result<&'b str, RequestError> {
    let host = match host {
        Some(value) => parse_authority(value).ok_or(RequestError::BadSyntax("invalid Host"))?.0,
        None if line.version == Version::Http10 => "",
        None => return Err(RequestError::BadSyntax("missing Host")),
    };
    Ok(line.authority.unwrap_or(host))
}

/// RFC 9112 §6.3 for requests. CONNECT must not have content (RFC 9110 §9.3.6): what follows it belongs to a tunnel.
#[inline]
fn body_length(line: &RequestLine<'_>, facts: &Facts<'_>) -> Result<BodyLength, RequestError> {
    facts.check_framing()?;
    let body = match (facts.transfer_encoding, facts.content_length) {
        (None, None) => return Ok(BodyLength::None),
        (None, Some(length)) => BodyLength::Length(length),
        (Some(_), _) if line.version == Version::Http10 => {
            return Err(RequestError::BadSyntax("Transfer-Encoding in HTTP/1.0"));
        }
        (Some(value), _) => match Coding::of(value) {
            Coding::Chunked => BodyLength::Chunked,
            Coding::Compressed => return Err(RequestError::TransferCoding),
            Coding::Ambiguous => return Err(RequestError::BadSyntax("invalid Transfer-Encoding")),
        },
    };
    if line.method == "CONNECT" {
        return Err(RequestError::BadSyntax("CONNECT with a body"));
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
