//! Trailers on their way from one side to the other: none passes that as a field of the head would not.

use super::exchange::Exchange;
use crate::worker::view::View;
use evenly_core::access::IdentityFields;
use evenly_core::route::Route;
use evenly_http1::{FieldKind, RequestHead, may_trail, retain_trailers};
use std::rc::Rc;

/// What comes behind a body, where the other side takes it.
pub struct Trailers {
    /// Lines of fields, as they came.
    pub lines: Vec<u8>,
    /// Whether the other side takes them after all.
    pub is_taken: bool,
    view: Rc<View>,
    route: usize,
    side: Side,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

impl Trailers {
    /// Those of the request.
    pub fn of_request(exchange: &Exchange) -> Self {
        Self::of(exchange, Side::Request)
    }

    /// Those of the response.
    pub fn of_response(exchange: &Exchange) -> Self {
        Self::of(exchange, Side::Response)
    }

    fn of(exchange: &Exchange, side: Side) -> Self {
        Self {
            lines: Vec::new(),
            is_taken: true,
            view: Rc::clone(&exchange.view),
            route: exchange.route,
            side,
        }
    }

    /// Lines of those that are passed on, once all have come.
    pub fn passing(&mut self) -> &[u8] {
        if !self.is_taken {
            return &[];
        }
        let route = &self.view.snapshot.routes[self.route];
        match self.side {
            Side::Request => {
                let identity_fields = self.view.snapshot.identity_fields.as_ref();
                retain_trailers(&mut self.lines, |name| passes_request((route, identity_fields), name));
            }
            Side::Response => {
                retain_trailers(&mut self.lines, |name| may_trail(name) && !route.response_rules.drops(name));
            }
        }
        &self.lines
    }
}

fn passes_request((route, identity_fields): (&Route, Option<&IdentityFields>), name: &str) -> bool {
    let is_guarded = route.guard.as_deref().is_some_and(|guard| guard.drops(name))
        || identity_fields.is_some_and(|fields| fields.has(name));
    may_trail(name) && !route.request_rules.drops(name) && !is_guarded
}

/// Whether a request says what comes behind its body (RFC 9110 §6.6.2): to endpoints of HTTP/1.1 nothing else is passed
/// on, as they cannot be expected to look for it.
pub fn is_announced(head: &RequestHead<'_, '_>) -> bool {
    head.fields.iter().any(|field| field.kind == FieldKind::Trailer)
}

/// Announces to the endpoint those that the client has announced, as far as they are passed on.
pub fn announce(head: &RequestHead<'_, '_>, keepers: (&Route, Option<&IdentityFields>), out: &mut Vec<u8>) {
    let announced = head.fields.iter().filter(|field| field.kind == FieldKind::Trailer);
    let names = announced.flat_map(|field| field.value.split(|byte| *byte == b','));
    let names = names.filter_map(|name| std::str::from_utf8(name.trim_ascii()).ok());
    let mut lead = "Trailer: ";
    for name in names.filter(|name| !name.is_empty() && passes_request(keepers, name)) {
        out.extend_from_slice(lead.as_bytes());
        out.extend_from_slice(name.as_bytes());
        lead = ", ";
    }
    if lead == ", " {
        out.extend_from_slice(b"\r\n");
    }
}
