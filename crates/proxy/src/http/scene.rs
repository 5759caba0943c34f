//! What Evenly's own answers to a request depend on, and how each becomes a plan.

use super::admit::Known;
use super::answer::{Answer, Manner};
use super::client::Client;
use super::exchange::Tally;
use super::grpc::Call;
use super::plan::{Plan, Planned};
use crate::access_log::Line;
use crate::worker::view::View;
use evenly_core::error::Failure;
use evenly_core::pool::Nanos;
use evenly_core::route::Route;
use evenly_http1::{BodyLength, RequestHead, TargetForm};
use std::rc::Rc;
use std::sync::Arc;

/// What there is of a request's [`Tally`] before it is known who answers: the rest of it would only be carried about.
pub struct Opened {
    /// When its first bytes were there.
    pub started: Nanos,
    /// Its part of its access-log line.
    pub line: Option<Line>,
}

impl Opened {
    /// To be counted from here on.
    pub fn tally(self) -> Tally {
        Tally::new(self.started, self.line)
    }
}

/// What an answer of Evenly's own depends on.
pub struct Scene<'a> {
    /// The configuration that the request is served with.
    pub view: &'a Rc<View>,
    /// The request's head.
    pub head: &'a RequestHead<'a, 'a>,
    /// Bytes of all of it, if all of it is there.
    pub request_length: Option<usize>,
    /// What an earlier look has found out.
    pub known: Option<&'a Known>,
    /// The call of gRPC that the request is.
    pub call: Option<Box<Call>>,
    /// Whether it came in early data, and is done at once.
    pub is_early: bool,
}

impl<'a> Scene<'a> {
    /// Of a request, of whose bytes so many are there.
    pub fn new(
        (view, head): (&'a Rc<View>, &'a RequestHead<'a, 'a>),
        available: usize,
        known: Option<&'a Known>,
        call: Option<Box<Call>>,
        is_early: bool,
    ) -> Self {
        Self { view, head, request_length: request_length(head, available), known, call, is_early }
    }

    /// How the client wants an answer.
    pub fn manner(&self) -> Manner {
        // Behind a CONNECT the client may already be sending what was meant for its tunnel.
        let is_connect = self.head.target.form == TargetForm::Authority;
        let keep_alive = self.head.keep_alive && self.request_length.is_some() && !is_connect;
        let is_call = self.call.is_some();
        Manner { is_head: self.head.method == "HEAD", keep_alive, version: self.head.version, is_call }
    }

    /// Answers with a failure's page.
    pub fn fail(
        &self,
        client: &Client,
        opened: Opened,
        route: Option<&Arc<Route>>,
        failure: Failure,
    ) -> Plan {
        let mut tally = opened.tally();
        tally.failure = Some(failure);
        let answer = Answer::failure(client, &self.view.snapshot.error_pages, failure, &self.manner());
        self.plan(answer, tally, route)
    }

    /// Answers with a failure's page and perhaps one more line in its head.
    pub fn refuse(
        &self,
        client: &Client,
        opened: Opened,
        route: &Arc<Route>,
        refusal: (Failure, Option<&[u8]>),
    ) -> Plan {
        let mut tally = opened.tally();
        tally.failure = Some(refusal.0);
        let answer = Answer::refusal(client, &self.view.snapshot.error_pages, refusal, &self.manner());
        self.plan(answer, tally, Some(route))
    }

    /// Answers with what is rendered already.
    pub fn answer(&self, answer: Answer, tally: Tally, route: &Arc<Route>) -> Plan {
        self.plan(answer, tally, Some(route))
    }

    /// Answers in place of the endpoint what may not be passed on any further (RFC 9110 §7.6.2). TRACE would show the
    /// client what its proxies have added, so nobody is served with it.
    pub fn last(&self, client: &Client, opened: Opened, route: &Arc<Route>) -> Plan {
        if self.head.method == "TRACE" {
            return self.fail(client, opened, Some(route), Failure::NotImplemented);
        }
        self.answer(Answer::empty(client, 200, &self.manner()), opened.tally(), route)
    }

    fn plan(&self, answer: Answer, mut tally: Tally, route: Option<&Arc<Route>>) -> Plan {
        tally.call = self.call.clone();
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
