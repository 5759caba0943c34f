//! Prometheus' text format 0.0.4: families of samples with labels.

use super::histogram::{Histogram, LABELS};
use std::fmt::{Display, Write};

/// What kind of number a family holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The text under construction.
pub(super) struct Exposition<'a> {
    out: &'a mut String,
    family: &'static str,
}

impl<'a> Exposition<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut String) -> Self {
        Self { out, family: "" }
    }

    /// Begins a family; the samples that follow belong to it.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        self.family = name;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.out.push_str(self.family);
        if !labels.is_empty() {
            self.out.push('{');
            push_labels(self.out, labels);
            self.out.push('}');
        }
        self.line(format_args!(" {value}\n"));
    }

    /// A histogram of seconds: cumulative buckets, sum and count.
    pub fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        let mut prefix = String::new();
        push_labels(&mut prefix, labels);
        let separator = if labels.is_empty() { "" } else { "," };
        let mut count = 0;
        for (bucket, bound) in histogram.buckets().iter().zip(LABELS) {
            count += bucket;
            // Most of a large exposition is this line, so it is put together without the formatting machinery.
            for part in [self.family, "_bucket{", &prefix, separator, "le=\"", bound, "\"} "] {
                self.out.push_str(part);
            }
            push_number(self.out, count);
            self.out.push('\n');
        }
        let (family, sum) = (self.family, histogram.sum_nanos());
        let (seconds, nanos) = (sum / 1_000_000_000, sum % 1_000_000_000);
        let braced = if labels.is_empty() { String::new() } else { format!("{{{prefix}}}") };
        self.line(format_args!(
            "{family}_sum{braced} {seconds}.{nanos:09}\n{family}_count{braced} {count}\n"
        ));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = self.out.write_fmt(text);
    }
}

fn push_labels(out: &mut String, labels: &[(&str, &str)]) {
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(name);
        out.push_str("=\"");
        push_escaped(out, value);
        out.push('"');
    }
}

/// Backslash, quote and line feed are all that the format escapes.
fn push_escaped(out: &mut String, value: &str) {
    if !value.contains(['\\', '"', '\n']) {
        return out.push_str(value);
    }
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

fn push_number(out: &mut String, mut number: u64) {
    // 20 digits hold every u64.
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend(digits[start..].iter().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_names_labels_and_values() {
        let mut out = String::new();
        let mut exposition = Exposition::new(&mut out);
        exposition.family("evenly_x_total", Kind::Counter, "Counts.");
        exposition.sample(&[], 1);
        exposition.sample(&[("a", "plain"), ("b", "q\"b\\l\n")], u64::MAX);
        let expected = "# HELP evenly_x_total Counts.\n# TYPE evenly_x_total counter\nevenly_x_total 1\n\
            evenly_x_total{a=\"plain\",b=\"q\\\"b\\\\l\\n\"} 18446744073709551615\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn histograms_are_cumulative_and_in_seconds() {
        let mut histogram = Histogram::default();
        [50_000, 200_000, 2_000_000_000, 100_000_000_000]
            .into_iter()
            .for_each(|nanos| histogram.observe(nanos));
        for (labels, prefix, braced) in
            [(&[][..], "", ""), (&[("pool", "app")][..], "pool=\"app\",", "{pool=\"app\"}")]
        {
            let mut out = String::new();
            let mut exposition = Exposition::new(&mut out);
            exposition.family("x", Kind::Histogram, "Time.");
            exposition.histogram(labels, &histogram);
            let bucket = |bound: &str, count: u64| format!("x_bucket{{{prefix}le=\"{bound}\"}} {count}\n");
            for (bound, count) in [("0.0001", 1), ("0.00025", 2), ("1", 2), ("5", 3), ("60", 3), ("+Inf", 4)]
            {
                assert!(out.contains(&bucket(bound, count)), "{out}");
            }
            assert!(out.ends_with(&format!("x_sum{braced} 102.000250000\nx_count{braced} 4\n")), "{out}");
        }
    }

    #[test]
    fn numbers_are_written_in_full() {
        for number in [0, 9, 10, 1234, u64::MAX] {
            let mut out = String::new();
            push_number(&mut out, number);
            assert_eq!(out, number.to_string());
        }
    }
}
