//! How long to wait before a request is tried again.

use crate::random::Random;
use std::time::Duration;

/// Exponential backoff with full jitter: uniform between nothing and a bound that doubles from try to try. Full jitter
/// spreads clients that failed together best, and costs the endpoint least (Brooker: "Exponential Backoff And Jitter",
/// AWS Architecture Blog, 2015).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first bound.
    pub base: Duration,
    /// The last one.
    pub most: Duration,
}

impl Backoff {
    /// The pause before a retry; `doublings`: how many pauses there were before it.
    pub fn pause(&self, doublings: u32, random: &mut Random) -> Duration {
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let bound = self.base.saturating_mul(factor).min(self.most);
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(random.below(nanos.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bound_doubles_up_to_the_most() {
        let backoff = Backoff { base: Duration::from_millis(25), most: Duration::from_millis(150) };
        let mut random = Random::new(7);
        for (doublings, bound) in
            [(0, 25), (1, 50), (2, 100), (3, 150), (31, 150), (32, 150), (u32::MAX, 150)]
        {
            let longest = (0..2_000).map(|_| backoff.pause(doublings, &mut random)).max().unwrap();
            let bound = Duration::from_millis(bound);
            assert!(longest <= bound && longest > bound.mul_f64(0.98), "{doublings}: {longest:?}");
        }
    }

    #[test]
    fn pauses_are_uniform_from_nothing_on() {
        let backoff = Backoff { base: Duration::from_secs(1), most: Duration::from_secs(1) };
        let mut random = Random::new(1);
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            tenths[(backoff.pause(0, &mut random).as_millis() / 100).min(9) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
    }

    proptest! {
        #[test]
        fn no_settings_overflow(base: u64, most: u64, doublings: u32, seed: u64) {
            let backoff = Backoff { base: Duration::from_millis(base), most: Duration::from_millis(most) };
            prop_assert!(backoff.pause(doublings, &mut Random::new(seed)) <= backoff.most);
        }
    }
}
