//! Calls of gRPC: told apart by their type, timed by what they say themselves, and judged by the status that ends them,
//! as the status of the response says little.

use super::client::Client;
use super::exchange::Exchange;
use super::fields::HeadFields;
use super::handle::Next;
use crate::pump::Pump;
use crate::stream::Stream;
use crate::upstream::Upstream;
use evenly_core::error::{Failure, Side};
use evenly_core::grpc;
use evenly_core::outlier::Outcome;
use evenly_core::pool::Lease;
use evenly_core::route::Fields;
use evenly_http1::{RequestHead, ResponseHead, split_field};
use std::io::Write;
use std::time::Duration;

/// A call.
#[derive(Debug, Clone)]
pub struct Call {
    /// How long it may take, by its own word.
    timeout: Option<Duration>,
    /// When that is over, as a tick.
    pub due: u64,
    /// What ended it, once something has.
    pub status: Option<u8>,
}

impl Call {
    /// The call that a request is, if it is one: only HTTP/2 and HTTP/3 carry them.
    #[inline]
    pub fn of(client: &Client, head: &RequestHead<'_, '_>) -> Option<Box<Self>> {
        if !client.stream.frames_messages() {
            return None;
        }
        let fields = HeadFields(head.fields);
        if !grpc::is_call(fields.first("content-type")?) {
            return None;
        }
        let timeout = fields.first(grpc::TIMEOUT).and_then(grpc::timeout);
        Some(Box::new(Self { timeout, due: u64::MAX, status: None }))
    }
}

/// A call goes to an endpoint: from now on its time runs.
pub fn begin(client: &Client, exchange: &mut Exchange) {
    if let Some(call) = &mut exchange.tally.call
        && let Some(timeout) = call.timeout
    {
        call.due = client.deadline.at(timeout);
        exchange.due = exchange.due.min(call.due);
    }
}

/// A response's head may say at once how the call ended.
pub fn settled(exchange: &mut Exchange, head: &ResponseHead<'_, '_>) {
    if let Some(call) = &mut exchange.tally.call {
        call.status = HeadFields(head.fields).first(grpc::STATUS).and_then(grpc::status);
    }
}

/// All of the response is through: trailers may say how the call ended.
pub fn ended(exchange: &mut Exchange, download: &Pump) {
    if let (Some(call), Some(trailers)) = (&mut exchange.tally.call, &download.trailers) {
        call.status = call.status.or_else(|| status_in(&trailers.lines));
    }
}

/// The response is over: tells outlier detection and the circuit breaker how the call ended. What was its client's doing
/// says nothing of the endpoint.
pub fn observe(client: &Client, exchange: &mut Exchange, upstream: &Upstream, lease: &Lease) {
    let failure = exchange.tally.failure;
    let Some(call) = &mut exchange.tally.call else { return };
    if failure.is_none() {
        let trailers = match &upstream.stream {
            Stream::H2(stream) => stream.grpc_status(),
            _ => None,
        };
        call.status = call.status.or(trailers);
    }
    let (status, http) = (call.status, exchange.tally.status);
    match failure {
        None => {
            // One without a status has failed, whatever else it brought; its client takes it for UNKNOWN.
            let of_call = status.map_or(Outcome::ServerError, grpc::outcome);
            let outcome = if http == 200 { of_call } else { Outcome::of_status(http) };
            exchange.observe(&client.worker, lease, outcome);
        }
        Some(failure) => exchange.give_up(failure),
    }
}

/// A response breaks off whose head was sent: a call can be told why, in its trailers. Anything else is cut.
pub fn cut(client: &mut Client, exchange: &mut Exchange, failure: Failure) -> Next {
    let Some(call) = &mut exchange.tally.call else { return Next::Abort };
    if failure.side() == Side::Downstream {
        return Next::Abort;
    }
    let status = grpc::of_failure(failure);
    let mut lines = Vec::with_capacity(64);
    write(&mut lines, status, failure.reason());
    let is_told = match &mut client.stream {
        Stream::H2(stream) if stream.is_midway() => {
            stream.finish(Some(&lines));
            true
        }
        Stream::H3(stream) => stream.cut(&lines),
        _ => false,
    };
    if !is_told {
        return Next::Abort;
    }
    call.status = Some(status);
    Next::Linger
}

/// The status in lines of fields.
pub fn status_in(mut lines: &[u8]) -> Option<u8> {
    while !matches!(lines, [] | [b'\r', b'\n', ..]) {
        let line = split_field(lines).ok()?;
        if line.name.eq_ignore_ascii_case(grpc::STATUS.as_bytes()) {
            return grpc::status(line.value);
        }
        lines = line.rest;
    }
    None
}

/// Writes the lines that end a call.
pub fn write(out: &mut Vec<u8>, status: u8, message: &str) {
    // Writing to memory does not fail.
    let _ = write!(out, "{}: {status}\r\ngrpc-message: {message}\r\n", grpc::STATUS);
}
