//! Slow start: an endpoint that begins to serve, or serves again, gets its share of traffic bit by bit.
//!
//! Caches are cold, pools of connections empty and code not compiled yet: the share that a warm endpoint bears may bring
//! a new one down at once. Linear, in steps of a tenth: a step makes each worker rebuild its balancer's tables once.

use crate::outlier::FULL_SHARE;
use crate::pool::Nanos;

/// Steps of the whole share.
const STEPS: u32 = 10;

/// How far an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ramp {
    /// It gets no traffic now.
    Away,
    /// It began to serve then.
    Since(Nanos),
    /// It serves with its whole share.
    Done,
}

/// The share at the beginning, of [`FULL_SHARE`].
pub const FIRST_SHARE: u32 = FULL_SHARE / 10;

impl Ramp {
    /// Of an endpoint that serves from the beginning if it `is_usable`.
    pub fn new(is_usable: bool) -> Self {
        if is_usable { Self::Done } else { Self::Away }
    }

    /// Moves on; the share of [`FULL_SHARE`] that follows. `window` is the pool's slow start, if it has one.
    pub fn pass_time(&mut self, is_usable: bool, now: Nanos, window: Option<Nanos>) -> u32 {
        let Some(window) = window.filter(|window| *window > 0) else {
            *self = Self::new(is_usable);
            return FULL_SHARE;
        };
        match *self {
            _ if !is_usable => *self = Self::Away,
            Self::Away => *self = Self::Since(now),
            Self::Since(since) if now.saturating_sub(since) >= window => *self = Self::Done,
            Self::Since(_) | Self::Done => {}
        }
        match *self {
            // Not picked, or on its way back: then it begins with the first step.
            Self::Away => FIRST_SHARE,
            Self::Done => FULL_SHARE,
            Self::Since(since) => {
                let elapsed = u128::from(now.saturating_sub(since));
                let over = elapsed * u128::from(STEPS) / u128::from(window);
                let steps = u32::try_from(over).unwrap_or(STEPS).saturating_add(1).min(STEPS);
                (FULL_SHARE * steps / STEPS).max(FIRST_SHARE)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_in_ten_steps_from_the_moment_it_serves() {
        let mut ramp = Ramp::new(false);
        let mut share = |is_usable, now| ramp.pass_time(is_usable, now, Some(1_000));
        assert_eq!(share(false, 0), FIRST_SHARE);
        let shares: Vec<u32> = [100, 200, 600, 999, 1_099, 1_100, 9_999].map(|now| share(true, now)).into();
        assert_eq!(shares, [12, 25, 76, 115, 128, 128, 128]);
        assert_eq!(share(false, 10_000), FIRST_SHARE, "it begins anew");
        assert_eq!(share(true, 20_000), FIRST_SHARE);
    }

    #[test]
    fn without_a_window_the_share_is_whole() {
        let mut ramp = Ramp::Since(5);
        assert_eq!(ramp.pass_time(true, 6, None), FULL_SHARE);
        assert_eq!((ramp, ramp.pass_time(false, 7, None)), (Ramp::Done, FULL_SHARE));
        assert_eq!(ramp, Ramp::Away);
    }
}
