//! Faults that a route injects on purpose, so that it can be seen how clients bear them: delays and errors, for a share of
//! the requests and perhaps only for those with certain header fields.

use super::{Conditions, Request, duration};
use crate::document::{self, DocumentError};
use crate::random::Random;
use std::time::Duration;

/// What a route injects, checked.
#[derive(Debug)]
pub struct Fault {
    delay: Option<Duration>,
    delay_percent: u8,
    abort: Option<u16>,
    abort_percent: u8,
    /// Requests for which these do not hold are left alone.
    conditions: Conditions,
}

/// What is done to one request: waiting first, then the error in place of an endpoint's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the type's line says it")]
pub struct Injected {
    pub delay: Option<Duration>,
    pub abort: Option<u16>,
}

impl Fault {
    /// Checks and compiles. Error paths are relative to the fault: "delay_ms".
    ///
    /// # Errors
    /// Nothing to inject, a share above 100 %, a status that is no error, a header condition that cannot hold.
    pub fn build(document: &document::Fault) -> Result<Self, DocumentError> {
        let document::Fault { delay_ms, delay_percent, abort, abort_percent, headers } = document;
        if delay_ms.is_none() && abort.is_none() {
            return Err(DocumentError::new("", "injects nothing: set delay_ms, abort or both"));
        }
        for (field, percent) in [("delay_percent", delay_percent), ("abort_percent", abort_percent)] {
            if *percent > 100 {
                return Err(DocumentError::new(field, "must be between 0 and 100"));
            }
        }
        if abort.is_some_and(|status| !(400..=599).contains(&status)) {
            return Err(DocumentError::new("abort", "must be between 400 and 599"));
        }
        Ok(Self {
            delay: delay_ms.map(|milliseconds| duration("delay_ms", milliseconds)).transpose()?,
            delay_percent: *delay_percent,
            abort: *abort,
            abort_percent: *abort_percent,
            conditions: Conditions::of_headers(headers)?,
        })
    }

    /// What happens to this request. The two shares are drawn for themselves: with 10 % each, 1 % get both.
    pub fn draw(&self, request: &Request<'_>, random: &mut Random) -> Option<Injected> {
        if !self.conditions.hold(request) {
            return None;
        }
        let delay = self.delay.filter(|_| random.hits(self.delay_percent));
        let abort = self.abort.filter(|_| random.hits(self.abort_percent));
        (delay.is_some() || abort.is_some()).then_some(Injected { delay, abort })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{FieldMatch, ValueMatch};
    use crate::route::Fields;

    struct OneField(&'static str);

    impl Fields for OneField {
        fn first(&self, name: &str) -> Option<&[u8]> {
            (name == "x-fault").then_some(self.0.as_bytes())
        }

        fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
            name.eq_ignore_ascii_case("x-fault") && test(self.0.as_bytes())
        }
    }

    fn document() -> document::Fault {
        document::Fault {
            delay_ms: Some(200),
            delay_percent: 10,
            abort: Some(503),
            abort_percent: 20,
            headers: vec![FieldMatch { name: "X-Fault".into(), value: ValueMatch::Exact("yes".into()) }],
        }
    }

    fn request(fields: &OneField) -> Request<'_> {
        Request { method: "GET", host: "a", path: "/", query: None, fields, tls: None, connect: false }
    }

    #[test]
    fn each_share_is_drawn_for_itself() {
        let (fault, fields, mut random) =
            (Fault::build(&document()).unwrap(), OneField("yes"), Random::new(1));
        let drawn: Vec<_> = (0..10_000).filter_map(|_| fault.draw(&request(&fields), &mut random)).collect();
        let count = |test: fn(&Injected) -> bool| drawn.iter().filter(|one| test(one)).count();
        assert!((900..1_100).contains(&count(|one| one.delay.is_some())));
        assert!((1_850..2_150).contains(&count(|one| one.abort == Some(503))));
        assert!((150..250).contains(&count(|one| one.abort.is_some() && one.delay.is_some())));
    }

    #[test]
    fn only_requests_with_the_header() {
        let (fault, mut random) = (Fault::build(&document()).unwrap(), Random::new(1));
        assert!((0..1_000).all(|_| fault.draw(&request(&OneField("no")), &mut random).is_none()));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (change, path) in [
            (document::Fault { delay_ms: None, abort: None, ..document() }, ""),
            (document::Fault { delay_ms: Some(0), ..document() }, "delay_ms"),
            (document::Fault { delay_percent: 101, ..document() }, "delay_percent"),
            (document::Fault { abort_percent: 101, ..document() }, "abort_percent"),
            (document::Fault { abort: Some(302), ..document() }, "abort"),
        ] {
            assert_eq!(Fault::build(&change).unwrap_err().path, path);
        }
    }
}
