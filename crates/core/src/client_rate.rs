//! How often one client may do something, as far as a table of fixed size can tell clients apart.
//!
//! Each slot holds when its client will have no debt any more (the generic cell rate algorithm, ITU-T I.371: one number
//! instead of a bucket and a clock). A client has a few slots to choose from; where all of them are taken by clients in
//! debt, it gets the one whose debt ends first, and that client is forgiven. So the table is never full, takes no lock,
//! and errs on the side of letting in.

use crate::document::Rate;
use std::sync::atomic::{AtomicU64, Ordering};

/// Slots; a power of two. 512 KiB for each listener that has a limit.
const SLOTS: usize = 1 << 16;
/// Neighbours that one client may use: one cache line.
const WAYS: usize = 8;
/// Bits of a slot that say whose it is; the others are the time, in units of 64 µs, which last for 500 years.
const TAG_BITS: u32 = 16;
const UNIT_NANOS: u64 = 65_536;

/// Clients and what they have used up.
#[derive(Debug)]
pub struct ClientRate {
    slots: Box<[AtomicU64]>,
    /// Between two, in the long run.
    interval: u64,
    /// How far ahead a client may be.
    burst: u64,
}

impl ClientRate {
    /// Nobody has done anything yet.
    pub fn new(rate: Rate) -> Self {
        let period = rate.period_ms.saturating_mul(1_000_000) / UNIT_NANOS;
        Self {
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            interval: (period / u64::from(rate.count.max(1))).max(1),
            burst: period.max(1),
        }
    }

    /// Counts one of the client with this hash at `now` (nanoseconds); whether it may. `hash` must be one that clients cannot foretell.
    pub fn admit(&self, hash: u64, now: u64) -> bool {
        let now = now / UNIT_NANOS;
        let tag = hash >> (64 - TAG_BITS);
        let first = usize::try_from(hash).unwrap_or(usize::MAX) % SLOTS / WAYS * WAYS;
        let slots = &self.slots[first..first + WAYS];
        let time = |slot: &AtomicU64| slot.load(Ordering::Relaxed) >> TAG_BITS;
        let own = slots.iter().find(|slot| slot.load(Ordering::Relaxed) & ((1 << TAG_BITS) - 1) == tag);
        let Some(slot) = own.or_else(|| slots.iter().min_by_key(|slot| time(slot))) else { return true };
        let debt_until = if own.is_some() { time(slot).max(now) } else { now };
        let until = debt_until + self.interval;
        if until > now + self.burst {
            return false;
        }
        // Of two workers at once, one count may be lost: that client may do one more.
        slot.store(until << TAG_BITS | tag, Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rate(count: u32) -> ClientRate {
        ClientRate::new(Rate { count, period_ms: 1000 })
    }

    #[test]
    fn a_client_has_its_burst_and_then_its_rate() {
        let rate = rate(10);
        let admitted = |from: u64, times: u64| (0..times).filter(|_| rate.admit(7 << 40, from)).count();
        assert_eq!(admitted(SECOND, 100), 10);
        assert_eq!(admitted(SECOND * 3 / 2, 100), 5, "half a second gives half back");
        assert_eq!(admitted(SECOND * 100, 100), 10, "and never more than the burst");
    }

    #[test]
    fn clients_do_not_count_for_one_another() {
        let rate = rate(1);
        let hash = |client: u64| client.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let admitted = (1..1000).filter(|client| rate.admit(hash(*client), SECOND)).count();
        assert_eq!(admitted, 999);
        let again = (1..1000).filter(|client| rate.admit(hash(*client), SECOND)).count();
        assert!(again < 20, "{again}");
    }

    #[test]
    fn a_full_set_forgives_rather_than_refuses() {
        let rate = rate(1);
        // All in one set, each with a tag of its own.
        let admitted = (1..100_u64).filter(|tag| rate.admit(tag << 48, SECOND)).count();
        assert_eq!(admitted, 99);
    }
}
