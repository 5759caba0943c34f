//! How long a pool's requests take: a histogram that forgets, of which a percentile is the delay.

use super::Hedge;
use crate::buckets::{BUCKETS, bucket, percentile};
use crate::pool::Nanos;
use std::time::Duration;

/// Response times without which a percentile says little: of a hundred, five are later than the 95th.
const ENOUGH: u32 = 100;

/// A response time counts for at least this long, and for at most twice as long, in a pool that has enough of them: what a
/// pool was like a minute ago is no measure of who is late now.
const HALF: Nanos = 10_000_000_000;

/// In a pool with few requests it counts for longer, up to this.
const LONGEST_HALF: Nanos = 30 * HALF;

/// A percentile is looked for again after so many responses: looking takes about as long as one response's work.
const FRESH: u32 = 32;

/// A worker's memory of a pool's response times: 6 KiB, whatever comes.
///
/// It hears of each first try, also of one that was cancelled because the second was faster: with the time until then,
/// which is longer than the delay. So the share of times above the delay stays what it is, and a delay that makes tries
/// end early does not make itself shorter and shorter.
#[derive(Debug, Clone)]
pub struct Delays {
    /// The half that is being filled, and the one before it.
    current: Box<[u32; BUCKETS]>,
    before: Box<[u32; BUCKETS]>,
    /// How many are in each.
    count: u32,
    count_before: u32,
    began: Nanos,
    /// The delay as it was last looked up, under which policy, and how many responses came since.
    known: Option<(Hedge, Option<Duration>)>,
    fresh: u32,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            current: Box::new([0; BUCKETS]),
            before: Box::new([0; BUCKETS]),
            count: 0,
            count_before: 0,
            began: 0,
            known: None,
            fresh: 0,
        }
    }
}

impl Delays {
    /// A first try took so long.
    pub fn observe(&mut self, nanos: u64, now: Nanos) {
        self.turn(now);
        let bucket = &mut self.current[bucket(nanos / 1_000)];
        *bucket = bucket.saturating_add(1);
        self.count = self.count.saturating_add(1);
        self.fresh += 1;
        if self.fresh >= FRESH {
            self.known = None;
        }
    }

    /// After how long a try is later than the policy's share of them; `None` while too little is known.
    pub fn after(&mut self, hedge: &Hedge, now: Nanos) -> Option<Duration> {
        self.turn(now);
        if let Some((policy, delay)) = self.known
            && policy == *hedge
        {
            return delay;
        }
        let delay =
            self.percentile(hedge.permille).map(|micros| Duration::from_micros(micros).max(hedge.least));
        self.known = Some((*hedge, delay));
        self.fresh = 0;
        delay
    }

    /// The time in microseconds that so many of a thousand responses do not exceed.
    fn percentile(&self, permille: u32) -> Option<u64> {
        let count = u64::from(self.count) + u64::from(self.count_before);
        if count < u64::from(ENOUGH) {
            return None;
        }
        let both = self.current.iter().zip(self.before.iter());
        Some(percentile(both.map(|(now, before)| u64::from(*now) + u64::from(*before)), count, permille))
    }

    /// Begins a new half when the present one has lasted long enough.
    fn turn(&mut self, now: Nanos) {
        let age = now.saturating_sub(self.began);
        let is_over = age >= HALF && self.count >= ENOUGH || age >= LONGEST_HALF;
        if !is_over {
            return;
        }
        std::mem::swap(&mut self.current, &mut self.before);
        self.current.fill(0);
        self.count_before = std::mem::take(&mut self.count);
        if age >= 2 * LONGEST_HALF {
            // Nothing came for so long that even the last half is too old.
            self.before.fill(0);
            self.count_before = 0;
        }
        self.began = now;
        self.known = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buckets::FINE;
    use crate::random::Random;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn hedge(permille: u32) -> Hedge {
        Hedge { permille, least: Duration::ZERO }
    }

    #[test]
    fn nobody_is_late_before_enough_is_known() {
        let mut delays = Delays::default();
        for count in 0..ENOUGH {
            assert_eq!(delays.after(&hedge(950), 0), None, "after {count}");
            delays.observe(MS, 0);
            // Looked at each time, as the first request after the last one would.
            delays.known = None;
        }
        assert!(delays.after(&hedge(950), 0).is_some());
    }

    #[test]
    fn never_before_its_least() {
        let mut delays = Delays::default();
        (0..ENOUGH).for_each(|_| delays.observe(MS, 0));
        let least = Duration::from_millis(20);
        assert_eq!(delays.after(&Hedge { permille: 950, least }, 0), Some(least));
        assert!(delays.after(&hedge(950), 0).unwrap() < least, "another policy is heeded at once");
    }

    #[test]
    fn it_follows_the_pool_and_forgets() {
        let mut delays = Delays::default();
        let fill = |delays: &mut Delays, ms: u64, from: Nanos| {
            (0..1_000).for_each(|step| delays.observe(ms * MS, from + step * MS * 11));
        };
        fill(&mut delays, 100, 0);
        fill(&mut delays, 1, 2 * HALF);
        fill(&mut delays, 1, 3 * HALF + 2 * HALF);
        assert!(delays.after(&hedge(990), 7 * HALF).unwrap() < Duration::from_millis(2));
        assert_eq!(delays.after(&hedge(990), 7 * HALF + 2 * LONGEST_HALF), None, "after a long silence");
    }

    /// The delay cuts the tries that it is made of: still one of twenty is hedged, and not ever more.
    #[test]
    fn hedging_does_not_make_the_delay_shorter_and_shorter() {
        let (mut delays, mut random) = (Delays::default(), Random::new(3));
        let (mut hedged, mut now) = (0, 0);
        let policy = hedge(950);
        let mut time = || if random.below(100) < 8 { 200 } else { 5 + random.below(10) };
        for request in 0..50_000 {
            now += MS;
            let (first, second) = (time(), time());
            let (first, second) = (Duration::from_millis(first), Duration::from_millis(second));
            let after = delays.after(&policy, now).unwrap_or(Duration::MAX);
            let is_hedged = first > after;
            hedged += u32::from(is_hedged && request >= 1_000);
            let took = if is_hedged { first.min(after + second) } else { first };
            delays.observe(u64::try_from(took.as_nanos()).unwrap(), now);
        }
        assert!(hedged <= 49_000 * 85 / 1_000, "{hedged}");
        assert!(delays.after(&policy, now).unwrap() >= Duration::from_millis(14));
    }

    proptest! {
        /// At least the percentile, and at most a sixteenth above it.
        #[test]
        fn it_is_the_percentile(
            mut times in prop::collection::vec(1_u64..100_000_000, ENOUGH as usize..600),
            permille in PERMILLE_RANGE,
        ) {
            let mut delays = Delays::default();
            times.iter().for_each(|micros| delays.observe(micros * 1_000, 0));
            let after = delays.after(&hedge(permille), 0).unwrap();
            times.sort_unstable();
            let exact = times[(times.len() * permille as usize).div_ceil(1_000) - 1];
            let (exact, bound) = (Duration::from_micros(exact), Duration::from_micros(exact + exact / FINE as u64));
            prop_assert!(after >= exact && after <= bound, "{after:?} for {exact:?}");
        }
    }

    const PERMILLE_RANGE: std::ops::RangeInclusive<u32> = super::super::PERMILLE;
}
