//! Times in buckets: how a percentile is known without keeping what it is of.

/// Buckets for each doubling of the time: what a bucket stands for is at most a sixteenth more than what is in it.
pub const FINE: usize = 16;
const FINE_BITS: u32 = FINE.trailing_zeros();

/// Times are counted in microseconds up to 2^27, which are two minutes: whatever takes longer is as late as that.
pub const LONGEST_BITS: u32 = 27;

/// How many there are.
pub const BUCKETS: usize = (LONGEST_BITS - FINE_BITS + 1) as usize * FINE;

/// The bucket of a time in microseconds.
pub fn bucket(micros: u64) -> usize {
    let micros = micros.min((1 << LONGEST_BITS) - 1);
    let Some(octave) = micros.checked_ilog2().and_then(|bits| bits.checked_sub(FINE_BITS)) else {
        return usize::try_from(micros).unwrap_or_default();
    };
    let within = usize::try_from(micros >> octave).unwrap_or_default() - FINE;
    (octave as usize + 1) * FINE + within
}

/// The longest time in microseconds that a bucket stands for.
pub fn highest(bucket: usize) -> u64 {
    let Some(octave) = (bucket / FINE).checked_sub(1) else { return bucket as u64 };
    (((bucket % FINE + FINE + 1) as u64) << octave) - 1
}

/// The time in microseconds that so many of a thousand do not exceed, of `count` in these buckets, which are there in order.
pub fn percentile(buckets: impl Iterator<Item = u64>, count: u64, permille: u32) -> u64 {
    let rank = (count * u64::from(permille)).div_ceil(1_000);
    let mut seen = 0;
    let mut all = buckets.take(BUCKETS);
    let place = all.position(|one| {
        seen += one;
        seen >= rank
    });
    highest(place.unwrap_or(BUCKETS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_follow_one_another_without_a_gap() {
        let mut expected = 0;
        for place in 0..BUCKETS {
            assert_eq!(bucket(expected), place, "{expected} µs");
            assert_eq!(bucket(highest(place)), place);
            expected = highest(place) + 1;
        }
        assert_eq!(expected, 1 << LONGEST_BITS);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }
}
