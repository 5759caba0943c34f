//! The clocks: that by which decisions are made, and the wall clock, as messages and logs write it. The latter is rendered
//! once a second for each thread, as it is asked for often.

use evenly_core::pool::Nanos;
use rustix::time::{ClockId, clock_gettime};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the process began to serve, one for all its threads. Numbers, because sums of `Instant` and `Duration` are
/// several times as many instructions, and a request needs half a dozen.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Nanos,
}

impl Clock {
    /// Now is its zero.
    pub fn start() -> Self {
        Self { began: monotonic() }
    }

    /// The time.
    #[inline]
    pub fn now(self) -> Nanos {
        monotonic().saturating_sub(self.began)
    }
}

/// A duration as a number; 584 years at most.
pub fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

#[inline]
fn monotonic() -> Nanos {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither is ever negative.
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// The moment of the last rendering, and its texts.
struct Rendered {
    second: u64,
    http: String,
    common: String,
    iso: String,
}

thread_local! {
    static RENDERED: RefCell<Rendered> =
        const { RefCell::new(Rendered { second: u64::MAX, http: String::new(), common: String::new(), iso: String::new() }) };
}

/// Time since the Unix epoch.
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Appends the current time as an HTTP date (RFC 9110 §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn write_http_date(out: &mut Vec<u8>) {
    with_rendered(|rendered, _| out.extend_from_slice(rendered.http.as_bytes()));
}

/// Appends the current time as the common log format writes it: `06/Nov/1994:08:49:37 +0000`.
pub fn write_log_date(out: &mut Vec<u8>) {
    with_rendered(|rendered, _| out.extend_from_slice(rendered.common.as_bytes()));
}

/// Appends the current time as RFC 3339 writes it, with milliseconds: `1994-11-06T08:49:37.000Z`.
pub fn write_iso(out: &mut Vec<u8>) {
    with_rendered(|rendered, millis| {
        out.extend_from_slice(rendered.iso.as_bytes());
        // Writing to memory does not fail.
        let _ = write!(out, ".{millis:03}Z");
    });
}

fn with_rendered(use_it: impl FnOnce(&Rendered, u32)) {
    RENDERED.with_borrow_mut(|rendered| {
        let now = since_epoch();
        let second = now.as_secs();
        if rendered.second != second {
            render(rendered, second);
        }
        use_it(rendered, now.subsec_millis());
    });
}

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn render(rendered: &mut Rendered, second: u64) {
    let (days, rest) = (second / 86_400, second % 86_400);
    let (year, month_index, day) = civil(days);
    let (hour, minute, seconds) = (rest / 3600, rest / 60 % 60, rest % 60);
    let weekday = DAYS[(days % 7) as usize];
    let month = MONTHS[month_index];
    rendered.second = second;
    // Into the same memory again: responses without a date get one, and those must not allocate.
    rendered.http.clear();
    rendered.common.clear();
    rendered.iso.clear();
    // Writing to memory does not fail.
    let _ =
        write!(rendered.http, "{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{seconds:02} GMT");
    let _ = write!(rendered.common, "{day:02}/{month}/{year}:{hour:02}:{minute:02}:{seconds:02} +0000");
    let _ =
        write!(rendered.iso, "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{seconds:02}", month_index + 1);
}

/// Year, month from 0 and day of a day since the epoch, in the proleptic Gregorian calendar: years are counted from
/// March, so that the leap day is the last of its year (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, usize, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    (year, month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(second: u64) -> String {
        let mut rendered =
            Rendered { second: 0, http: String::new(), common: String::new(), iso: String::new() };
        render(&mut rendered, second);
        rendered.http
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(http(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(http(1_709_251_199), "Thu, 29 Feb 2024 23:59:59 GMT");
        assert_eq!(http(4_102_444_799), "Thu, 31 Dec 2099 23:59:59 GMT");
    }
}
