//! gRPC over HTTP/2, as far as a balancer has a part in it: which requests are calls, how long they may take, and what
//! their status means (grpc/grpc `doc/PROTOCOL-HTTP2.md`, `doc/statuscodes.md`, `doc/http-grpc-status-mapping.md`).

use crate::error::Failure;
use crate::outlier::Outcome;
use std::time::Duration;

/// The field that ends a call with its status.
pub const STATUS: &str = "grpc-status";

/// The field that says how long a call may take.
pub const TIMEOUT: &str = "grpc-timeout";

/// The names of all statuses, by number.
pub const STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Statuses that mean something here.
mod code {
    pub const CANCELLED: u8 = 1;
    pub const UNKNOWN: u8 = 2;
    pub const DEADLINE_EXCEEDED: u8 = 4;
    pub const PERMISSION_DENIED: u8 = 7;
    pub const RESOURCE_EXHAUSTED: u8 = 8;
    pub const UNIMPLEMENTED: u8 = 12;
    pub const INTERNAL: u8 = 13;
    pub const UNAVAILABLE: u8 = 14;
    pub const DATA_LOSS: u8 = 15;
    pub const UNAUTHENTICATED: u8 = 16;
}

/// Whether a request with this `Content-Type` is a call: `application/grpc`, perhaps with `+proto` or the like behind it.
/// gRPC-Web is something else, with its trailers in the body.
pub fn is_call(content_type: &[u8]) -> bool {
    const TYPE: &[u8] = b"application/grpc";
    let Some((start, rest)) = content_type.split_at_checked(TYPE.len()) else { return false };
    start.eq_ignore_ascii_case(TYPE) && matches!(rest, [] | [b'+' | b';' | b' ', ..])
}

/// The value of [`STATUS`]; one that is none of the list counts as UNKNOWN.
pub fn status(value: &[u8]) -> Option<u8> {
    let number: u8 = std::str::from_utf8(value).ok()?.parse().ok()?;
    Some(if usize::from(number) < STATUSES.len() { number } else { code::UNKNOWN })
}

/// The value of [`TIMEOUT`]: at most eight digits and a unit. What is none is ignored, as servers do.
pub fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// What a call is told whose HTTP status says that it failed.
pub const fn of_http(status: u16) -> u8 {
    match status {
        400 => code::INTERNAL,
        401 => code::UNAUTHENTICATED,
        403 => code::PERMISSION_DENIED,
        404 | 405 => code::UNIMPLEMENTED,
        408 | 504 => code::DEADLINE_EXCEEDED,
        413 | 414 | 431 => code::RESOURCE_EXHAUSTED,
        429 | 502 | 503 => code::UNAVAILABLE,
        499 => code::CANCELLED,
        _ => code::UNKNOWN,
    }
}

/// What a call is told that ended with a failure.
pub const fn of_failure(failure: Failure) -> u8 {
    of_http(failure.status())
}

/// What a call's status says of its endpoint. UNKNOWN is what servers make of an error that nobody caught, so it counts as
/// 500 does; a method that a server does not have, and whatever a client has asked wrongly, says nothing against it.
pub const fn outcome(status: u8) -> Outcome {
    match status {
        code::UNAVAILABLE | code::DEADLINE_EXCEEDED => Outcome::GatewayFailure,
        code::UNKNOWN | code::INTERNAL | code::DATA_LOSS => Outcome::ServerError,
        _ => Outcome::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_by_their_type() {
        for yes in ["application/grpc", "application/grpc+proto", "Application/GRPC; charset=x"] {
            assert!(is_call(yes.as_bytes()), "{yes}");
        }
        for no in ["application/grpc-web", "application/grpc-web+proto", "application/json", ""] {
            assert!(!is_call(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn timeouts_have_eight_digits_and_a_unit() {
        for (text, millis) in
            [("1H", 3_600_000), ("2M", 120_000), ("3S", 3_000), ("40m", 40), ("5000u", 5), ("99999999n", 99)]
        {
            assert_eq!(timeout(text.as_bytes()).map(|time| time.as_millis()), Some(millis), "{text}");
        }
        for bad in ["", "S", "1", "1s", "-1S", "123456789S", "1.5S", "1 S"] {
            assert_eq!(timeout(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn every_failure_has_a_status_and_every_status_a_meaning() {
        for failure in Failure::ALL {
            let status = of_failure(failure);
            assert!(status > 0 && usize::from(status) < STATUSES.len(), "{failure}");
        }
        assert_eq!(of_failure(Failure::NoEndpointEmpty), 14);
        assert_eq!(of_failure(Failure::ResponseTimeout), 4);
        assert_eq!(of_failure(Failure::AuthMissing), 16);
        assert_eq!(of_failure(Failure::RouteNone), 12);
        assert_eq!((status(b"14"), status(b"99"), status(b"x")), (Some(14), Some(2), None));
        assert_eq!(outcome(14), Outcome::GatewayFailure);
        assert_eq!(outcome(13), Outcome::ServerError);
        assert_eq!(outcome(12), Outcome::Success);
    }
}
