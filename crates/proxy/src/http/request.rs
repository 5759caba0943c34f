//! *Forward*, first half: the head that the endpoint gets.
//!
//! Spans of the client's lines are copied as they stand; hop-by-hop fields, what Evenly states itself and what the
//! route removes is left out between them.

use super::admit::Admitted;
use super::client::Client;
use super::early;
use super::trailers::announce;
use crate::worker::view::View;
use evenly_core::access::IdentityFields;
use evenly_core::max_forwards;
use evenly_core::route::{HostRewrite, Route};
use evenly_core::target::BadPath;
use evenly_core::template::Variables;
use evenly_http1::{BodyLength, Field, FieldKind, RequestHead, TargetForm, Version};
use std::io::Write;
use std::ops::Range;

/// What of a request's head was decided before it is rendered.
pub struct Rendering<'a> {
    /// The client's head.
    pub head: &'a RequestHead<'a, 'a>,
    /// The route it takes.
    pub route: &'a Route,
    /// Values for the route's templates.
    pub variables: &'a Variables<'a>,
    /// Whether `Upgrade` is passed on.
    pub upgrade: Option<&'a [u8]>,
    /// Whether the client takes trailers, and they get from the endpoint to it.
    pub takes_trailers: bool,
    /// What the endpoint is told of who was admitted, where the route has a guard.
    pub admitted: Option<&'a Admitted>,
    /// How many proxies may pass it on, this one included, if it says so.
    pub forwards_left: Option<u32>,
    /// Whether the client's handshake is not over.
    pub is_early: bool,
}

/// Appends the head to `out`. Returns where the endpoint's own `Host` has to be put in, if the request needs one.
///
/// # Errors
/// The route's rewrite makes something of the path that is none.
pub fn render(
    client: &Client,
    view: &View,
    rendering: &Rendering<'_>,
    out: &mut Vec<u8>,
) -> Result<Option<Range<usize>>, BadPath> {
    let Rendering { head, route, .. } = rendering;
    out.extend_from_slice(head.method.as_bytes());
    out.push(b' ');
    match &route.rewrite {
        _ if head.target.form == TargetForm::Authority => out.extend_from_slice(head.target.raw.as_bytes()),
        Some(rewrite) => rewrite.write(rendering.variables.path, out)?,
        None => out.extend_from_slice(rendering.variables.path.as_bytes()),
    }
    let stripped = rendering.admitted.and_then(|admitted| admitted.query.as_ref());
    if let Some(query) = stripped.map_or(head.target.query, Option::as_deref) {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let host_at = host(rendering, out);
    let keeps_host =
        matches!(route.host_rewrite, HostRewrite::Preserve) && head.target.form == TargetForm::Origin;
    let keeps_expect = head.expect_continue;
    let rules = &route.request_rules;
    let has_rules = !rules.is_empty();
    let guard = route.guard.as_deref();
    let identity_fields = view.snapshot.identity_fields.as_ref();
    head.copy_fields(out, |field: &Field<'_>| {
        let passes = !field.hop
            && match field.kind {
                FieldKind::Host => keeps_host,
                FieldKind::Expect => keeps_expect,
                // Written anew below.
                FieldKind::XForwardedFor | FieldKind::XRequestId => false,
                kind => client.may_say(kind),
            };
        let is_dropped = has_rules && rules.drops(&field.name)
            || guard.is_some_and(|guard| guard.drops(&field.name))
            || identity_fields.is_some_and(|fields| fields.has(&field.name))
            || rendering.forwards_left.is_some() && field.name.eq_ignore_ascii_case(max_forwards::NAME)
            || rendering.is_early && field.name.eq_ignore_ascii_case(early::NAME);
        passes && !is_dropped
    });
    of_connection(rendering, identity_fields, out);
    forwarding(client, rendering, out);
    if let Some(admitted) = rendering.admitted {
        out.extend_from_slice(&admitted.lines);
    }
    if has_rules {
        rules.write(out, rendering.variables);
    }
    out.extend_from_slice(b"\r\n");
    Ok(host_at)
}

/// Writes the fields of this connection alone, of which none is copied, how many forwards are left, and that it is early.
fn of_connection(rendering: &Rendering<'_>, identity_fields: Option<&IdentityFields>, out: &mut Vec<u8>) {
    if rendering.head.body == BodyLength::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        announce(rendering.head, (rendering.route, identity_fields), out);
    }
    if let Some(protocol) = rendering.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
        out.extend_from_slice(protocol);
        out.extend_from_slice(b"\r\n");
    }
    if rendering.takes_trailers {
        out.extend_from_slice(b"TE: trailers\r\nConnection: TE\r\n");
    }
    if rendering.is_early {
        out.extend_from_slice(early::LINE);
    }
    if let Some(left) = rendering.forwards_left {
        // Writing to memory does not fail.
        let _ = write!(out, "Max-Forwards: {}\r\n", left.saturating_sub(1));
    }
}

/// Writes `Host` where the client's line is not copied.
fn host(rendering: &Rendering<'_>, out: &mut Vec<u8>) -> Option<Range<usize>> {
    let head = rendering.head;
    let value = match &rendering.route.host_rewrite {
        HostRewrite::Endpoint => return Some(out.len()..out.len()),
        HostRewrite::Literal(value) => value,
        // HTTP/1.0 may come without; an HTTP/1.1 request needs one.
        HostRewrite::Preserve if head.host.is_empty() && head.version == Version::Http10 => {
            return Some(out.len()..out.len());
        }
        HostRewrite::Preserve if head.target.form == TargetForm::Origin => return None,
        // The target's authority replaces the client's Host (RFC 9112 §3.2.2).
        HostRewrite::Preserve => head.host,
    };
    line(out, b"Host: ", value.as_bytes());
    None
}

/// Writes what tells the endpoint about the client. Of a client that is no trusted proxy, nothing is believed.
pub(super) fn forwarding(client: &Client, rendering: &Rendering<'_>, out: &mut Vec<u8>) {
    let head = rendering.head;
    let has = |kind| client.is_trusted && head.fields.iter().any(|field| field.kind == kind);
    if client.is_trusted {
        out.extend_from_slice(b"X-Forwarded-For: ");
        for field in head.fields.iter().filter(|field| field.kind == FieldKind::XForwardedFor) {
            out.extend_from_slice(field.value);
            out.extend_from_slice(b", ");
        }
        let own = client.forwarding.split(|byte| *byte == b'\r').next().unwrap_or_default();
        out.extend_from_slice(&own[b"X-Forwarded-For: ".len()..]);
        out.extend_from_slice(b"\r\n");
        if !has(FieldKind::XForwardedProto) {
            line(out, b"X-Forwarded-Proto: ", client.scheme().as_bytes());
        }
        out.extend_from_slice(client.certificate_fields());
    } else {
        out.extend_from_slice(&client.forwarding);
    }
    if !head.host.is_empty() && !has(FieldKind::XForwardedHost) {
        line(out, b"X-Forwarded-Host: ", head.host.as_bytes());
    }
    line(out, b"X-Request-Id: ", rendering.variables.request_id.as_bytes());
    if client.listener.forwarded {
        forwarded(client, head.host, out);
    }
}

/// `Forwarded` (RFC 7239 §4): an IPv6 address and a host with a port have to be quoted.
fn forwarded(client: &Client, host: &str, out: &mut Vec<u8>) {
    let address = client.peer.ip().to_canonical();
    let scheme = client.scheme();
    let element = if address.is_ipv4() {
        format!("Forwarded: for={address};proto={scheme}")
    } else {
        format!("Forwarded: for=\"[{address}]\";proto={scheme}")
    };
    out.extend_from_slice(element.as_bytes());
    if !host.is_empty() {
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(host.as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(b"\r\n");
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
