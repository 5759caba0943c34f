//! Whether a request that failed at an endpoint may be tried again.

use super::{Backoff, Pushback};
use crate::document::{self, DocumentError, StatusRange};
use crate::grpc;
use crate::random::Random;
use crate::route::duration;
use std::time::Duration;

/// What went wrong with a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Nobody took the connection: nothing was sent.
    ConnectFailure,
    /// It was taken, but no TLS session or connection of HTTP/2 came of it: nothing was sent.
    HandshakeFailure,
    /// The connection was not made in time: nothing was sent.
    ConnectTimeout,
    /// The connection ended before a byte of the response.
    Reset,
    /// The response head did not come in time.
    Timeout,
    /// The response's status says so.
    Status(u16),
    /// The status of a call of gRPC says so.
    GrpcStatus(u8),
}

/// A try that failed, as far as it matters for another one.
#[derive(Debug, Clone, Copy)]
pub struct Try {
    /// Its number; the first is 1.
    pub number: u32,
    /// What went wrong.
    pub cause: Cause,
    /// Whether the endpoint may have got all of the request, so that it may have acted on it.
    pub is_sent: bool,
    /// Whether sending the request twice does no harm (RFC 9110 §9.2.2).
    pub is_idempotent: bool,
    /// Whether all of the request is still at hand, and nothing of a response went to the client.
    pub is_repeatable: bool,
    /// Whether there is another endpoint that was not tried yet.
    pub is_elsewhere: bool,
    /// Whether its connection had carried other requests before.
    pub was_reused: bool,
    /// The time that the endpoint asked to be left alone for.
    pub retry_after: Option<Duration>,
    /// What it says of trying the call again.
    pub pushback: Option<Pushback>,
}

/// What another try costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Price {
    /// Nothing: no endpoint has been burdened with the request yet, so the next send is its first.
    Free,
    /// One retry of the budget.
    Retry,
}

/// Why there is no other try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The policy does not retry after this.
    Cause,
    /// The endpoint says not to.
    Pushback,
    /// There were as many tries as it allows.
    Attempts,
    /// Something of a response went to the client, or the request's body is gone.
    NotRepeatable,
    /// It may have been acted upon, and its method is not idempotent.
    Method,
    /// The only endpoint there is does not answer: waiting for it once more would only take longer.
    NoOther,
}

/// When and how requests are tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    attempts: u32,
    on_connect_failure: bool,
    on_reset: bool,
    on_timeout: bool,
    on_statuses: Box<[StatusRange]>,
    on_grpc_statuses: Box<[u8]>,
    non_idempotent: bool,
    body_bytes: u64,
    /// For one try, from the request's last byte sent to the response's head.
    pub try_timeout: Option<Duration>,
    backoff: Backoff,
}

/// Too Early (RFC 8470 §5.2).
const TOO_EARLY: u16 = 425;

/// Tries that a request can have. More would keep a client waiting for what is down.
const MOST_ATTEMPTS: u32 = 10;

impl Policy {
    /// Checks a document's policy. Error paths are relative to it.
    ///
    /// # Errors
    /// The first value that cannot be meant as it stands.
    pub fn build(document: &document::Retry) -> Result<Self, DocumentError> {
        if !(1..=MOST_ATTEMPTS).contains(&document.attempts) {
            return Err(DocumentError::new("attempts", format!("must be from 1 to {MOST_ATTEMPTS}")));
        }
        let outside = |range: &StatusRange| range.first < 400 || range.last > 599 || range.first > range.last;
        if let Some(index) = document.on_statuses.iter().position(outside) {
            return Err(DocumentError::new(
                format!("on_statuses[{index}]"),
                "statuses that say that something failed are from 400 to 599",
            ));
        }
        let too_early = |range: &StatusRange| (range.first, range.last) == (TOO_EARLY, TOO_EARLY);
        if let Some(index) = document.on_statuses.iter().position(too_early) {
            return Err(DocumentError::new(
                format!("on_statuses[{index}]"),
                "425 is for the client, which alone can ask again later than too early",
            ));
        }
        let means_nothing = |status: &u8| *status == 0 || usize::from(*status) >= grpc::STATUSES.len();
        if let Some(index) = document.on_grpc_statuses.iter().position(means_nothing) {
            return Err(DocumentError::new(
                format!("on_grpc_statuses[{index}]"),
                "statuses of gRPC that say that something failed are from 1 to 16",
            ));
        }
        if document.max_backoff_ms < document.backoff_ms {
            return Err(DocumentError::new("max_backoff_ms", "must not be below backoff_ms"));
        }
        let try_timeout = document.try_ms.map(|value| duration("try_ms", value)).transpose()?;
        let backoff = Backoff {
            base: Duration::from_millis(document.backoff_ms),
            most: Duration::from_millis(document.max_backoff_ms),
        };
        Ok(Self {
            attempts: document.attempts,
            on_connect_failure: document.on_connect_failure,
            on_reset: document.on_reset,
            on_timeout: document.on_timeout,
            on_statuses: document.on_statuses.as_slice().into(),
            on_grpc_statuses: document.on_grpc_statuses.as_slice().into(),
            non_idempotent: document.non_idempotent,
            body_bytes: document.body_bytes,
            try_timeout,
            backoff,
        })
    }

    /// Whether there may be another try after this one, and what it costs.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, failed: &Try) -> Result<Price, Refusal> {
        let (is_wanted, may_have_acted) = match failed.cause {
            Cause::ConnectFailure | Cause::HandshakeFailure | Cause::ConnectTimeout => {
                (self.on_connect_failure, false)
            }
            Cause::Reset => (self.on_reset, failed.is_sent),
            Cause::Timeout => (self.on_timeout, true),
            Cause::Status(status) => (self.retries_status(status), true),
            // All calls are POST, so who names statuses of theirs says that they may be sent twice.
            Cause::GrpcStatus(status) => (self.retries_call(status), false),
        };
        if !is_wanted {
            Err(Refusal::Cause)
        } else if failed.pushback == Some(Pushback::Never) {
            Err(Refusal::Pushback)
        } else if failed.number >= self.attempts {
            Err(Refusal::Attempts)
        } else if !failed.is_repeatable {
            Err(Refusal::NotRepeatable)
        } else if may_have_acted && !self.may_send_twice(failed.is_idempotent) {
            Err(Refusal::Method)
        } else if failed.cause == Cause::ConnectTimeout && !failed.is_elsewhere {
            Err(Refusal::NoOther)
        } else if failed.cause == Cause::ConnectFailure {
            Ok(Price::Free)
        } else {
            // A handshake is work, and a connection that takes too long is a burden, too: on an endpoint that has no room
            // for it.
            Ok(Price::Retry)
        }
    }

    /// Whether a connection of a client is taken to yet another endpoint, where `tried` could not be reached.
    pub fn connects_again(&self, tried: usize) -> bool {
        self.on_connect_failure && tried < self.attempts as usize
    }

    /// Whether a response with this status is dropped and the request tried again, if all else allows it. One that came too
    /// early would only be as early again: the client has to know (RFC 8470 §5.2).
    pub fn retries_status(&self, status: u16) -> bool {
        status != TOO_EARLY
            && self.on_statuses.iter().any(|range| (range.first..=range.last).contains(&status))
    }

    /// The same for a call of gRPC that ends with this status.
    pub fn retries_call(&self, status: u8) -> bool {
        self.on_grpc_statuses.contains(&status)
    }

    /// Bytes of a request that are kept, in case it has to be sent again; 0 when it never is.
    pub fn kept_bytes(&self, is_idempotent: bool) -> u64 {
        let may_repeat = self.attempts > 1 && self.may_send_twice(is_idempotent);
        if may_repeat { self.body_bytes } else { 0 }
    }

    /// Whether a second try may begin while the first is under way: never of what is not idempotent, as both may be
    /// acted upon.
    pub fn may_hedge(&self, is_idempotent: bool) -> bool {
        self.attempts > 1 && is_idempotent
    }

    /// The pause before the try after `failed`.
    ///
    /// The first retry goes to another endpoint at once: what it waited for would help nobody there. So does one whose
    /// reused connection had been closed while it was idle, as nothing is wrong with that endpoint. `Retry-After` says
    /// when the endpoint that sent it wants to be asked again, and nothing about the others; [`Pushback`] is for all of them.
    pub fn pause(&self, failed: &Try, random: &mut Random) -> Duration {
        if let Some(Pushback::After(pause)) = failed.pushback {
            return pause;
        }
        let was_stale = failed.was_reused && failed.cause == Cause::Reset;
        if failed.number == 1 && (failed.is_elsewhere || was_stale) {
            return Duration::ZERO;
        }
        let backoff = self.backoff.pause(failed.number.saturating_sub(1), random);
        let asked = failed.retry_after.filter(|_| !failed.is_elsewhere);
        // Behind what was asked for, so that not all who were told the same come at the same moment.
        asked.unwrap_or_default() + backoff
    }

    fn may_send_twice(&self, is_idempotent: bool) -> bool {
        is_idempotent || self.non_idempotent
    }
}

impl Cause {
    /// All kinds of them, for counters.
    pub const KINDS: [&'static str; 4] = ["connect-failure", "reset", "timeout", "status"];

    /// Its place among the kinds.
    pub const fn kind(self) -> usize {
        match self {
            Self::ConnectFailure | Self::HandshakeFailure | Self::ConnectTimeout => 0,
            Self::Reset => 1,
            Self::Timeout => 2,
            Self::Status(_) | Self::GrpcStatus(_) => 3,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A policy with some of everything.
    pub fn document() -> document::Retry {
        document::Retry {
            attempts: 3,
            on_connect_failure: true,
            on_reset: true,
            on_timeout: true,
            on_statuses: vec![StatusRange { first: 502, last: 504 }],
            on_grpc_statuses: vec![14],
            non_idempotent: false,
            body_bytes: 1000,
            try_ms: None,
            backoff_ms: 20,
            max_backoff_ms: 100,
        }
    }

    fn policy() -> Policy {
        Policy::build(&document()).unwrap()
    }

    fn failed(cause: Cause) -> Try {
        Try {
            number: 1,
            cause,
            is_sent: true,
            is_idempotent: true,
            is_repeatable: true,
            is_elsewhere: true,
            was_reused: false,
            retry_after: None,
            pushback: None,
        }
    }

    const CAUSES: [Cause; 6] = [
        Cause::ConnectFailure,
        Cause::HandshakeFailure,
        Cause::ConnectTimeout,
        Cause::Reset,
        Cause::Timeout,
        Cause::Status(503),
    ];

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let refused = |change: fn(&mut document::Retry)| {
            let mut document = document();
            change(&mut document);
            Policy::build(&document).unwrap_err().path
        };
        assert_eq!(refused(|retry| retry.attempts = 0), "attempts");
        assert_eq!(refused(|retry| retry.attempts = 11), "attempts");
        assert_eq!(refused(|retry| retry.on_statuses[0].first = 399), "on_statuses[0]");
        assert_eq!(refused(|retry| retry.on_statuses[0].last = 501), "on_statuses[0]");
        let too_early: fn(&mut document::Retry) =
            |retry| retry.on_statuses.push(StatusRange { first: 425, last: 425 });
        assert_eq!(refused(too_early), "on_statuses[1]");
        assert_eq!(refused(|retry| retry.on_grpc_statuses = vec![1, 0]), "on_grpc_statuses[1]");
        assert_eq!(refused(|retry| retry.on_grpc_statuses = vec![17]), "on_grpc_statuses[0]");
        assert_eq!(refused(|retry| retry.max_backoff_ms = 19), "max_backoff_ms");
        assert_eq!(refused(|retry| retry.try_ms = Some(0)), "try_ms");
    }

    #[test]
    fn each_cause_is_an_option() {
        for cause in CAUSES {
            assert!(policy().judge(&failed(cause)).is_ok(), "{cause:?}");
            let nothing = document::Retry {
                on_connect_failure: false,
                on_reset: false,
                on_timeout: false,
                on_statuses: Vec::new(),
                ..document()
            };
            let policy = Policy::build(&nothing).unwrap();
            assert_eq!(policy.judge(&failed(cause)), Err(Refusal::Cause), "{cause:?}");
        }
        assert_eq!(policy().judge(&failed(Cause::Status(500))), Err(Refusal::Cause));
    }

    #[test]
    fn what_may_have_been_acted_upon_is_not_sent_twice_unless_told() {
        let told = Policy::build(&document::Retry { non_idempotent: true, ..document() }).unwrap();
        for cause in CAUSES {
            let post = Try { is_idempotent: false, ..failed(cause) };
            let was_sent =
                !matches!(cause, Cause::ConnectFailure | Cause::HandshakeFailure | Cause::ConnectTimeout);
            assert_eq!(policy().judge(&post).is_err(), was_sent, "{cause:?}");
            assert!(told.judge(&post).is_ok(), "{cause:?}");
        }
        let unsent = Try { is_sent: false, is_idempotent: false, ..failed(Cause::Reset) };
        assert_eq!(policy().judge(&unsent), Ok(Price::Retry));
    }

    #[test]
    fn who_names_a_status_of_grpc_has_calls_sent_twice() {
        let call = |status| Try { is_idempotent: false, ..failed(Cause::GrpcStatus(status)) };
        assert_eq!(policy().judge(&call(14)), Ok(Price::Retry));
        assert_eq!(policy().judge(&call(13)), Err(Refusal::Cause));
        let spent = Try { is_repeatable: false, ..call(14) };
        assert_eq!(policy().judge(&spent), Err(Refusal::NotRepeatable));
    }

    #[test]
    fn the_only_endpoint_is_not_waited_for_twice() {
        let alone = Try { is_elsewhere: false, ..failed(Cause::ConnectTimeout) };
        assert_eq!(policy().judge(&alone), Err(Refusal::NoOther));
        assert!(policy().judge(&Try { is_elsewhere: false, ..failed(Cause::ConnectFailure) }).is_ok());
    }

    #[test]
    fn only_a_refused_connection_is_free() {
        let free: Vec<Cause> =
            CAUSES.into_iter().filter(|cause| policy().judge(&failed(*cause)) == Ok(Price::Free)).collect();
        assert_eq!(free, [Cause::ConnectFailure]);
    }

    #[test]
    fn bodies_are_kept_only_for_what_may_be_sent_twice() {
        assert_eq!(policy().kept_bytes(true), 1000);
        assert_eq!(policy().kept_bytes(false), 0);
        let off = Policy::build(&document::Retry { attempts: 1, ..document() }).unwrap();
        assert_eq!(off.kept_bytes(true), 0);
    }

    #[test]
    fn only_what_is_idempotent_is_hedged() {
        let told = Policy::build(&document::Retry { non_idempotent: true, ..document() }).unwrap();
        assert!(told.may_hedge(true) && !told.may_hedge(false));
        let off = Policy::build(&document::Retry { attempts: 1, ..document() }).unwrap();
        assert!(!off.may_hedge(true));
    }

    #[test]
    fn pauses() {
        let mut random = Random::new(1);
        let (zero, wish) = (Duration::ZERO, Duration::from_secs(3));
        let mut pause = |failed: Try| policy().pause(&failed, &mut random);
        let unavailable = Try { retry_after: Some(wish), ..failed(Cause::Status(503)) };
        assert_eq!(pause(unavailable), zero, "another one at once");
        let alone = Try { is_elsewhere: false, ..failed(Cause::Reset) };
        assert_eq!(pause(Try { was_reused: true, ..alone }), zero, "a stale connection");
        assert!((1..50).any(|_| pause(alone) > zero));
        assert!((1..50).any(|_| pause(Try { number: 2, ..failed(Cause::Reset) }) > zero));
        let asked = || pause(Try { is_elsewhere: false, ..unavailable });
        let mut pauses = std::iter::repeat_with(asked).take(50);
        assert!(pauses.all(|pause| pause >= wish && pause <= wish + policy().backoff.most));
    }

    proptest! {
        /// Invariant 4: sent twice only if the first send did nothing, the method is idempotent, or the user said so.
        #[test]
        fn nothing_is_done_twice_by_accident(
            cause in prop::sample::select(CAUSES.to_vec()),
            number in 1_u32..5,
            is_sent: bool,
            is_idempotent: bool,
            is_repeatable: bool,
            non_idempotent: bool,
        ) {
            let policy = Policy::build(&document::Retry { non_idempotent, ..document() }).unwrap();
            let failed = Try { number, is_sent, is_idempotent, is_repeatable, ..failed(cause) };
            if policy.judge(&failed).is_ok() {
                let did_nothing = matches!(cause, Cause::ConnectFailure | Cause::HandshakeFailure | Cause::ConnectTimeout)
                    || (cause == Cause::Reset && !is_sent);
                prop_assert!(did_nothing || is_idempotent || non_idempotent);
                prop_assert!(is_repeatable && number < 3);
            }
        }
    }
}
