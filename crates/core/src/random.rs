//! Random numbers for decisions: cheap, seeded, replayable. Never for secrets, tokens or anything that must not be guessed.

use crate::pool::hash::mix;

/// A SplitMix64 generator (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
///
/// One word of state and about ten instructions a number; passes BigCrush; its period of 2^64 is far beyond what a
/// worker draws. The same seed gives the same numbers on every platform, so a simulation can be replayed.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

/// 2^64 divided by the golden ratio, made odd: the increment that the paper chose.
const INCREMENT: u64 = 0x9E37_79B9_7F4A_7C15;

impl Random {
    /// A generator that starts from `seed`. Any seed is as good as any other.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number, uniform over all of `u64`.
    #[inline]
    #[allow(
        clippy::should_implement_trait,
        reason = "an endless generator gains nothing from Iterator's Option"
    )]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(INCREMENT);
        mix(self.state)
    }

    /// A number below `bound`, or 0 when `bound` is 0.
    ///
    /// Lemire's multiplication without the rejection step: some numbers are more likely than others by a factor of
    /// at most 1 + bound / 2^64, which no balancer can notice.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the upper half of a 128-bit product fits 64 bits")]
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// True in so many of a hundred cases.
    #[inline]
    pub fn hits(&mut self, percent: u8) -> bool {
        self.below(100) < u64::from(percent)
    }

    /// An index of something that is `length` long; 0 when it is empty.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a number below a usize is a usize")]
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_reference_implementation() {
        let mut random = Random::new(1_234_567);
        let numbers: Vec<u64> = (0..5).map(|_| random.next()).collect();
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821
            ]
        );
    }

    #[test]
    fn below_stays_below_and_reaches_all() {
        let mut random = Random::new(1);
        let mut seen = [0_u32; 7];
        for _ in 0..7_000 {
            seen[random.index(7)] += 1;
        }
        assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
        assert_eq!((random.below(0), random.below(1)), (0, 0));
    }
}
