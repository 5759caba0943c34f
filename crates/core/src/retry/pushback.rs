//! `grpc-retry-pushback-ms` (gRPC proposal A6, "Pushback"): what an endpoint that ends a call says of trying it again.

use crate::route::Fields;
use std::time::Duration;

/// The field.
const NAME: &str = "grpc-retry-pushback-ms";

/// What it says.
///
/// Unlike `Retry-After` it is about the call and not about the endpoint that sent it, so it holds wherever the call goes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushback {
    /// To try again after exactly that time: its sender spreads those who come back.
    After(Duration),
    /// Not to try again.
    Never,
}

impl Pushback {
    /// What the fields that end a call say, if they do. Two values are no number, as in gRPC's own clients.
    pub fn of(fields: &impl Fields) -> Option<Self> {
        let mut said = None;
        fields.any(NAME, &mut |value| {
            said = Some(if said.is_none() { Self::read(value) } else { Self::Never });
            false
        });
        said
    }

    /// A signed 32-bit number of milliseconds; what is negative or no such number is a no.
    fn read(value: &[u8]) -> Self {
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let number =
            std::str::from_utf8(value).ok().filter(|_| is_number).and_then(|text| text.parse::<i32>().ok());
        let millis = number.and_then(|number| u64::try_from(number).ok());
        millis.map_or(Self::Never, |millis| Self::After(Duration::from_millis(millis)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document;
    use crate::random::Random;
    use crate::retry::policy::tests::document as sample;
    use crate::retry::{Cause, Policy, Price, Refusal, Try};

    /// A head with these values of the field.
    struct Said<'a>(&'a [&'a str]);

    impl Fields for Said<'_> {
        fn first(&self, name: &str) -> Option<&[u8]> {
            self.0.first().filter(|_| name == NAME).map(|value| value.as_bytes())
        }

        fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
            name == NAME && self.0.iter().any(|value| test(value.as_bytes()))
        }
    }

    #[test]
    fn a_number_is_a_time_and_anything_else_a_no() {
        for (value, millis) in [("0", 0), ("1500", 1500), ("2147483647", 2_147_483_647)] {
            let after = Pushback::After(Duration::from_millis(millis));
            assert_eq!(Pushback::of(&Said(&[value])), Some(after), "{value}");
        }
        for value in
            ["-1", "-0", "+1", "", "1.5", "1s", "soon", "2147483648", "99999999999999999999", "\u{664}"]
        {
            assert_eq!(Pushback::of(&Said(&[value])), Some(Pushback::Never), "{value}");
        }
        assert_eq!(Pushback::of(&Said(&["1", "1"])), Some(Pushback::Never));
        assert_eq!(Pushback::of(&Said(&[])), None);
    }

    fn policy() -> Policy {
        Policy::build(&document::Retry { attempts: 4, ..sample() }).unwrap()
    }

    fn unavailable(pushback: Option<Pushback>) -> Try {
        Try {
            number: 1,
            cause: Cause::GrpcStatus(14),
            is_sent: true,
            is_idempotent: false,
            is_repeatable: true,
            is_elsewhere: true,
            was_reused: false,
            retry_after: None,
            pushback,
        }
    }

    #[test]
    fn a_no_ends_the_tries() {
        let after = Pushback::After(Duration::ZERO);
        assert_eq!(policy().judge(&unavailable(None)), Ok(Price::Retry));
        assert_eq!(policy().judge(&unavailable(Some(after))), Ok(Price::Retry));
        assert_eq!(policy().judge(&unavailable(Some(Pushback::Never))), Err(Refusal::Pushback));
    }

    /// Also where `Retry-After` asks for something else, and the backoff for a pause.
    #[test]
    fn a_time_is_the_pause_wherever_the_call_goes() {
        let mut random = Random::new(1);
        for pause in [Duration::ZERO, Duration::from_secs(3)] {
            for (number, is_elsewhere, retry_after) in
                [(1, true, None), (1, false, Some(Duration::from_secs(9))), (3, true, None), (3, false, None)]
            {
                let told = unavailable(Some(Pushback::After(pause)));
                let failed = Try { number, is_elsewhere, retry_after, ..told };
                assert_eq!(policy().pause(&failed, &mut random), pause, "{failed:?}");
            }
        }
    }
}
