//! How many retries a pool can afford: a share of its requests, and a few for those that have few.
//!
//! Retries without a bound turn an outage into a longer one: what comes back is met by a multiple of what it can carry.
//! A bound for each request (so many attempts) does not help, as then every request uses it up at once; a share of the
//! live requests does (Finagle's and linkerd's retry budgets, Envoy's `retry_budget`).

use crate::document;
use crate::pool::Nanos;

const SECOND: Nanos = 1_000_000_000;

/// A deposit is worth something for at least this long and for at most twice as long: long enough for a burst of failures
/// to draw on the requests before it, and short enough for no fortune to be saved up in a quiet hour and spent on one bad
/// second. Finagle's deposits live for 10 s.
const HALF: Nanos = 5 * SECOND;

/// One retry, in the unit of deposits: a request deposits one for each percent.
const RETRY: u64 = 100;

/// A token bucket that requests fill and retries empty. Each worker has its own, so that a request's deposit is a plain
/// addition; requests spread over the workers, and with them the budget.
///
/// What holds in any span of time from a to b: retries ≤ share × requests between a − 10 s and b, plus the minimum
/// rate × (b − a + 1 s), plus 1.
#[derive(Debug, Clone)]
pub struct Budget {
    percent: u64,
    /// Retries that the minimum adds in a second, in units of a deposit.
    reserve_rate: u64,
    /// Deposits of the half before the current one, and of the current one.
    before: u64,
    current: u64,
    /// When the current half began.
    began: Nanos,
    reserve: u64,
    reserve_at: Nanos,
}

impl Budget {
    /// A budget of one of `workers`; it starts with a second's worth of the minimum.
    pub fn new(document: &document::RetryBudget, workers: u16, now: Nanos) -> Self {
        let mut budget = Self {
            percent: 0,
            reserve_rate: 0,
            before: 0,
            current: 0,
            began: now,
            reserve: 0,
            reserve_at: now,
        };
        budget.update(document, workers);
        budget.reserve = budget.most_reserve();
        budget
    }

    /// Goes on with other settings; what was deposited stays.
    pub fn update(&mut self, document: &document::RetryBudget, workers: u16) {
        self.percent = u64::from(document.percent);
        self.reserve_rate = (u64::from(document.min_per_second) * RETRY).div_ceil(u64::from(workers.max(1)));
        self.reserve = self.reserve.min(self.most_reserve());
    }

    /// Counts a request. Its retries are none.
    #[inline]
    pub fn deposit(&mut self, now: Nanos) {
        if now.saturating_sub(self.began) >= HALF {
            self.turn(now);
        }
        self.current += self.percent;
    }

    /// Takes a retry out; false when there is none left, and then the request must not be sent again.
    #[must_use]
    pub fn withdraw(&mut self, now: Nanos) -> bool {
        if now.saturating_sub(self.began) >= HALF {
            self.turn(now);
        }
        self.refill(now);
        // What would be lost first goes first. A retry may be paid with coins from all purses.
        let purses = [&mut self.before, &mut self.current, &mut self.reserve];
        if purses.iter().map(|purse| **purse).sum::<u64>() < RETRY {
            return false;
        }
        let mut owed = RETRY;
        for purse in purses {
            let paid = owed.min(*purse);
            *purse -= paid;
            owed -= paid;
        }
        true
    }

    /// A new half begins.
    #[cold]
    fn turn(&mut self, now: Nanos) {
        let is_next = now.saturating_sub(self.began) < 2 * HALF;
        self.before = if is_next { self.current } else { 0 };
        self.current = 0;
        self.began = if is_next { self.began + HALF } else { now };
    }

    fn refill(&mut self, now: Nanos) {
        let elapsed = now.saturating_sub(self.reserve_at).min(HALF);
        let earned = elapsed * self.reserve_rate / SECOND;
        if earned > 0 {
            self.reserve = (self.reserve + earned).min(self.most_reserve());
            self.reserve_at = now;
        }
    }

    /// A second's worth of the minimum, or one retry if that is less and not nothing.
    fn most_reserve(&self) -> u64 {
        if self.reserve_rate == 0 { 0 } else { self.reserve_rate.max(RETRY) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings(percent: u32, min_per_second: u32) -> document::RetryBudget {
        document::RetryBudget { percent, min_per_second }
    }

    fn budget(percent: u32, min_per_second: u32) -> Budget {
        Budget::new(&settings(percent, min_per_second), 1, 0)
    }

    fn affordable(budget: &mut Budget, now: Nanos) -> usize {
        (0..10_000).take_while(|_| budget.withdraw(now)).count()
    }

    #[test]
    fn a_share_of_the_requests_can_be_retried() {
        let mut budget = budget(20, 0);
        assert!(!budget.withdraw(0), "nothing comes from nothing");
        (0..100).for_each(|_| budget.deposit(SECOND));
        assert_eq!(affordable(&mut budget, 2 * SECOND), 20);
    }

    #[test]
    fn few_requests_have_the_minimum() {
        let mut budget = budget(20, 10);
        assert_eq!(affordable(&mut budget, 0), 10);
        assert_eq!(affordable(&mut budget, SECOND / 2), 5);
        assert_eq!(affordable(&mut budget, 60 * SECOND), 10, "no more than a second's worth is saved");
    }

    #[test]
    fn workers_share_the_minimum() {
        let mut budget = Budget::new(&settings(20, 10), 64, 0);
        assert_eq!(affordable(&mut budget, 0), 1);
        assert_eq!(affordable(&mut budget, 5 * SECOND), 0);
        assert_eq!(affordable(&mut budget, 8 * SECOND), 1);
    }

    #[test]
    fn deposits_expire() {
        let mut budget = budget(100, 0);
        (0..7).for_each(|_| budget.deposit(0));
        assert!(budget.withdraw(5 * SECOND), "after half a life");
        assert!(!budget.withdraw(10 * SECOND), "after all of it");
        (0..7).for_each(|_| budget.deposit(11 * SECOND));
        assert!(!budget.withdraw(60 * SECOND), "after a pause");
    }

    #[test]
    fn zero_percent_and_no_minimum_is_no_retry() {
        let mut budget = budget(0, 0);
        (0..1000).for_each(|_| budget.deposit(0));
        assert!(!budget.withdraw(0));
    }

    #[test]
    fn other_settings_take_effect_at_once() {
        let mut budget = budget(20, 1000);
        budget.update(&settings(20, 2), 1);
        assert_eq!(affordable(&mut budget, 0), 2);
    }

    proptest! {
        /// The bound in [`Budget`]'s text, over every span that begins and ends with a retry.
        #[test]
        fn it_is_never_exceeded(
            percent in 0_u32..=100,
            minimum in 0_u32..=50,
            steps in prop::collection::vec((0_u64..800_000_000, prop::bool::weighted(0.6)), 1..400),
        ) {
            let mut budget = budget(percent, minimum);
            let (mut now, mut requests, mut retries) = (0, Vec::new(), Vec::new());
            for (pause, is_request) in steps {
                now += pause;
                if is_request {
                    budget.deposit(now);
                    requests.push(now);
                } else if budget.withdraw(now) {
                    retries.push(now);
                }
            }
            for (first, from) in retries.iter().enumerate() {
                for (last, to) in retries.iter().enumerate().skip(first) {
                    let live = requests.iter().filter(|at| **at + 2 * HALF > *from && *at <= to).count() as u64;
                    let seconds = (to - from + SECOND) as f64 / 1e9;
                    let most = (live * u64::from(percent)) as f64 / 100.0 + f64::from(minimum) * seconds + 1.0;
                    prop_assert!((last - first + 1) as f64 <= most, "{from} {to}");
                }
            }
        }
    }
}
