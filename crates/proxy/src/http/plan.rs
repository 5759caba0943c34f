//! *Read* (the head), *route* and *admit*: turns the client's first bytes into what is to be done with them.
//!
//! No awaiting here: the parsed head borrows the buffer and about 13 KiB of stack, which must not become part of the
//! connection's state.

use super::admit::{self, Admitted, Known, Question};
use super::answer::{Answer, Manner};
use super::bond::{self, Bond};
use super::client::Client;
use super::compress::Coding;
use super::early;
use super::exchange::{Exchange, Method, Tally};
use super::fault;
use super::fields::ClientFields;
use super::grpc::Call;
use super::kept::Kept;
use super::mirror::Mirroring;
use super::request::{Rendering, render};
use super::request_id::RequestId;
use super::scene::{Opened, Scene};
use super::trailers::is_announced;
use crate::access_log::Line;
use crate::worker::buffers::Buffer;
use crate::worker::view::View;
use evenly_core::affinity::split::Variant;
use evenly_core::circuit::Permit;
use evenly_core::document::Protocol;
use evenly_core::error::Failure;
use evenly_core::listener::Service;
use evenly_core::max_forwards::forwards_left;
use evenly_core::pool::Nanos;
use evenly_core::route::{Action, PoolIndex, Request, Route, RouteTable};
use evenly_core::target::normalize_path;
use evenly_core::template::Variables;
use evenly_http1::{
    BodyLength, FieldKind, HeadLimits, RequestError, RequestHead, Slots, TargetForm, Version, parse_request,
};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

/// What is to be done.
#[allow(clippy::large_enum_variant, reason = "boxing the exchange would cost every request an allocation")]
pub enum Plan {
    /// The head is not complete yet.
    MoreHead,
    /// Evenly answers itself.
    Answer(Box<Planned>),
    /// The client's handshake has to be over first.
    Hold,
    /// Something has to be found out first, which takes time.
    Ask(Box<Question>, IpAddr),
    /// An endpoint answers.
    Forward(Exchange),
}

/// An answer of Evenly's own, with what is to be recorded of it.
pub struct Planned {
    /// The answer.
    pub answer: Answer,
    /// What is counted.
    pub tally: Tally,
    /// The route that made it.
    pub route: Option<Arc<Route>>,
    /// Bytes of the request in the buffer when all of it is there: the connection can go on behind them.
    pub request_length: Option<usize>,
}

/// Reads the head in `input`, finds its route and renders what the endpoint will get. `known`: what was found out since
/// an earlier look at the same request.
pub fn plan(client: &mut Client, view: &Rc<View>, input: &Buffer, known: Option<&Known>) -> Plan {
    let started = known.and_then(|known| known.started).unwrap_or_else(|| client.worker.now());
    if !refresh(client, view) {
        return Plan::Answer(Box::new(refuse(client, view, started, Failure::Drained)));
    }
    let limits = &client.listener.limits;
    let limits = HeadLimits {
        head_bytes: limits.head_bytes as usize,
        fields: usize::from(limits.headers),
        target_bytes: limits.target_bytes as usize,
    };
    let mut slots = Slots::new();
    let head = match parse_request(input, &limits, &mut slots) {
        Ok(Some(head)) => head,
        Ok(None) => return Plan::MoreHead,
        Err(error) => return Plan::Answer(Box::new(refuse(client, view, started, failure(error)))),
    };
    routed(client, view, &head, input, (started, known))
}

/// Takes over what a reload has changed of the connection's listener; false when it is gone, speaks no HTTP any more, or wants
/// what the connection does not have.
fn refresh(client: &mut Client, view: &View) -> bool {
    if client.generation == view.generation {
        return true;
    }
    let Some(place) = view.listener_place(client.bind) else { return false };
    let listener = &view.snapshot.listeners[place];
    if listener.protocol != Protocol::Http {
        return false;
    }
    if !Arc::ptr_eq(listener, &client.listener) && !client.follow(listener) {
        return false;
    }
    (client.generation, client.place) = (view.generation, place);
    true
}

/// A head that could not be read: nothing behind it can be, either.
pub fn refuse(client: &Client, view: &View, started: Nanos, failure: Failure) -> Planned {
    let mut tally = Tally::new(started, None);
    let protocol = if client.stream.frames_messages() { client.protocol(Version::Http11) } else { "-" };
    tally.line = Line::unread(&client.worker, &client.listener, client.peer, protocol);
    say_tls(&mut tally.line, client);
    tally.failure = Some(failure);
    let manner = Manner { is_head: false, keep_alive: false, version: Version::Http11, is_call: false };
    let answer = Answer::failure(client, &view.snapshot.error_pages, failure, &manner);
    Planned { answer, tally, route: None, request_length: None }
}

/// *Route* and *admit*.
fn routed(
    client: &Client,
    view: &Rc<View>,
    head: &RequestHead<'_, '_>,
    input: &Buffer,
    (started, known): (Nanos, Option<&Known>),
) -> Plan {
    let named = known.and_then(|known| known.request_id.as_deref());
    let request_id = named.map_or_else(|| RequestId::of(client, head), RequestId::Given);
    let request_id = request_id.as_str();
    let fields = ClientFields::of(client, view, head.fields);
    let client_ip = client.listener.trusted.client_address(client.peer.ip().to_canonical(), &fields);
    let who = (client_ip, client.peer, client.protocol(head.version));
    let mut line = Line::request(&client.worker, &client.listener, who, head, request_id);
    say_tls(&mut line, client);
    let opened = Opened { started, line };
    let call = Call::of(client, head);
    let is_early = early::is_early(client);
    let scene = Scene::new((view, head), input.len(), known, call, is_early);
    let is_connect = head.target.form == TargetForm::Authority;
    if !is_connect && client.is_misdirected(view, head.host) {
        return scene.fail(client, opened, None, Failure::Misdirected);
    }
    let Ok(path) = normalize_path(head.target.path) else {
        return scene.fail(client, opened, None, Failure::RequestBad);
    };
    let request = Request {
        method: head.method,
        host: head.host,
        path: &path,
        query: head.target.query,
        fields: &fields,
        tls: client.stream.facts().map(|facts| &facts.client),
        connect: is_connect,
    };
    let Some(route) = table(client, view).and_then(|table| table.find(&request)) else {
        let failure = if is_connect { Failure::TunnelRefused } else { Failure::RouteNone };
        return scene.fail(client, opened, None, failure);
    };
    if is_early {
        if !early::may_pass(route, head) {
            return Plan::Hold;
        }
        if known.is_none() {
            client.worker.stats.borrow_mut().early_request(client.listener.id.0, true);
        }
    }
    let variables = Variables {
        client_ip,
        method: head.method,
        host: head.host,
        path: &path,
        query: head.target.query,
        scheme: client.scheme(),
        request_id,
        listener: &client.listener.name,
        fields: &fields,
    };
    let sought = Sought { route, request: &request, variables: &variables };
    admit(client, &scene, &sought, opened)
}

/// A request whose route is found.
pub struct Sought<'a> {
    /// It.
    pub route: &'a Arc<Route>,
    /// What it was found by.
    pub request: &'a Request<'a>,
    /// What its templates may say.
    pub variables: &'a Variables<'a>,
}

/// *Admit*: does what the route says if no endpoint is needed, refuses what is too large, and chooses the pool.
fn admit(client: &Client, scene: &Scene<'_>, sought: &Sought<'_>, opened: Opened) -> Plan {
    let Sought { route, variables, .. } = sought;
    let (admitted, opened) = match &route.guard {
        None => (None, opened),
        Some(guard) => match admit::judge(client, scene, sought, guard, opened) {
            Ok((admitted, opened)) => (Some(admitted), opened),
            Err(plan) => return *plan,
        },
    };
    let chosen = match &route.action {
        Action::Pool(pool) => (*pool, None),
        Action::Split(split) => {
            bond::choose(client, scene.view, scene.view.route(route.id), split, sought.request)
        }
        Action::Redirect { location, .. } if !location.makes_location(variables) => {
            return scene.fail(client, opened, Some(route), Failure::RequestBad);
        }
        Action::Redirect { location, status } => {
            let answer = Answer::redirect(client, (location, *status), route, variables, &scene.manner());
            return scene.answer(answer, opened.tally(), route);
        }
        Action::Respond(response) => {
            let is_upgrade = scene.head.upgrade.is_some() && client.stream.frames_messages();
            if is_upgrade && (200..300).contains(&response.status) {
                // HTTP/2 and HTTP/3 would take it for a tunnel that is open (RFC 8441 §5, RFC 9220 §3).
                return scene.fail(client, opened, Some(route), Failure::NotImplemented);
            }
            let answer = Answer::respond(client, response, route, variables, &scene.manner());
            return scene.answer(answer, opened.tally(), route);
        }
    };
    let PoolIndex(pool) = chosen.0;
    let (taking, permit) = client.worker.taking(scene.view, pool as usize, opened.started);
    let choice = Choice { chosen, taking, permit, admitted: admitted.as_ref() };
    let body_limit = route.body_bytes.or(client.listener.limits.body_bytes).unwrap_or(u64::MAX);
    if matches!(scene.head.body, BodyLength::Length(length) if length > body_limit) {
        return scene.fail(client, opened, Some(route), Failure::RequestTooLarge);
    }
    exchange(client, scene, sought, (choice, body_limit), opened)
}

/// Who answers a request that may come in.
struct Choice<'a> {
    /// The pool that the route or its split names, and the variant that stands for it.
    chosen: (PoolIndex, Option<Variant>),
    /// The place of that pool, or of the fallback that takes over from it.
    taking: usize,
    /// What its circuit has let the request in with, where that is known already.
    permit: Option<Permit>,
    /// What the guard found out.
    admitted: Option<&'a Admitted>,
}

/// Renders what the endpoint will get, and keeps of the request what the later steps need.
fn exchange(
    client: &Client,
    scene: &Scene<'_>,
    sought: &Sought<'_>,
    (choice, body_limit): (Choice<'_>, u64),
    opened: Opened,
) -> Plan {
    let (Scene { view, head, .. }, Sought { route, request, variables }) = (scene, sought);
    let Choice { chosen, taking, permit, admitted } = choice;
    let forwards_left = forwards_left(head.method, request.fields);
    if forwards_left == Some(0) {
        return scene.last(client, opened, route);
    }
    let is_bodiless = matches!(head.body, BodyLength::None | BodyLength::Length(0));
    let upgrade = head.upgrade.filter(|to| route.allow_upgrade && is_bodiless && !is_h2c(to));
    if head.upgrade.is_some() && upgrade.is_none() && client.stream.frames_messages() {
        // It asks for a tunnel and nothing else: there is no request to go on with.
        return scene.fail(client, opened, Some(route), Failure::TunnelRefused);
    }
    let mut text = client.worker.buffers.text();
    let has_h2 = client.stream.frames_messages() || view.pool(taking).http2.is_some();
    let takes_trailers = has_h2 && takes_trailers(head) && upgrade.is_none();
    let is_early = scene.is_early;
    let rendering =
        Rendering { head, route, variables, upgrade, takes_trailers, admitted, forwards_left, is_early };
    let Ok(host_at) = render(client, view, &rendering, &mut text) else {
        return scene.fail(client, opened, Some(route), Failure::RequestBad);
    };
    let response_fields = (!route.response_rules.is_empty()).then(|| {
        let mut fields = client.worker.buffers.text();
        route.response_rules.write(&mut fields, variables);
        fields
    });
    let key = |pool: usize| view.snapshot.hash_keys[pool].as_ref()?.key(request, variables.client_ip);
    Plan::Forward(Exchange {
        view: Rc::clone(view),
        route: view.route(route.id),
        pool: taking,
        key: key(taking),
        bond: Bond::of(client, view, chosen, taking, (head, request, variables)),
        head: text,
        host_at,
        body: client.stream.body(head.body),
        is_chunked: head.body == BodyLength::Chunked,
        kept: Kept::Nothing,
        takes_trailers,
        gives_trailers: head.body == BodyLength::Chunked && is_announced(head),
        body_limit,
        head_length: head.length,
        method: Method::from_name(head.method),
        version: head.version,
        keep_alive: head.keep_alive,
        wants_upgrade: upgrade.is_some(),
        awaits_continue: head.expect_continue && head.version == Version::Http11,
        coding: Coding::of(client, route, head),
        response_fields,
        can_repeat: true,
        is_cut: false,
        response_due: u64::MAX,
        due: u64::MAX,
        permit,
        fault: fault::draw(client, route, request),
        mirror: Mirroring::draw(client, route, upgrade.is_some() || request.connect, key),
        tally: Tally { call: scene.call.clone(), ..opened.tally() },
    })
}

/// Whether the client says that it takes trailers (RFC 9110 §10.1.4).
fn takes_trailers(head: &RequestHead<'_, '_>) -> bool {
    let mut named = head.fields.iter().filter(|field| field.kind == FieldKind::Te);
    named.any(|field| {
        field
            .value
            .split(|byte| *byte == b',')
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    })
}

/// Says in the log's line, if there is one, how the client came.
pub fn say_tls(line: &mut Option<Line>, client: &Client) {
    if let (Some(line), Some(facts)) = (line, client.stream.facts()) {
        line.tls(facts);
    }
}

/// Whether an `Upgrade` offers HTTP/2 without TLS. Behind such an upgrade requests would pass that nobody has routed
/// ("h2c smuggling", Bishop Fox 2020); RFC 9113 §3.1 has withdrawn it.
fn is_h2c(protocols: &[u8]) -> bool {
    protocols.split(|byte| *byte == b',').any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"h2c"))
}

/// The routes of the client's listener, which speaks HTTP: `refresh` has seen to that.
fn table<'a>(client: &Client, view: &'a View) -> Option<&'a RouteTable> {
    match &view.snapshot.services[client.place] {
        Service::Http(table) => Some(table),
        Service::Tcp(_) | Service::Udp(_) => None,
    }
}

/// What a head that was refused means for its client.
fn failure(error: RequestError) -> Failure {
    match error {
        RequestError::BadSyntax(_) => Failure::RequestBad,
        RequestError::HeadTooLarge | RequestError::TooManyFields => Failure::HeadTooLarge,
        RequestError::TargetTooLong => Failure::TargetTooLong,
        RequestError::Version => Failure::Version,
        RequestError::TransferCoding | RequestError::MethodTooLong => Failure::NotImplemented,
        RequestError::Expectation => Failure::ExpectationFailed,
    }
}
