//! What requests see of a circuit: whether they are let in, and as what.
//!
//! Phase, generation and the probes' counts are one word, so that they cannot disagree whatever the order in which threads
//! come. The generation moves with each transition: what began under another one does not count.

use super::Phase;
use crate::pool::Nanos;
use std::sync::atomic::{AtomicU64, Ordering};

/// The word, and when an open circuit becomes half-open.
#[derive(Debug, Default)]
pub(super) struct Gate {
    word: AtomicU64,
    until: AtomicU64,
}

/// As what a request is let in, under which generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// One of many that count.
    Counted(u16),
    /// One of a few on which it depends.
    Probe(u16),
}

/// What probes have brought so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trial {
    /// Probes that succeeded.
    pub succeeded: u16,
    /// Probes that failed.
    pub failed: u16,
}

/// From the lowest bits on: 2 of the phase, 14 of the generation, 16 each of the permits left, the probes that succeeded
/// and those that failed. A generation comes again after 16,384 transitions, when no request of the first is left.
#[derive(Debug, Clone, Copy, Default)]
struct Word {
    phase: Phase,
    generation: u16,
    left: u16,
    trial: Trial,
}

const GENERATIONS: u16 = 1 << 14;

impl Gate {
    /// Lets a request in; a half-open circuit gives a permit away for it.
    #[inline]
    pub fn enter(&self) -> Option<Entry> {
        let word = self.word();
        match word.phase {
            Phase::Closed => Some(Entry::Counted(word.generation)),
            Phase::Open => None,
            Phase::HalfOpen => self.enter_half_open(),
        }
    }

    #[cold]
    fn enter_half_open(&self) -> Option<Entry> {
        let taken = self.update(|word| word.gives().then(|| Word { left: word.left - 1, ..word }));
        match taken {
            Ok(word) => Some(Entry::Probe(word.generation)),
            // It has closed meanwhile.
            Err(word) if word.phase == Phase::Closed => Some(Entry::Counted(word.generation)),
            Err(_) => None,
        }
    }

    /// Whether nobody is let in.
    #[inline]
    pub fn refuses(&self) -> bool {
        let word = self.word();
        word.phase != Phase::Closed && !word.gives()
    }

    /// A probe has ended; without a verdict somebody else may be one in its place.
    pub fn ended(&self, generation: u16, verdict: Option<bool>) {
        let _ = self.update(|word| {
            let Trial { succeeded, failed } = word.trial;
            (word.phase == Phase::HalfOpen && word.generation == generation).then(|| match verdict {
                None => Word { left: word.left + 1, ..word },
                Some(true) => Word { trial: Trial { succeeded: succeeded + 1, failed }, ..word },
                Some(false) => Word { trial: Trial { succeeded, failed: failed + 1 }, ..word },
            })
        });
    }

    /// Whether the circuit is closed, and has been since that generation began.
    #[inline]
    pub fn is_closed_since(&self, generation: u16) -> bool {
        let word = self.word();
        word.phase == Phase::Closed && word.generation == generation
    }

    /// Where the circuit is.
    #[inline]
    pub fn phase(&self) -> Phase {
        self.word().phase
    }

    #[cfg(test)]
    pub fn generation(&self) -> u16 {
        self.word().generation
    }

    /// What probes have brought so far.
    pub fn trial(&self) -> Trial {
        self.word().trial
    }

    /// When it becomes half-open; 0 unless it is open.
    pub fn until(&self) -> Nanos {
        self.until.load(Ordering::Relaxed)
    }

    /// A transition. Only the thread that sweeps makes one.
    pub fn set(&self, phase: Phase, probes: u16, until: Nanos) {
        self.until.store(until, Ordering::Relaxed);
        let generation = (self.word().generation + 1) % GENERATIONS;
        let left = if phase == Phase::HalfOpen { probes } else { 0 };
        self.word.store(Word { phase, generation, left, trial: Trial::default() }.pack(), Ordering::Release);
    }

    #[inline]
    fn word(&self) -> Word {
        Word::unpack(self.word.load(Ordering::Acquire))
    }

    /// Changes the word unless `change` says no; the word before, either way.
    fn update(&self, change: impl Fn(Word) -> Option<Word>) -> Result<Word, Word> {
        let change = |word| change(Word::unpack(word)).map(Word::pack);
        let changed = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        changed.map(Word::unpack).map_err(Word::unpack)
    }
}

impl Word {
    /// Whether there is a permit left; after a failure none is given any more, as the circuit is about to open.
    #[inline]
    fn gives(self) -> bool {
        self.phase == Phase::HalfOpen && self.left > 0 && self.trial.failed == 0
    }

    #[inline]
    fn unpack(bits: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = bits.to_le_bytes();
        let phase = match bits & 3 {
            0 => Phase::Closed,
            1 => Phase::HalfOpen,
            _ => Phase::Open,
        };
        Self {
            phase,
            generation: u16::from_le_bytes([a, b]) >> 2,
            left: u16::from_le_bytes([c, d]),
            trial: Trial { succeeded: u16::from_le_bytes([e, f]), failed: u16::from_le_bytes([g, h]) },
        }
    }

    fn pack(self) -> u64 {
        let low = (self.phase as u64) | (u64::from(self.generation) << 2);
        let Trial { succeeded, failed } = self.trial;
        low | (u64::from(self.left) << 16) | (u64::from(succeeded) << 32) | (u64::from(failed) << 48)
    }
}
