//! An endpoint's latency: a peak-sensitive moving average that forgets, in one atomic word.

use super::Nanos;
use std::sync::atomic::{AtomicU64, Ordering};

/// Peak EWMA, as Finagle and linkerd have it: a response slower than the average counts at once and in full, a faster
/// one pulls the average down gradually, and time without any response lets it fall towards 0.
///
/// The first makes a stalling endpoint lose traffic with its first slow response; the last makes sure that it is asked
/// again some day, so that it can win it back.
///
/// The word holds the average (nanoseconds, `f32`) below and the time of its last change (ticks) above, so that a
/// reader never sees one without the other. Two workers that write at the same moment lose one of two observations,
/// which an average can bear. Within one tick only peaks are written: at high rates that keeps the line from
/// travelling between cores for every response, and the observations left out are those that would weigh nothing.
#[derive(Debug, Default)]
pub(super) struct Latency(AtomicU64);

/// A tick is 2^20 ns, about a millisecond. 31 bits of ticks span 26 days: an average untouched for longer may look
/// fresher than it is, until the next response.
const TICK_SHIFT: u32 = 20;

/// After this time an old average counts 1/e, in ticks: 10 s, Finagle's and linkerd's default. Shorter forgets slow
/// endpoints before their cause is gone, longer keeps them out when it is.
const DECAY_TICKS: f32 = 10_000_000_000.0 / (1_u64 << TICK_SHIFT) as f32;

impl Latency {
    /// Takes a response time of `rtt` nanoseconds into account.
    pub(super) fn observe(&self, rtt: u64, now: Nanos) {
        let (average, changed) = unpack(self.0.load(Ordering::Relaxed));
        let tick = tick(now);
        // 0 stands for "nothing observed"; a response in no time at all is one in a nanosecond.
        let rtt = rtt.max(1) as f32;
        if rtt < average && tick == changed {
            return;
        }
        let next = if rtt >= average {
            rtt
        } else {
            let kept = decay(changed, tick);
            average * kept + rtt * (1.0 - kept)
        };
        self.0.store(pack(next, tick), Ordering::Relaxed);
    }

    /// The average at `now` in nanoseconds, or `None` when nothing was observed, or so long ago that nothing is left.
    #[inline]
    pub(super) fn at(&self, now: Nanos) -> Option<f64> {
        let (average, changed) = unpack(self.0.load(Ordering::Relaxed));
        let average = average * decay(changed, tick(now));
        (average > 0.0).then(|| f64::from(average))
    }
}

/// What is left of 1 after the time from `from` to `to`. Another worker's clock reading may be slightly older than the
/// word's: that is no time at all.
#[inline]
fn decay(from: u32, to: u32) -> f32 {
    let elapsed = to.wrapping_sub(from).cast_signed().max(0);
    if elapsed == 0 { 1.0 } else { (-(elapsed as f32) / DECAY_TICKS).exp() }
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "ticks wrap; `decay` takes differences only")]
fn tick(now: Nanos) -> u32 {
    (now >> TICK_SHIFT) as u32
}

fn pack(average: f32, tick: u32) -> u64 {
    u64::from(tick) << 32 | u64::from(average.to_bits())
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "takes the word apart")]
fn unpack(word: u64) -> (f32, u32) {
    (f32::from_bits(word as u32), (word >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MS;

    fn about(actual: Option<f64>, expected: u64) -> bool {
        actual.is_some_and(|actual| (actual / expected as f64 - 1.0).abs() < 0.01)
    }

    #[test]
    fn nothing_is_known_before_the_first_response() {
        assert_eq!(Latency::default().at(SECOND), None);
    }

    #[test]
    fn peaks_count_at_once_and_fall_slowly() {
        let latency = Latency::default();
        latency.observe(10 * MS, 0);
        latency.observe(500 * MS, 0);
        assert!(about(latency.at(0), 500 * MS), "a peak within the same tick");
        latency.observe(10 * MS, 0);
        assert!(about(latency.at(0), 500 * MS), "a fast response at the same moment weighs nothing");
        latency.observe(10 * MS, SECOND);
        // 500 e^-0.1 + 10 (1 - e^-0.1)
        assert!(about(latency.at(SECOND), 453_370_000), "{:?}", latency.at(SECOND));
        for second in 2..=100 {
            latency.observe(10 * MS, second * SECOND);
        }
        assert!(about(latency.at(100 * SECOND), 10 * MS));
    }

    #[test]
    fn time_without_responses_forgets() {
        let latency = Latency::default();
        latency.observe(1_000 * MS, 0);
        assert!(about(latency.at(10 * SECOND), 367_879_441));
        assert!(latency.at(100 * SECOND).unwrap() < 0.1 * MS as f64);
        assert_eq!(latency.at(2_000 * SECOND), None, "as if it were new");
    }

    #[test]
    fn a_clock_that_lags_or_wraps_does_no_harm() {
        let latency = Latency::default();
        latency.observe(50 * MS, 10 * SECOND);
        assert!(about(latency.at(9 * SECOND), 50 * MS));
        let wrap = 1_u64 << (32 + TICK_SHIFT);
        latency.observe(50 * MS, wrap - SECOND);
        assert!(about(latency.at(wrap + 9 * SECOND), 18_393_972));
    }
}
