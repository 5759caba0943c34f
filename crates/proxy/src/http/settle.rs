//! *Settle*: reads the endpoint's response head and renders the client's.
//!
//! As in `plan.rs` nothing is awaited here, because the parsed head borrows the buffer.

use super::answer::{ALT_SVC, HSTS};
use super::bond;
use super::client::Client;
use super::compress::{Coded, Coding};
use super::exchange::{Exchange, Method};
use super::grpc;
use super::retry::{by_call, by_status};
use crate::clock;
use crate::compress::Stage;
use crate::pump::Pump;
use crate::worker::buffers::{Buffer, READ_BYTES, Text};
use evenly_core::error::Failure;
use evenly_core::route::Route;
use evenly_http1::{
    BodyLength, BodyReader, FieldKind, HeadLimits, MAX_FIELDS, ResponseHead, Slots, Version, parse_response,
    write_status_line,
};

/// What came from the endpoint.
pub enum Settled {
    /// The head is not complete yet.
    MoreHead,
    /// An interim response (1xx) to be passed on, and the head's length.
    Interim(Text, usize),
    /// From here on it is a tunnel: the head to be passed on, and the head's length.
    Switch(Text, usize),
    /// The final response.
    Final(Response),
    /// A response that is not passed on, because another endpoint is asked instead; whether all of it is there.
    Again(bool),
    /// No response that could be passed on.
    Bad(Failure),
}

/// A final response on its way to the client.
pub struct Response {
    /// The client's head.
    pub text: Text,
    /// Bytes of the endpoint's head.
    pub length: usize,
    /// The body's framing at the endpoint.
    pub body: BodyReader,
    /// Whether the client gets chunks.
    pub is_chunked: bool,
    /// What compresses the body on its way.
    pub stage: Option<Box<Stage>>,
    /// Whether the endpoint's connection can be used again once the body has ended.
    pub keep_upstream: bool,
    /// Whether the client's connection goes on.
    pub keep_client: bool,
}

/// Responses come from endpoints that the user runs, so their heads may fill a whole buffer.
pub const LIMITS: HeadLimits = HeadLimits { head_bytes: READ_BYTES, fields: MAX_FIELDS, target_bytes: 0 };

/// Reads the response head in `buffer`. `upload`: what is left of the request.
pub fn settle(client: &Client, exchange: &mut Exchange, buffer: &Buffer, upload: Option<&Pump>) -> Settled {
    let mut slots = Slots::new();
    let head = match parse_response(buffer, &LIMITS, exchange.method.for_response(), &mut slots) {
        Ok(Some(head)) => head,
        Ok(None) => return Settled::MoreHead,
        Err(_) => return Settled::Bad(Failure::ResponseBad),
    };
    if head.status >= 400
        && let Some(is_whole) = by_status(client, exchange, upload, &head, buffer.len())
    {
        exchange.tally.status = head.status;
        return Settled::Again(is_whole);
    }
    if head.status == 200
        && exchange.tally.call.is_some()
        && let Some(is_whole) = by_call(client, exchange, upload, &head, buffer.len())
    {
        exchange.tally.status = head.status;
        return Settled::Again(is_whole);
    }
    let is_tunnel = exchange.method == Method::Connect && (200..300).contains(&head.status);
    match head.status {
        101 if !exchange.wants_upgrade || head.upgrade.is_none() => Settled::Bad(Failure::ResponseBad),
        101 => Settled::Switch(switching(client, exchange, &head), head.length),
        // An HTTP/1.0 client does not know interim responses (RFC 9110 §15.2).
        100..200 if exchange.version == Version::Http10 => {
            Settled::Interim(client.worker.buffers.text(), head.length)
        }
        100..200 => Settled::Interim(interim(client, &head), head.length),
        // Where a stream was to become a tunnel, a success would say that it did (RFC 8441 §5).
        200..300 if exchange.wants_upgrade && client.stream.frames_messages() => {
            Settled::Bad(Failure::ResponseBad)
        }
        _ if is_tunnel => {
            exchange.tally.status = head.status;
            Settled::Switch(interim(client, &head), head.length)
        }
        _ => Settled::Final(response(client, exchange, &head, upload.is_none())),
    }
}

fn response(
    client: &Client,
    exchange: &mut Exchange,
    head: &ResponseHead<'_, '_>,
    is_sent: bool,
) -> Response {
    let coded = match exchange.coding {
        Coding::Off => Coded::default(),
        _ => Coded::begin(client, exchange, head),
    };
    let is_open_ended =
        coded.stage.is_some() || matches!(head.body, BodyLength::Chunked | BodyLength::UntilClose);
    let ends_by_itself = client.stream.frames_messages();
    let is_chunked = is_open_ended && exchange.version == Version::Http11 && !ends_by_itself;
    // HTTP/1.0 knows no chunks: there the end of the connection is the end of the body.
    let keep_client = exchange.keep_alive
        && is_sent
        && !exchange.is_cut
        && (is_chunked || !is_open_ended || ends_by_itself)
        && !client.is_leaving();
    let mut text = client.worker.buffers.text();
    write_status_line(&mut text, Version::Http11, head.status, head.reason);
    let route = exchange.route();
    match &exchange.response_fields {
        Some(fields) => {
            head.copy_fields(&mut text, |field| {
                !(field.hop || route.response_rules.drops(&field.name) || coded.drops(field))
            });
            text.extend_from_slice(fields);
        }
        None => head.copy_fields(&mut text, |field| !(field.hop || coded.drops(field))),
    }
    // Whoever passes a response on without one says when it came (RFC 9110 §6.6.1).
    if !head.fields.iter().any(|field| field.kind == FieldKind::Date) && !route.response_rules.drops("date") {
        text.extend_from_slice(b"Date: ");
        clock::write_http_date(&mut text);
        text.extend_from_slice(b"\r\n");
    }
    if client.listener.tls.is_some() {
        for (line, name) in [(client.hsts(), HSTS), (client.alt_svc(), ALT_SVC)] {
            if !line.is_empty() && !is_said(route, head, name) {
                text.extend_from_slice(line);
            }
        }
    }
    coded.write(&mut text, head, route);
    bond::renew(exchange, head, &mut text);
    if is_chunked {
        text.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    state_upgrade(&mut text, head.upgrade.filter(|_| head.status == 426 && !ends_by_itself));
    match (keep_client, exchange.version) {
        (false, _) => text.extend_from_slice(b"Connection: close\r\n"),
        (true, Version::Http10) => text.extend_from_slice(b"Connection: keep-alive\r\n"),
        (true, Version::Http11) => {}
    }
    text.extend_from_slice(b"\r\n");
    exchange.tally.status = head.status;
    grpc::settled(exchange, head);
    Response {
        text,
        length: head.length,
        body: BodyReader::from(head.body),
        is_chunked,
        stage: coded.stage,
        keep_upstream: head.keep_alive && head.body != BodyLength::UntilClose,
        keep_client,
    }
}

/// Whether the endpoint or the route has the last word on a field.
fn is_said(route: &Route, head: &ResponseHead<'_, '_>, name: &str) -> bool {
    route.response_rules.drops(name) || head.fields.iter().any(|field| field.name.eq_ignore_ascii_case(name))
}

/// A head whose fields are passed on and to which nothing is added.
fn interim(client: &Client, head: &ResponseHead<'_, '_>) -> Text {
    let mut text = client.worker.buffers.text();
    write_status_line(&mut text, Version::Http11, head.status, head.reason);
    head.copy_fields(&mut text, |field| !field.hop);
    text.extend_from_slice(b"\r\n");
    text
}

/// `Upgrade` is hop-by-hop, so Evenly states it for its own connection. A 426 must have it as well (RFC 9110 §15.5.22).
fn state_upgrade(text: &mut Vec<u8>, to: Option<&[u8]>) {
    let Some(to) = to else { return };
    text.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
    text.extend_from_slice(to);
    text.extend_from_slice(b"\r\n");
}

/// The 101.
fn switching(client: &Client, exchange: &mut Exchange, head: &ResponseHead<'_, '_>) -> Text {
    let mut text = client.worker.buffers.text();
    write_status_line(&mut text, Version::Http11, head.status, head.reason);
    head.copy_fields(&mut text, |field| !field.hop);
    state_upgrade(&mut text, head.upgrade);
    bond::renew(exchange, head, &mut text);
    text.extend_from_slice(b"\r\n");
    text
}
