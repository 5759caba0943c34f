//! A head's fields as the decisions in `evenly_core` ask for them.

use super::client::Client;
use crate::worker::view::View;
use evenly_core::access::IdentityFields;
use evenly_core::route::Fields;
use evenly_http1::Field;

/// The fields of a parsed head.
pub struct HeadFields<'a>(pub &'a [Field<'a>]);

impl Fields for HeadFields<'_> {
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|field| is_named(field, name)).map(|field| field.value)
    }

    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.iter().filter(|field| is_named(field, name)).any(|field| test(field.value))
    }
}

/// The fields of a client's head. As if absent: those that only trusted proxies may send when it is none, and those that
/// only Evenly's guards may.
pub struct ClientFields<'a> {
    fields: &'a [Field<'a>],
    client: &'a Client,
    identity_fields: Option<&'a IdentityFields>,
}

impl<'a> ClientFields<'a> {
    /// The fields of this client's head.
    pub fn of(client: &'a Client, view: &'a View, fields: &'a [Field<'a>]) -> Self {
        Self { fields, client, identity_fields: view.snapshot.identity_fields.as_ref() }
    }

    /// Those called `name` that count.
    fn named(&self, name: &str) -> impl Iterator<Item = &'a Field<'a>> {
        let is_hidden = self.identity_fields.is_some_and(|fields| fields.has(name));
        let counts = move |field: &&Field<'_>| !is_hidden && self.client.may_say(field.kind);
        self.fields.iter().filter(move |field| is_named(field, name)).filter(counts)
    }
}

impl Fields for ClientFields<'_> {
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.named(name).next().map(|field| field.value)
    }

    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.named(name).any(|field| test(field.value))
    }
}

fn is_named(field: &Field<'_>, name: &str) -> bool {
    field.name.as_bytes().eq_ignore_ascii_case(name.as_bytes())
}
