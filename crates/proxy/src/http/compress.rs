//! *Settle* and *record*, as far as compression goes: whether a response is compressed, and what is counted of it.

use super::client::Client;
use super::exchange::Exchange;
use super::fields::HeadFields;
use crate::compress::Stage;
use evenly_core::compression::{
    Accepted, Compression, Response, drops, lists, name, write_coding, write_vary, write_weak_tag,
};
use evenly_core::document::Algorithm;
use evenly_core::route::{Fields, Route};
use evenly_http1::{BodyLength, Field, RequestHead, ResponseHead, Version};

/// What an exchange's response may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Neither the route nor the listener compresses.
    Off,
    /// The client takes nothing that is offered.
    Bare,
    /// The client takes this. `has_weak`: it has a response with a weak validator, as compressed ones are, and asks whether
    /// that is still good.
    Into { algorithm: Algorithm, has_weak: bool },
}

impl Coding {
    /// What the route, or else the listener, offers and the client takes.
    pub fn of(client: &Client, route: &Route, head: &RequestHead<'_, '_>) -> Self {
        let Some(compression) = policy(client, route) else { return Self::Off };
        let mut accepted = Accepted::default();
        let fields = head.fields.iter().filter(|field| field.name.eq_ignore_ascii_case("accept-encoding"));
        fields.for_each(|field| accepted.read(field.value));
        let Some(algorithm) = accepted.choose(&compression.algorithms) else { return Self::Bare };
        // RFC 9111 §5.2.1.6.
        if HeadFields(head.fields).any("cache-control", &mut |value| lists(value, b"no-transform")) {
            return Self::Bare;
        }
        let asked = head.fields.iter().filter(|field| field.name.eq_ignore_ascii_case("if-none-match"));
        let has_weak = asked.into_iter().any(|field| field.value.windows(3).any(|part| part == b"W/\""));
        Self::Into { algorithm, has_weak }
    }
}

fn policy<'a>(client: &'a Client, route: &'a Route) -> Option<&'a Compression> {
    route.compression.as_deref().or(client.listener.compression.as_deref())
}

/// What becomes of one response.
#[derive(Default)]
pub struct Coded {
    /// Its encoder.
    pub stage: Option<Box<Stage>>,
    /// What its head says that it is compressed with: also a head without a body says what GET would get.
    algorithm: Option<Algorithm>,
    /// Whether it varies with what clients take.
    varies: bool,
    /// Whether it says that a compressed one is still good.
    confirms: bool,
}

impl Coded {
    /// Decides on a response whose head has come.
    pub fn begin(client: &Client, exchange: &Exchange, head: &ResponseHead<'_, '_>) -> Self {
        let route = exchange.route();
        let Some(compression) = policy(client, route) else { return Self::default() };
        if head.status == 304 {
            let confirms = matches!(exchange.coding, Coding::Into { has_weak: true, .. });
            return Self { confirms, varies: confirms, ..Self::default() };
        }
        let fields = HeadFields(head.fields);
        let length = match head.body {
            BodyLength::Length(length) => Some(length),
            // Of the body that GET would get.
            BodyLength::None => fields.first("content-length").and_then(length_of),
            BodyLength::Chunked | BodyLength::UntilClose => None,
        };
        let response = Response { status: head.status, fields: &fields, length };
        if !compression.suits(&response) || route.response_rules.drops("content-encoding") {
            return Self::default();
        }
        let mut coded = Self { varies: true, ..Self::default() };
        let Coding::Into { algorithm, .. } = exchange.coding else { return coded };
        if head.body == BodyLength::None {
            // HEAD must not state a length that GET would not (RFC 9110 §8.6).
            coded.algorithm = Some(algorithm);
            return coded;
        }
        let lenders = (&client.worker.coders, &client.worker.buffers);
        let chunked = exchange.version == Version::Http11;
        coded.stage =
            Stage::new(lenders, (algorithm, compression.level), chunked, length.is_none()).map(Box::new);
        coded.algorithm = coded.stage.is_some().then_some(algorithm);
        if coded.stage.is_none() {
            client.worker.stats.borrow_mut().compression_skipped(client.listener.id.0);
        }
        coded
    }

    /// Whether a field of the endpoint's is left out.
    pub fn drops(&self, field: &Field<'_>) -> bool {
        // A name is made a text only where that is of use.
        (self.algorithm.is_some() && drops(&field.name))
            || (self.confirms && field.name.eq_ignore_ascii_case("etag"))
    }

    /// Appends the fields that say so, but for a validator of which the route has the last word.
    pub fn write(&self, out: &mut Vec<u8>, head: &ResponseHead<'_, '_>, route: &Route) {
        let fields = HeadFields(head.fields);
        if let Some(algorithm) = self.algorithm {
            write_coding(out, algorithm);
        }
        if (self.algorithm.is_some() || self.confirms) && !route.response_rules.drops("etag") {
            write_weak_tag(out, &fields);
        }
        if self.varies {
            write_vary(out, &fields);
        }
    }
}

fn length_of(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Counts a compressed response, whether or not it came to its end.
pub fn count(client: &Client, exchange: &mut Exchange, stage: &Stage) {
    let Stage { algorithm, taken, made, .. } = *stage;
    client.worker.stats.borrow_mut().compressed(client.listener.id.0, algorithm, (taken, made));
    if let Some(line) = &mut exchange.tally.line {
        line.compressed(name(algorithm), taken);
    }
}
