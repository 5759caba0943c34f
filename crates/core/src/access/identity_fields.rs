//! Fields that tell endpoints who somebody is: from clients they count nowhere.

use super::{Guard, KeySource, is_alike};

/// The names of the fields by which any guard of a configuration tells endpoints whose request it is. Endpoints believe
/// them, and do not know which route a request has come by: so no client may send them, not even where there is no guard.
#[derive(Debug)]
pub struct IdentityFields {
    names: Box<[Box<str>]>,
    /// Bit n is set if a name has n bytes (63 stands for 63 and more): most fields fail this test first.
    lengths: u64,
}

/// A service may set them, too, but they are the client's own: to other routes they have to get.
const OF_CLIENTS: [&str; 2] = ["authorization", "cookie"];

impl IdentityFields {
    /// Those of all these guards; `None` if they tell nothing.
    pub fn of<'g>(guards: impl Iterator<Item = &'g Guard> + Clone) -> Option<Self> {
        let keys = || {
            guards.clone().filter_map(|guard| match &guard.keys.as_ref()?.source {
                KeySource::Header(name) => Some(&**name),
                KeySource::Query(_) => None,
            })
        };
        let is_of_clients =
            |name: &str| OF_CLIENTS.iter().copied().chain(keys()).any(|own| is_alike(own, name));
        let mut names: Vec<Box<str>> = guards
            .clone()
            .flat_map(Guard::told)
            .filter(|name| !is_of_clients(name))
            .map(Into::into)
            .collect();
        names.sort_unstable();
        names.dedup();
        let lengths = names.iter().fold(0, |bits, name| bits | length_bit(name));
        (!names.is_empty()).then_some(Self { names: names.into(), lengths })
    }

    /// Whether a field called `name` is one of them, or like one ([`Guard::drops`]).
    pub fn has(&self, name: &str) -> bool {
        self.lengths & length_bit(name) != 0 && self.names.iter().any(|own| is_alike(own, name))
    }
}

fn length_bit(name: &str) -> u64 {
    1 << name.len().min(63)
}
