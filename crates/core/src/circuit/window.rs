//! How many of the last requests failed: a window that slides in tenths of its length.

use crate::pool::Nanos;

/// Requests that ended, and how many of them failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the type's line says it")]
pub struct Reading {
    pub ended: u32,
    pub failed: u32,
}

/// A window holds between nine and ten tenths of its length: what is older than it never counts.
const SLICES: usize = 10;

/// The last requests. Its length comes with each call; another length begins anew.
#[derive(Debug, Default)]
pub(super) struct Window {
    slices: [Reading; SLICES],
    /// The number of the slice written last, in slices since the beginning of time.
    last: u64,
    /// Of a slice.
    length: Nanos,
}

impl Reading {
    /// The share that failed, in whole percent, rounded down; 0 of none.
    pub fn failure_percent(self) -> u32 {
        let percent = u64::from(self.failed.min(self.ended)) * 100 / u64::from(self.ended.max(1));
        u32::try_from(percent).unwrap_or(100)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            ended: self.ended.saturating_add(other.ended),
            failed: self.failed.saturating_add(other.failed),
        }
    }
}

impl Window {
    /// Adds what ended just now, and returns what the window then holds.
    pub fn add(&mut self, reading: Reading, window: Nanos, now: Nanos) -> Reading {
        let length = (window / SLICES as u64).max(1);
        if length != self.length {
            *self = Self { length, ..Self::default() };
        }
        let number = (now / length).max(self.last);
        for gone in (self.last + 1..=number).rev().take(SLICES) {
            self.slices[place(gone)] = Reading::default();
        }
        self.last = number;
        let slice = &mut self.slices[place(number)];
        *slice = slice.plus(reading);
        self.sum()
    }

    /// What it holds at `now`.
    pub fn at(&self, now: Nanos) -> Reading {
        if self.length == 0 || now / self.length >= self.last + SLICES as u64 {
            Reading::default()
        } else {
            self.sum()
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.slices = Default::default();
    }

    fn sum(&self) -> Reading {
        self.slices.iter().fold(Reading::default(), |sum, slice| sum.plus(*slice))
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the remainder is below SLICES")]
fn place(number: u64) -> usize {
    (number % SLICES as u64) as usize
}
