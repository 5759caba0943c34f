//! *Admit*, where the route has a guard: asks `evenly_core::access`, does what it wants done, and says what the endpoint
//! is told of it.
//!
//! A request is looked at with its head at hand, and what takes time cannot be awaited meanwhile. So a look ends with a
//! [`Question`]; when [`ask`] has its answer, the request is looked at once more with what is [`Known`] by then.

mod password;
mod service;

pub use password::Passwords;

use super::client::Client;
use super::plan::{Plan, Sought, say_tls};
use super::request::Rendering;
use super::scene::{Opened, Scene};
use crate::access_log::Line;
use crate::worker::buffers::Text;
use crate::worker::view::View;
use evenly_core::access::{
    Claim, ForwardAuth, Guard, Identity, Judgement, hide_parameter, without_parameter,
};
use evenly_core::error::Failure;
use evenly_core::pool::Nanos;
use evenly_http1::RequestHead;
use service::{Answered, Service};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What was found out about a request before it is looked at again; nothing at the first look.
#[derive(Default)]
pub struct Known {
    /// When its first bytes were there.
    pub started: Option<Nanos>,
    /// Its name, so that it has one only.
    pub request_id: Option<Box<str>>,
    password: Option<Result<bool, Busy>>,
    service: Option<Answered>,
}

/// Too many passwords wait to be verified.
#[derive(Debug, Clone, Copy)]
pub struct Busy;

/// What has to be found out before a request can be admitted.
pub struct Question {
    known: Known,
    ask: Ask,
}

enum Ask {
    Password(Claim, Duration),
    Service(Service),
}

/// What the endpoint is told of a request that was admitted.
pub struct Admitted {
    /// Fields to be added.
    pub lines: Text,
    /// The query without the key that it carried, if that is not for the endpoint.
    pub query: Option<Option<String>>,
}

/// Judges a request by its route's guard.
///
/// # Errors
/// What is to be done instead of the route's action.
pub fn judge(
    client: &Client,
    scene: &Scene<'_>,
    sought: &Sought<'_>,
    guard: &Guard,
    mut opened: Opened,
) -> Result<(Admitted, Opened), Box<Plan>> {
    let client_ip = sought.variables.client_ip;
    let nothing = Known::default();
    let known = scene.known.unwrap_or(&nothing);
    let refuse = |opened, refusal| Err(Box::new(scene.refuse(client, opened, sought.route, refusal)));
    hide_key(client, scene, sought, guard, &mut opened);
    if matches!(known.password, Some(Err(Busy))) {
        return refuse(opened, (Failure::AuthBusy, None));
    }
    let now = opened.started;
    let mut verdict = |claim: &Claim| match known.password {
        Some(Ok(verdict)) => Some(verdict),
        _ => client.worker.passwords.look_up(&client.worker, claim, now),
    };
    let (started, request_id) = (Some(opened.started), sought.variables.request_id);
    let later = |password, ask| {
        let known = Known { started, request_id: Some(request_id.into()), password, service: None };
        Err(Box::new(Plan::Ask(Box::new(Question { known, ask }), client_ip)))
    };
    let identity = match guard.judge(client_ip, sought.request, &mut verdict, known.service.is_some()) {
        Judgement::Pass(identity) => identity,
        Judgement::Refuse(failure, line) => return refuse(opened, (failure, line)),
        Judgement::Verify(claim, cache) => return later(None, Ask::Password(claim, cache)),
        // Whoever has come so far has shown the right password, if there is one.
        Judgement::Ask(forward) => {
            return later(Some(Ok(true)), Ask::Service(told(client, scene, sought, forward)));
        }
    };
    let mut lines = client.worker.buffers.text();
    if let Some(identity) = identity {
        introduce(&mut lines, &mut opened, &identity);
    }
    match &known.service {
        None => {}
        Some(Answered::Passed(fields)) => lines.extend_from_slice(fields),
        Some(Answered::Failed) if guard.allows_on_error() => {}
        Some(Answered::Failed) => return refuse(opened, (Failure::ForwardAuthFailed, None)),
        Some(Answered::Denied(denial)) => {
            let mut tally = opened.tally();
            tally.failure = Some(Failure::ForwardAuthDenied);
            let answer = denial.answer(client, &scene.manner());
            return Err(Box::new(scene.answer(answer, tally, sought.route)));
        }
    }
    let query = guard.secret_parameter().filter(|(_, strip)| *strip);
    let query = query.map(|(name, _)| without_parameter(sought.request.query.unwrap_or_default(), name));
    Ok((Admitted { lines, query }, opened))
}

/// Tells the endpoint and the log whose request it is.
fn introduce(lines: &mut Text, opened: &mut Opened, identity: &Identity<'_>) {
    lines.extend_from_slice(identity.header.as_bytes());
    lines.extend_from_slice(b": ");
    lines.extend_from_slice(identity.name.as_bytes());
    lines.extend_from_slice(b"\r\n");
    if let Some(line) = &mut opened.line {
        line.user(&identity.name);
    }
}

/// Begins the log's line anew without the key in the target's query, if that is where keys are.
fn hide_key(client: &Client, scene: &Scene<'_>, sought: &Sought<'_>, guard: &Guard, opened: &mut Opened) {
    let Some((name, _)) = guard.secret_parameter().filter(|_| opened.line.is_some()) else { return };
    let target = hide_parameter(scene.head.target.raw, name);
    let mut head: RequestHead<'_, '_> = *scene.head;
    head.target.raw = &target;
    let (worker, listener) = (&client.worker, &client.listener);
    let who = (sought.variables.client_ip, client.peer, client.protocol(head.version));
    opened.line = Line::request(worker, listener, who, &head, sought.variables.request_id);
    say_tls(&mut opened.line, client);
}

/// What a forward-auth service is told of a request.
fn told(client: &Client, scene: &Scene<'_>, sought: &Sought<'_>, forward: &Arc<ForwardAuth>) -> Service {
    let Sought { route, variables, .. } = sought;
    let rendering = Rendering {
        head: scene.head,
        route,
        variables,
        upgrade: None,
        takes_trailers: false,
        admitted: None,
        forwards_left: None,
        is_early: false,
    };
    Service::new(client, &rendering, forward)
}

/// Finds out what a look at a request has left open.
pub async fn ask(client: &mut Client, view: &Rc<View>, question: Question, client_ip: IpAddr) -> Box<Known> {
    let Question { mut known, ask } = question;
    match ask {
        Ask::Password(claim, cache) => {
            known.password = Some(password::verify(&client.worker, claim, cache).await);
        }
        Ask::Service(service) => {
            known.service = Some(service.ask(client, view, client_ip).await);
        }
    }
    Box::new(known)
}
