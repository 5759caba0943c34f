//! `Retry-After` (RFC 9110 §10.2.3): seconds, or a date.

use std::time::Duration;

/// How long after `now` (unix seconds) the field asks to wait; `None` when it is neither a number nor a date.
pub fn retry_after(value: &[u8], now: u64) -> Option<Duration> {
    let value = std::str::from_utf8(value).ok()?.trim();
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.parse().ok().map(Duration::from_secs);
    }
    let at = imf_fixdate(value)?;
    Some(Duration::from_secs(at.saturating_sub(now)))
}

/// "Sun, 06 Nov 1994 08:49:37 GMT" in unix seconds. The two older forms of RFC 9110 §5.6.7 nobody sends any more.
fn imf_fixdate(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, date) = text.split_once(", ")?;
    let mut words = date.split(' ');
    let mut word = || words.next();
    let day: u64 = word()?.parse().ok()?;
    let name = word()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64 + 1;
    let year: u64 = word()?.parse().ok()?;
    let mut clock = word()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let is_date = (1970..=9999).contains(&year)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60
        && word() == Some("GMT");
    is_date.then(|| days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Days since 1970-01-01 in the Gregorian calendar, by counting from March on, so that a leap day is a year's last
/// (Hinnant: "chrono-Compatible Low-Level Date Algorithms").
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 784_111_777;

    #[test]
    fn seconds_and_dates() {
        for (value, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some(120)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Thu, 29 Feb 1996 00:00:00 GMT", Some(825_552_000 - NOW)),
            ("Fri, 01 Mar 1996 00:00:00 GMT", Some(825_638_400 - NOW)),
        ] {
            assert_eq!(retry_after(value.as_bytes(), NOW), expected.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn anything_else_is_no_time() {
        for value in ["soon", "-1", "1.5", "99999999999999999999", "Sun, 06 Nov 1994 08:49:37 CET"] {
            assert_eq!(retry_after(value.as_bytes(), NOW), None, "{value}");
        }
        assert_eq!(retry_after(b"\xff", NOW), None);
        assert_eq!(retry_after(b"", NOW), None);
    }

    proptest! {
        #[test]
        fn no_field_panics(value: Vec<u8>, now: u64) {
            let _ = retry_after(&value, now);
        }

        #[test]
        fn no_date_panics(day: u8, month in 0_usize..12, year: u16, hour: u8, now: u64) {
            let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month];
            let _ = retry_after(format!("Sun, {day} {month} {year} {hour}:00:00 GMT").as_bytes(), now);
        }
    }
}
