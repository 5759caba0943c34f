//! Request targets in their four forms (RFC 9112 §3.2).

use super::authority::{Port, parse_authority};
use super::scan::{path_length, query_length};

/// Which form a target has; each but the first belongs to certain requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`.
    Origin,
    /// `http://host/path?query`, as sent to proxies; `https` is allowed, too, and other schemes are not.
    Absolute,
    /// `host:port`, for CONNECT and only for it.
    Authority,
    /// `*`, only for OPTIONS.
    Asterisk,
}

/// What a request is for: visible ASCII without `#`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'b> {
    /// Its form.
    pub form: TargetForm,
    /// As it was sent.
    pub raw: &'b str,
    /// The path, as sent. Absolute form without a path: `/`, but `*` for OPTIONS without a query, which is what
    /// the last proxy must send (RFC 9112 §3.2.4). Asterisk form: `*`. Authority form: empty.
    pub path: &'b str,
    /// What stands behind the first `?`.
    pub query: Option<&'b str>,
}

/// Where a target ends, from its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Bytes before the first that may not be in a target.
    pub length: usize,
    /// Where the first `?` is.
    pub question: Option<usize>,
}

/// Finds the end of the target that `bytes` begins with, which may be the end of the input.
#[inline]
pub(super) fn find_extent(bytes: &[u8]) -> Extent {
    let length = path_length(bytes);
    match bytes.get(length..) {
        Some([b'?', query @ ..]) => {
            Extent { length: length + 1 + query_length(query), question: Some(length) }
        }
        _ => Extent { length, question: None },
    }
}

/// Reads a target. The second value is the authority it names, which then counts instead of `Host`.
///
/// # Errors
/// What is wrong with it.
#[inline]
pub(super) fn parse_target<'b>(
    method: &str,
    bytes: &'b [u8],
    question: Option<usize>,
) -> Result<(Target<'b>, Option<&'b str>), &'static str> {
    let raw = std::str::from_utf8(bytes).map_err(|_| "invalid byte in the target")?;
    if method == "CONNECT" {
        return match parse_authority(bytes) {
            Some((authority, Port::Given)) => {
                Ok((Target { form: TargetForm::Authority, raw, path: "", query: None }, Some(authority)))
            }
            _ => Err("CONNECT needs host and port"),
        };
    }
    if bytes.first() == Some(&b'/') {
        let (path, query) = split_query(raw, question);
        return Ok((Target { form: TargetForm::Origin, raw, path, query }, None));
    }
    match raw {
        "*" if method == "OPTIONS" => {
            Ok((Target { form: TargetForm::Asterisk, raw, path: "*", query: None }, None))
        }
        "*" => Err("the target * is for OPTIONS only"),
        _ => parse_absolute(method, raw, question),
    }
}

#[cold]
fn parse_absolute<'b>(
    method: &str,
    raw: &'b str,
    question: Option<usize>,
) -> Result<(Target<'b>, Option<&'b str>), &'static str> {
    let scheme_length = ["http://", "https://"]
        .into_iter()
        .find(|scheme| raw.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
        .map(str::len)
        .ok_or("the target is neither a path nor an http URI")?;
    let authority_end =
        raw[scheme_length..].find(['/', '?']).map_or(raw.len(), |length| scheme_length + length);
    let (authority, _) = parse_authority(&raw.as_bytes()[scheme_length..authority_end])
        .ok_or("invalid authority in the target")?;
    let (start, query) = split_query(raw, question);
    let path = match &start[authority_end..] {
        "" if method == "OPTIONS" && query.is_none() => "*",
        "" => "/",
        path => path,
    };
    Ok((Target { form: TargetForm::Absolute, raw, path, query }, Some(authority)))
}

#[inline]
fn split_query(raw: &str, question: Option<usize>) -> (&str, Option<&str>) {
    match question {
        Some(at) => (&raw[..at], Some(&raw[at + 1..])),
        None => (raw, None),
    }
}
