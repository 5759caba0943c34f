//! What binds a request's client to an endpoint, and to a variant of a split: read with the head (*route*), heeded by
//! *pick*, renewed in *settle*. All decisions are `evenly_core::affinity`'s.

use super::client::Client;
use super::exchange::Exchange;
use crate::worker::view::View;
use evenly_core::affinity::pick::by_balancer;
use evenly_core::affinity::split::Variant;
use evenly_core::affinity::{Ask, Clue, Ignored, Outcome, Place, Told, pick};
use evenly_core::pool::{Lease, NoEndpoint};
use evenly_core::route::{PoolIndex, Request, Split};
use evenly_core::template::Variables;
use evenly_http1::{FieldKind, RequestHead, ResponseHead};

/// A request's ties. Most requests have none, and no `Bond` either.
pub struct Bond {
    /// To an endpoint, where the pool has affinity.
    clue: Option<Clue>,
    /// The variant that the client is to be told.
    due: Option<PoolIndex>,
    /// What became of the tie to a variant, where the split has affinity.
    variant: Told,
    /// Whether the client came over TLS, as far as that is known.
    is_https: bool,
}

/// The pool that a split sends a request to: the variant that its client is on, or one by weight.
pub fn choose(
    client: &Client,
    view: &View,
    route: usize,
    split: &Split,
    request: &Request<'_>,
) -> (PoolIndex, Option<Variant>) {
    let by_weight = || split.choose(client.worker.random.borrow_mut().next());
    let Some(variants) = &view.snapshot.variants[route] else { return (by_weight(), None) };
    let variant = variants.read(request);
    (variant.pool.unwrap_or_else(by_weight), Some(variant))
}

impl Bond {
    /// What a request shows, if its pool or split has affinity. `taking` is the pool at whose place it is served: the
    /// chosen one, or a fallback of that one, which is another variant for nobody.
    pub fn of(
        client: &Client,
        view: &View,
        (chosen, variant): (PoolIndex, Option<Variant>),
        taking: usize,
        (head, request, variables): (&RequestHead<'_, '_>, &Request<'_>, &Variables<'_>),
    ) -> Option<Self> {
        let affinity = view.snapshot.affinity(taking);
        if affinity.is_none() && variant.is_none() {
            return None;
        }
        Some(Self {
            clue: affinity.map(|affinity| {
                let name = client.stream.facts().and_then(|facts| facts.name.as_deref());
                let by_name = affinity.clue_of_server_name(name);
                by_name.unwrap_or_else(|| affinity.clue(request, variables.client_ip))
            }),
            due: variant.filter(|variant| variant.is_due).map(|_| chosen),
            variant: variant.map(|variant| variant.told).unwrap_or_default(),
            is_https: variables.scheme == "https" || client.is_trusted && came_over_tls(head),
        })
    }

    /// For *record*: of the endpoint, or of the variant where only the split has affinity.
    pub fn told(&self) -> Told {
        let Some(Clue { told, .. }) = self.clue else { return self.variant };
        let ignored = if told.ignored == Ignored::Nothing { self.variant.ignored } else { told.ignored };
        Told { outcome: told.outcome, ignored }
    }

    /// Whether the client is known to belong to an endpoint.
    pub fn is_known(&self) -> bool {
        self.clue.is_some_and(|clue| clue.told.outcome == Outcome::Hit)
    }
}

/// *Pick*, for a request that may have a bond.
#[inline]
pub fn pick_for(
    view: &View,
    pool: usize,
    bond: &mut Option<Bond>,
    ask: Ask<'_>,
) -> Result<Lease, NoEndpoint> {
    let mut picker = view.picker(pool).borrow_mut();
    let Some(bond) = bond else { return by_balancer(&mut picker, ask) };
    match (view.snapshot.affinity(pool), &mut bond.clue) {
        (Some(affinity), Some(clue)) => pick(affinity, clue, &mut picker, ask),
        _ => by_balancer(&mut picker, ask),
    }
}

/// An endpoint has answered: its client belongs to it from here on. Appends the `Set-Cookie` lines that say so.
pub fn renew(exchange: &mut Exchange, head: &ResponseHead<'_, '_>, out: &mut Vec<u8>) {
    let (Some(bond), Some((_, address))) = (&mut exchange.bond, exchange.tally.endpoint) else { return };
    let snapshot = &exchange.view.snapshot;
    if let (Some(pool), Some(variants)) = (bond.due, &snapshot.variants[exchange.route]) {
        variants.write_cookie(out, pool, bond.is_https);
    }
    let (Some(affinity), Some(clue)) = (snapshot.affinity(exchange.pool), &mut bond.clue) else { return };
    let (place, now) = (Place::of_address(address), exchange.tally.started);
    if affinity.learns() {
        let is_set_cookie = |name: &[u8]| name.eq_ignore_ascii_case(b"set-cookie");
        for field in head.fields.iter().filter(|field| is_set_cookie(field.name.as_bytes())) {
            affinity.learn(clue, field.value, place, now);
        }
    }
    if affinity.answered(clue, place, now) {
        affinity.write_cookie(out, place, bond.is_https);
    }
}

/// Whether a proxy that is trusted says that its client came over TLS: `X-Forwarded-Proto`, or `Forwarded` (RFC 7239
/// §5.4). The first element is the one that the client itself came with.
fn came_over_tls(head: &RequestHead<'_, '_>) -> bool {
    head.fields.iter().any(|field| match field.kind {
        FieldKind::XForwardedProto => first_element(field.value).trim_ascii().eq_ignore_ascii_case(b"https"),
        FieldKind::Forwarded => first_element(field.value).split(|byte| *byte == b';').any(|pair| {
            let pair = pair.trim_ascii();
            pair.eq_ignore_ascii_case(b"proto=https") || pair.eq_ignore_ascii_case(b"proto=\"https\"")
        }),
        _ => false,
    })
}

fn first_element(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == b',').next().unwrap_or_default()
}
