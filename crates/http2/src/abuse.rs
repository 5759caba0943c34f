//! Budgets for what is allowed, but not without end.
//!
//! Each is a leaky bucket: it fills with what the peer does, drains with time, and with useful work where a good peer's
//! share grows with that. A full bucket closes the connection.

use crate::error::{ConnectionError, ErrorCode, Reason};

/// One budget.
struct Rate {
    reason: Reason,
    /// What may come at once.
    burst: u32,
    /// What may for each stream that the peer may have, if that is more.
    per_stream: u32,
    /// What may go on for ever.
    per_second: u32,
    what: &'static str,
}

const fn rate(reason: Reason, burst: u32, per_second: u32, what: &'static str) -> Rate {
    Rate { reason, burst, per_stream: 0, per_second, what }
}

impl Rate {
    /// As many for each stream, where a good peer does so for all of them at once.
    const fn per_stream(self, count: u32) -> Self {
        Self { per_stream: count, ..self }
    }
}

/// All budgets; their places are below.
const RATES: [Rate; 11] = [
    // A page left by its reader resets all its streams at once, 100 of them; and each stream that ends well allows for
    // one that does not, for gRPC clients with short deadlines.
    rate(Reason::RapidReset, 100, 10, "streams reset before their end").per_stream(1),
    // As many: nobody needs this side's resets, but a client with a defect should still be served.
    rate(Reason::MadeYouReset, 100, 10, "streams that had to be reset"),
    // A client may open any number of streams until our SETTINGS reach it.
    rate(Reason::StreamFlood, 1_000, 100, "streams beyond those granted"),
    rate(Reason::HeaderBomb, 100, 10, "field sections that took too much memory"),
    // Settings change once or twice in the life of a connection.
    rate(Reason::SettingsFlood, 32, 1, "SETTINGS"),
    // Keep-alive takes one in seconds; gRPC measures bandwidth by one for each round trip with data.
    rate(Reason::PingFlood, 100, 10, "PING"),
    // Old browsers send a tree of them, and one or two for each stream.
    rate(Reason::PriorityFlood, 200, 20, "PRIORITY"),
    // A client that reads in small pieces sends two for each frame of ours, and may have one of each stream to read.
    rate(Reason::WindowUpdateFlood, 1_000, 100, "WINDOW_UPDATE").per_stream(4),
    // No client has a reason to send them.
    rate(Reason::EmptyFrames, 100, 10, "empty frames"),
    // Streams of small messages are what gRPC is for. One such frame costs its sender as much time as this side, so
    // the bound is far away: a tenth of a core at most.
    rate(Reason::TinyData, 50_000, 50_000, "DATA in crumbs"),
    // PRIORITY_UPDATE (RFC 9218) comes a few times for each stream, other extensions at the beginning.
    rate(Reason::UnknownFrames, 200, 20, "unknown frames"),
];

/// Places in [`RATES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// Streams that the peer resets.
    RapidReset,
    /// Streams that this side has to reset.
    MadeYouReset,
    /// Streams beyond those granted.
    StreamFlood,
    /// Field sections that take too much memory.
    HeaderBomb,
    /// SETTINGS.
    Settings,
    /// PING.
    Ping,
    /// PRIORITY.
    Priority,
    /// WINDOW_UPDATE.
    WindowUpdate,
    /// Frames that carry nothing.
    EmptyFrames,
    /// DATA in crumbs.
    TinyData,
    /// Frames of unknown types.
    UnknownFrames,
}

/// What one connection has spent.
pub struct Budgets {
    spent: [u32; RATES.len()],
    /// When that was true, in milliseconds.
    since: [u64; RATES.len()],
    streams: u32,
}

impl Budgets {
    /// Nothing yet, at this time in milliseconds, of a peer that may have so many streams at once.
    pub const fn new(now: u64, streams: u32) -> Self {
        Self { spent: [0; RATES.len()], since: [now; RATES.len()], streams }
    }

    /// Spends one.
    ///
    /// # Errors
    /// The budget is used up.
    pub fn spend(&mut self, budget: Budget, now: u64) -> Result<(), ConnectionError> {
        let rate = &RATES[budget as usize];
        let (spent, since) = (&mut self.spent[budget as usize], &mut self.since[budget as usize]);
        let drained = now.saturating_sub(*since).saturating_mul(u64::from(rate.per_second)) / 1_000;
        if drained > 0 {
            *spent = spent.saturating_sub(u32::try_from(drained).unwrap_or(u32::MAX));
            *since = now;
        }
        if *spent >= rate.burst.max(rate.per_stream.saturating_mul(self.streams)) {
            let (code, reason) = (ErrorCode::ENHANCE_YOUR_CALM, rate.reason);
            return Err(ConnectionError { code, reason, what: rate.what });
        }
        *spent += 1;
        Ok(())
    }

    /// Gives some back, for useful work.
    #[inline]
    pub fn refund(&mut self, budget: Budget, count: u32) {
        let spent = &mut self.spent[budget as usize];
        *spent = spent.saturating_sub(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_budget_has_its_place() {
        for (budget, reason) in [
            (Budget::RapidReset, Reason::RapidReset),
            (Budget::MadeYouReset, Reason::MadeYouReset),
            (Budget::StreamFlood, Reason::StreamFlood),
            (Budget::HeaderBomb, Reason::HeaderBomb),
            (Budget::Settings, Reason::SettingsFlood),
            (Budget::Ping, Reason::PingFlood),
            (Budget::Priority, Reason::PriorityFlood),
            (Budget::WindowUpdate, Reason::WindowUpdateFlood),
            (Budget::EmptyFrames, Reason::EmptyFrames),
            (Budget::TinyData, Reason::TinyData),
            (Budget::UnknownFrames, Reason::UnknownFrames),
        ] {
            let rate = &RATES[budget as usize];
            assert_eq!(rate.reason, reason);
            assert!(reason.is_abuse());
            let mut budgets = Budgets::new(7, 100);
            let errors = (0..=rate.burst).filter_map(|_| budgets.spend(budget, 7).err());
            let reasons: Vec<Reason> = errors.map(|error| error.reason).collect();
            assert_eq!(reasons, [reason], "only what is beyond the burst");
        }
    }

    #[test]
    fn who_may_have_many_streams_may_do_more_at_once() {
        let mut budgets = Budgets::new(0, 1_000);
        assert!((0..4_000).all(|_| budgets.spend(Budget::WindowUpdate, 0).is_ok()));
        assert!(budgets.spend(Budget::WindowUpdate, 0).is_err());
        assert!((0..100).all(|_| budgets.spend(Budget::Ping, 0).is_ok()));
        assert!(budgets.spend(Budget::Ping, 0).is_err());
    }

    #[test]
    fn time_and_useful_work_drain_it() {
        let mut budgets = Budgets::new(0, 100);
        let spend = |budgets: &mut Budgets, now| budgets.spend(Budget::RapidReset, now).is_ok();
        assert!((0..100).all(|_| spend(&mut budgets, 0)));
        assert!(!spend(&mut budgets, 99));
        assert!(spend(&mut budgets, 100) && !spend(&mut budgets, 100));
        budgets.refund(Budget::RapidReset, 2);
        assert!(spend(&mut budgets, 100) && spend(&mut budgets, 100) && !spend(&mut budgets, 100));
        assert!((0..100).all(|_| spend(&mut budgets, 1_000_000)));
        assert!(!spend(&mut budgets, 0), "a clock that goes back gives nothing");
    }
}
