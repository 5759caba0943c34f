//! `Max-Forwards` (RFC 9110 §7.6.2): how many more proxies a TRACE or OPTIONS may pass.

use crate::route::Fields;

/// The field's name.
pub const NAME: &str = "max-forwards";

/// How many more may pass a request on, this one included; `None` where nothing says so. Of several values the least.
///
/// Of other methods the field is not looked at. One that is no number says nothing, and is passed on as it is.
pub fn forwards_left(method: &str, fields: &dyn Fields) -> Option<u32> {
    if !matches!(method, "OPTIONS" | "TRACE") {
        return None;
    }
    let mut least: Option<u32> = None;
    fields.any(NAME, &mut |value| {
        if let Some(number) = number(value) {
            least = Some(least.map_or(number, |other| other.min(number)));
        }
        false
    });
    least
}

/// `1*DIGIT`; what is beyond a `u32` is as good as the largest.
fn number(value: &[u8]) -> Option<u32> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    is_number
        .then(|| std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Values(&'static [&'static str]);

    impl Fields for Values {
        fn first(&self, _: &str) -> Option<&[u8]> {
            self.0.first().map(|value| value.as_bytes())
        }

        fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
            assert_eq!(name, NAME);
            self.0.iter().any(|value| test(value.as_bytes()))
        }
    }

    #[test]
    fn only_numbers_of_two_methods_count() {
        for (method, values, left) in [
            ("OPTIONS", &["0"][..], Some(0)),
            ("TRACE", &["7"], Some(7)),
            ("OPTIONS", &["3", "2"], Some(2)),
            ("OPTIONS", &["99999999999999999999"], Some(u32::MAX)),
            ("OPTIONS", &["-1"], None),
            ("OPTIONS", &[""], None),
            ("OPTIONS", &["1, 2"], None),
            ("OPTIONS", &[], None),
            ("GET", &["0"], None),
            ("options", &["0"], None),
        ] {
            assert_eq!(forwards_left(method, &Values(values)), left, "{method} {values:?}");
        }
    }
}
