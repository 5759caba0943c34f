//! *Read* (the head), *route* and *admit*: turns the client's first bytes into what is to be done with them.
//!
//! No awaiting here: the parsed head borrows the buffer and about 13 KiB of stack, which must not become part of the
//! connection's state.

use super::answer::{Answer, Manner};
use super::client::Client;
use super::exchange::{Exchange, Method, Tally};
use super::fields::HeadFields;
use super::mirror::Mirroring;
use super::request::{Rendering, render};
use crate::access_log::Line;
use crate::worker::buffers::Buffer;
use crate::worker::view::View;
use evenly_core::error::Failure;
use evenly_core::listener::Service;
use evenly_core::route::{Action, Injected, PoolIndex, Request, Route, RouteTable};
use evenly_core::target::normalize_path;
use evenly_core::template::Variables;
use evenly_http1::{
    BodyLength, BodyReader, FieldKind, HeadLimits, RequestError, RequestHead, Slots, TargetForm, Version,
    parse_request,
};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// What is to be done.
#[allow(clippy::large_enum_variant, reason = "boxing the exchange would cost every request an allocation")]
pub enum Plan {
    /// The head is not complete yet.
    MoreHead,
    /// Evenly answers itself.
    Answer(Box<Planned>),
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

/// Reads the head in `input`, finds its route and renders what the endpoint will get.
pub fn plan(client: &mut Client, view: &Rc<View>, input: &Buffer) -> Plan {
    let started = Instant::now();
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
    routed(client, view, &head, input, started)
}

/// Takes over what a reload has changed of the connection's listener; false when it is gone or speaks no HTTP any more.
fn refresh(client: &mut Client, view: &View) -> bool {
    let Some((listener, _)) = view.listener(client.bind) else { return false };
    if !matches!(listener.service, Service::Http(_)) {
        return false;
    }
    if !Arc::ptr_eq(listener, &client.listener) {
        client.is_trusted = listener.trusted.contains(client.peer.ip().to_canonical());
        client.listener = Arc::clone(listener);
    }
    true
}

/// A head that could not be read: nothing behind it can be, either.
pub fn refuse(client: &Client, view: &View, started: Instant, failure: Failure) -> Planned {
    let mut tally = Tally::new(started, None);
    tally.line = Line::unread(&client.worker, &client.listener, client.peer, "-");
    tally.failure = Some(failure);
    let manner = Manner { is_head: false, keep_alive: false, version: Version::Http11 };
    let answer = Answer::failure(client, &view.snapshot.error_pages, failure, &manner);
    Planned { answer, tally, route: None, request_length: None }
}

/// *Route* and *admit*.
fn routed(
    client: &Client,
    view: &Rc<View>,
    head: &RequestHead<'_, '_>,
    input: &Buffer,
    started: Instant,
) -> Plan {
    let request_id = RequestId::of(client, head);
    let fields = HeadFields(head.fields);
    let client_ip = client.listener.trusted.client_address(client.peer.ip().to_canonical(), &fields);
    let line =
        Line::request(&client.worker, &client.listener, (client_ip, client.peer), head, request_id.as_str());
    let tally = Tally::new(started, line);
    let scene = Scene { view, head, request_length: request_length(head, input.len()) };
    let is_connect = head.target.form == TargetForm::Authority;
    let Ok(path) = normalize_path(head.target.path) else {
        return scene.fail(client, tally, None, Failure::RequestBad);
    };
    let request = Request {
        method: head.method,
        host: head.host,
        path: &path,
        query: head.target.query,
        fields: &fields,
        connect: is_connect,
    };
    let Some(route) = table(client).and_then(|table| table.find(&request)) else {
        let failure = if is_connect { Failure::TunnelRefused } else { Failure::RouteNone };
        return scene.fail(client, tally, None, failure);
    };
    let variables = Variables {
        client_ip,
        method: head.method,
        host: head.host,
        path: &path,
        query: head.target.query,
        scheme: "http",
        request_id: request_id.as_str(),
        listener: &client.listener.name,
        fields: &fields,
    };
    let sought = Sought { route, request: &request, variables: &variables };
    admit(client, &scene, &sought, tally)
}

/// A request whose route is found.
struct Sought<'a> {
    route: &'a Arc<Route>,
    request: &'a Request<'a>,
    variables: &'a Variables<'a>,
}

/// *Admit*: does what the route says if no endpoint is needed, refuses what is too large, and chooses the pool.
fn admit(client: &Client, scene: &Scene<'_>, sought: &Sought<'_>, tally: Tally) -> Plan {
    let Sought { route, variables, .. } = sought;
    let PoolIndex(pool) = match &route.action {
        Action::Pool(pool) => *pool,
        Action::Split(split) => split.choose(client.worker.random.borrow_mut().next()),
        Action::Redirect { location, status } => {
            let answer = Answer::redirect(client, location, *status, variables, &scene.manner());
            return scene.answer(answer, tally, route);
        }
        Action::Respond(response) => {
            let answer = Answer::respond(client, response, route, variables, &scene.manner());
            return scene.answer(answer, tally, route);
        }
    };
    let pool = client.worker.taking(scene.view, pool as usize, tally.started);
    let body_limit = route.body_bytes.or(client.listener.limits.body_bytes).unwrap_or(u64::MAX);
    if matches!(scene.head.body, BodyLength::Length(length) if length > body_limit) {
        return scene.fail(client, tally, Some(route), Failure::RequestTooLarge);
    }
    exchange(client, scene, sought, pool, body_limit, tally)
}

/// Renders what the endpoint will get, and keeps of the request what the later steps need.
fn exchange(
    client: &Client,
    scene: &Scene<'_>,
    sought: &Sought<'_>,
    pool: usize,
    body_limit: u64,
    tally: Tally,
) -> Plan {
    let (Scene { view, head, .. }, Sought { route, request, variables }) = (scene, sought);
    let is_bodiless = matches!(head.body, BodyLength::None | BodyLength::Length(0));
    let upgrade = head.upgrade.filter(|to| route.allow_upgrade && is_bodiless && !is_h2c(to));
    let mut text = client.worker.buffers.text();
    let rendering = Rendering { head, route, variables, upgrade };
    let Ok(host_at) = render(client, &rendering, &mut text) else {
        return scene.fail(client, tally, Some(route), Failure::RequestBad);
    };
    let response_fields = (!route.response_rules.is_empty()).then(|| {
        let mut fields = client.worker.buffers.text();
        route.response_rules.write(&mut fields, variables);
        fields
    });
    Plan::Forward(Exchange {
        view: Rc::clone(view),
        route: view.route(route.id),
        pool,
        key: view.snapshot.hash_keys[pool].as_ref().and_then(|key| key.key(request, variables.client_ip)),
        head: text,
        host_at,
        body: BodyReader::from(head.body),
        is_chunked: head.body == BodyLength::Chunked,
        body_limit,
        head_length: head.length,
        method: Method::from_name(head.method),
        version: head.version,
        keep_alive: head.keep_alive,
        wants_upgrade: upgrade.is_some(),
        awaits_continue: head.expect_continue && head.version == Version::Http11,
        response_fields,
        can_repeat: true,
        is_cut: false,
        response_due: u64::MAX,
        due: u64::MAX,
        fault: fault(client, sought),
        mirror: mirror(client, scene, route, upgrade.is_some()),
        tally,
    })
}

/// What the route injects into this request.
fn fault(client: &Client, sought: &Sought<'_>) -> Option<Box<Injected>> {
    let fault = sought.route.fault.as_ref()?;
    fault.draw(sought.request, &mut client.worker.random.borrow_mut()).map(Box::new)
}

/// Whether the request is drawn for a copy. What becomes a tunnel is none: it has no end to compare.
fn mirror(client: &Client, scene: &Scene<'_>, route: &Route, is_upgrade: bool) -> Option<Box<Mirroring>> {
    let mirror = route.mirror.as_ref()?;
    let is_tunnel = is_upgrade || scene.head.target.form == TargetForm::Authority;
    let is_drawn = !is_tunnel && client.worker.random.borrow_mut().hits(mirror.percent);
    is_drawn.then(|| Mirroring::drawn(&client.worker, route.id.0))
}

/// What an answer of Evenly's own depends on.
struct Scene<'a> {
    view: &'a Rc<View>,
    head: &'a RequestHead<'a, 'a>,
    request_length: Option<usize>,
}

impl Scene<'_> {
    fn manner(&self) -> Manner {
        // Behind a CONNECT the client may already be sending what was meant for its tunnel.
        let is_connect = self.head.target.form == TargetForm::Authority;
        let keep_alive = self.head.keep_alive && self.request_length.is_some() && !is_connect;
        Manner { is_head: self.head.method == "HEAD", keep_alive, version: self.head.version }
    }

    fn fail(&self, client: &Client, mut tally: Tally, route: Option<&Arc<Route>>, failure: Failure) -> Plan {
        tally.failure = Some(failure);
        let answer = Answer::failure(client, &self.view.snapshot.error_pages, failure, &self.manner());
        self.plan(answer, tally, route)
    }

    fn answer(&self, answer: Answer, tally: Tally, route: &Arc<Route>) -> Plan {
        self.plan(answer, tally, Some(route))
    }

    fn plan(&self, answer: Answer, mut tally: Tally, route: Option<&Arc<Route>>) -> Plan {
        tally.bytes_in = self.request_length.unwrap_or(self.head.length) as u64;
        Plan::Answer(Box::new(Planned {
            answer,
            tally,
            route: route.cloned(),
            request_length: self.request_length,
        }))
    }
}

/// Bytes of the whole request when all of it is among the `available` ones.
fn request_length(head: &RequestHead<'_, '_>, available: usize) -> Option<usize> {
    let length = match head.body {
        BodyLength::None => head.length,
        BodyLength::Length(body) => head.length.checked_add(usize::try_from(body).ok()?)?,
        BodyLength::Chunked | BodyLength::UntilClose => return None,
    };
    (length <= available).then_some(length)
}

/// Names a request through all logs: what a trusted proxy named it, or 128 random bits.
enum RequestId<'a> {
    Given(&'a str),
    New([u8; 32]),
}

impl<'a> RequestId<'a> {
    /// Longer ones are replaced: they would only fill logs.
    const MOST: usize = 128;

    fn of(client: &Client, head: &RequestHead<'a, '_>) -> Self {
        let given = head.fields.iter().find(|field| client.is_trusted && field.kind == FieldKind::XRequestId);
        match given.and_then(|field| std::str::from_utf8(field.value).ok()) {
            Some(value) if !value.is_empty() && value.len() <= Self::MOST => Self::Given(value),
            _ => Self::New(random_hex(client)),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Given(value) => value,
            Self::New(digits) => std::str::from_utf8(digits).expect("hexadecimal digits are ASCII"),
        }
    }
}

/// 128 random bits in hexadecimal. They tell requests apart; they are no secret.
fn random_hex(client: &Client) -> [u8; 32] {
    let mut random = client.worker.random.borrow_mut();
    let bits = (u128::from(random.next()) << 64) | u128::from(random.next());
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bits.to_be_bytes()) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    digits
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Whether an `Upgrade` offers HTTP/2 without TLS. Behind such an upgrade requests would pass that nobody has routed
/// ("h2c smuggling", Bishop Fox 2020); RFC 9113 §3.1 has withdrawn it.
fn is_h2c(protocols: &[u8]) -> bool {
    protocols.split(|byte| *byte == b',').any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"h2c"))
}

/// The routes of the client's listener, which speaks HTTP: `refresh` has seen to that.
fn table(client: &Client) -> Option<&RouteTable> {
    match &client.listener.service {
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
