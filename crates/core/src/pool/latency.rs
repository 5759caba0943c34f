//! An endpoint's latency: a moving average that heeds slow responses more than fast ones and forgets, in one atomic word.

use super::Nanos;
use std::sync::atomic::{AtomicU64, Ordering};

/// An average that is quick to rise, slower to fall, and falls towards 0 with time alone.
///
/// * A slow response weighs a quarter, a fast one a sixteenth, so that it settles at the 0.8-expectile of the response times:
///   above their mean, as people feel the slow ones, and far below their worst. Finagle's and linkerd's `peak_ewma` takes a
///   slower response in full and lets only time bring the average down, which makes it the worst response of the last
///   seconds: among endpoints that are usually fast it tells those with a pause a moment ago from those without, and one that
///   is slow all the time hardly stands out. (One of five endpoints, 20 times as slow, at 500 requests a second whose
///   latencies scatter, still got 3 % of them; see `tests/slow_endpoint.rs`.)
/// * No response more than doubles it: one pause, however long, is no reason to leave an endpoint for half a minute; one that
///   has become 20 times as slow is known after four responses.
/// * Of the first four the fastest counts, and until then nothing is known: a new endpoint whose first response meets a
///   pause would start with that, and with the little that it is asked then could not make up for it.
/// * Time without any response lets it fall, so that an endpoint that was slow is asked again some day and can win its traffic
///   back. For the same reason a response weighs more the older the average is.
///
/// The word holds the average (nanoseconds, `f32`) below and the time of its last change (ticks) above, so that a
/// reader never sees one without the other; the average's last two bits count the first responses. Two workers that write at
/// the same moment lose one of two observations, which an average can bear. Later on only the first response in a tick
/// counts: at high rates that keeps the line from travelling between cores for every response, and many responses that a
/// pause has held up are one observation.
#[derive(Debug, Default)]
pub(super) struct Latency(AtomicU64);

/// A tick is 2^20 ns, about a millisecond. 31 bits of ticks span 26 days: an average untouched for longer may look
/// fresher than it is, until the next response.
const TICK_SHIFT: u32 = 20;

/// After this time an old average counts 1/e, in ticks: 10 s, Finagle's and linkerd's default. Shorter forgets slow
/// endpoints before their cause is gone, longer keeps them out when it is.
const DECAY_TICKS: f32 = 10_000_000_000.0 / (1_u64 << TICK_SHIFT) as f32;

/// What a response slower than the average weighs at least: a few tell an endpoint that has become slow.
const SLOWER: f32 = 1.0 / 4.0;

/// What a faster one weighs at least: a dozen make up for one that doubled the average.
const FASTER: f32 = 1.0 / 16.0;

/// How much higher one response can make the average. With less, an endpoint that is overloaded sheds load too late.
const RISE: f32 = 2.0;

/// The average's bits that count the first responses; what they take of its value is less than a millionth.
const COUNT: u32 = 3;

impl Latency {
    /// Takes a response time of `rtt` nanoseconds into account.
    pub(super) fn observe(&self, rtt: u64, now: Nanos) {
        let (average, count, changed) = unpack(self.0.load(Ordering::Relaxed));
        let tick = tick(now);
        // 0 stands for "nothing observed"; a response takes a nanosecond at least.
        let rtt = rtt.max(1) as f32;
        if count < COUNT || average == 0.0 {
            let (next, count) = if average == 0.0 { (rtt, 0) } else { (average.min(rtt), count + 1) };
            self.0.store(pack(next, count, tick), Ordering::Relaxed);
        } else if tick != changed {
            let least = if rtt >= average { SLOWER } else { FASTER };
            let kept = decay(changed, tick).min(1.0 - least);
            let next = (average * kept + rtt * (1.0 - kept)).min(average * RISE);
            self.0.store(pack(next, COUNT, tick), Ordering::Relaxed);
        }
    }

    /// The average at `now` in nanoseconds, or `None` when too little was observed, or so long ago that nothing is left.
    #[inline]
    pub(super) fn at(&self, now: Nanos) -> Option<f64> {
        let (average, count, changed) = unpack(self.0.load(Ordering::Relaxed));
        let average = average * decay(changed, tick(now));
        (count == COUNT && average > 0.0).then(|| f64::from(average))
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

fn pack(average: f32, count: u32, tick: u32) -> u64 {
    u64::from(tick) << 32 | u64::from(average.to_bits() & !COUNT | count)
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "takes the word apart")]
fn unpack(word: u64) -> (f32, u32, u32) {
    let low = word as u32;
    (f32::from_bits(low & !COUNT), low & COUNT, (word >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MS;

    fn about(actual: Option<f64>, expected: u64) -> bool {
        actual.is_some_and(|actual| (actual / expected as f64 - 1.0).abs() < 0.01)
    }

    /// One that knows an average, observed at `now`.
    fn known(rtt: u64, now: Nanos) -> Latency {
        let latency = Latency::default();
        (0..4).for_each(|_| latency.observe(rtt, now));
        latency
    }

    #[test]
    fn nothing_is_known_before_the_fourth_response_and_then_the_fastest() {
        let latency = Latency::default();
        for rtt in [500, 10, 30] {
            latency.observe(rtt * MS, 0);
            assert_eq!(latency.at(0), None);
        }
        latency.observe(20 * MS, 0);
        assert!(about(latency.at(0), 10 * MS));
    }

    #[test]
    fn slow_responses_weigh_more_than_fast_ones() {
        let latency = known(100 * MS, 0);
        latency.observe(10 * MS, 0);
        assert!(about(latency.at(0), 100 * MS), "one counts at a moment");
        latency.observe(180 * MS, 2 * MS);
        assert!(about(latency.at(2 * MS), 120 * MS), "a quarter of the difference: {:?}", latency.at(2 * MS));
        latency.observe(40 * MS, 4 * MS);
        assert!(about(latency.at(4 * MS), 115 * MS), "a sixteenth of it: {:?}", latency.at(4 * MS));
        for response in 3..150 {
            latency.observe(10 * MS, response * 2 * MS);
        }
        assert!(about(latency.at(298 * MS), 10 * MS));
    }

    #[test]
    fn no_response_more_than_doubles_it() {
        let latency = known(2 * MS, 0);
        for (response, average) in [(1, 4), (2, 8), (3, 16), (4, 22), (5, 26)] {
            latency.observe(40 * MS, response * 2 * MS);
            let at = latency.at(response * 2 * MS).unwrap();
            assert!((at / (average * MS) as f64 - 1.0).abs() < 0.03, "{at} after {response}");
        }
        latency.observe(60 * SECOND, 60 * SECOND);
        assert!(latency.at(60 * SECOND).unwrap() < (54 * MS) as f64, "not even after a minute");
    }

    #[test]
    fn the_older_it_is_the_more_a_response_weighs() {
        let latency = known(500 * MS, 0);
        latency.observe(10 * MS, 10 * SECOND);
        // 500 / e + 10 (1 - 1 / e)
        assert!(about(latency.at(10 * SECOND), 190_260_914), "{:?}", latency.at(10 * SECOND));
        latency.observe(10 * MS, 1_000 * SECOND);
        assert!(about(latency.at(1_000 * SECOND), 10 * MS));
    }

    #[test]
    fn it_settles_at_an_expectile() {
        let latency = known(67 * MS, 0);
        let mut random = crate::random::Random::new(1);
        let mut sum = 0.0;
        for response in 1..=20_000_u64 {
            latency.observe((1 + random.below(100)) * MS, response * 2 * MS);
            sum += latency.at(response * 2 * MS).unwrap();
        }
        assert!((sum / 20_000.0 / (67 * MS) as f64 - 1.0).abs() < 0.03, "{}", sum / 20_000.0);
    }

    #[test]
    fn time_without_responses_forgets() {
        let latency = known(1_000 * MS, 0);
        assert!(about(latency.at(10 * SECOND), 367_879_441));
        assert!(latency.at(100 * SECOND).unwrap() < 0.1 * MS as f64);
        assert_eq!(latency.at(2_000 * SECOND), None, "as if it were new");
    }

    #[test]
    fn a_clock_that_lags_or_wraps_does_no_harm() {
        let latency = known(50 * MS, 10 * SECOND);
        assert!(about(latency.at(9 * SECOND), 50 * MS));
        let wrap = 1_u64 << (32 + TICK_SHIFT);
        latency.observe(50 * MS, wrap - SECOND);
        assert!(about(latency.at(wrap + 9 * SECOND), 18_393_972));
    }
}
