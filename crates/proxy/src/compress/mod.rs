//! *Relay*, with compression: a stage between a pump's two ends.
//!
//! It takes what the pump has read and makes pieces that fit one buffer, framed for the client. A piece is made only when
//! the one before is written, so the client sets the pace; when the source pauses, what the encoder holds back is
//! flushed, so that an answer that comes in parts arrives in the same parts.

mod coder;
#[cfg(test)]
mod tests;

use crate::worker::buffers::{Buffer, Buffers};
use crate::worker::deadlines::Deadline;
pub use coder::Refused;
use coder::{Aim, Coder, bytes};
use evenly_core::document::{Algorithm, Level};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Bytes that a worker's encoders take at once, however many clients read slowly; answers beyond that pass as they are,
/// and are counted. It is some fifty of br or zstd at their default level, and three times as many of gzip.
const MOST_BYTES: usize = 64 << 20;

/// Encoders kept for reuse beside them; those of br, the largest, cannot be.
const KEPT: usize = 16;

/// A worker's encoders.
#[derive(Default)]
pub struct Coders {
    free: RefCell<Vec<Own>>,
    /// Bytes of those that are lent.
    lent: Cell<usize>,
}

/// An encoder and what it is.
struct Own {
    algorithm: Algorithm,
    level: Level,
    coder: Coder,
}

impl Coders {
    /// Lends an encoder; `None` when too many are lent.
    fn lend(self: &Rc<Self>, algorithm: Algorithm, level: Level) -> Option<Lent> {
        let lent = self.lent.get() + bytes(algorithm, level);
        if lent > MOST_BYTES {
            return None;
        }
        let mut free = self.free.borrow_mut();
        let place = free.iter().rposition(|own| own.algorithm == algorithm && own.level == level);
        let own = match place {
            Some(place) => free.swap_remove(place),
            None => Own { algorithm, level, coder: Coder::new(algorithm, level)? },
        };
        self.lent.set(lent);
        Some(Lent { own: Some(own), home: Rc::clone(self) })
    }
}

/// An encoder that goes home when dropped.
struct Lent {
    /// Taken by `drop` only.
    own: Option<Own>,
    home: Rc<Coders>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut own) = self.own.take() else { return };
        self.home.lent.set(self.home.lent.get() - bytes(own.algorithm, own.level));
        let mut free = self.home.free.borrow_mut();
        if free.len() < KEPT && own.coder.reset() {
            free.push(own);
        }
    }
}

/// One answer on its way through an encoder.
pub struct Stage {
    coder: Lent,
    buffers: Rc<Buffers>,
    /// Read and not yet taken by the encoder.
    input: Option<Buffer>,
    /// Whether `input` is the last.
    is_last: bool,
    is_finished: bool,
    /// Whether everything taken is to come out now.
    is_flushing: bool,
    /// Whether the encoder has taken something since its last flush.
    holds_back: bool,
    /// Whether the client gets chunks.
    chunked: bool,
    /// Whether a pause is a reason to flush at once. A body whose length was stated is at hand as a whole, so its pauses
    /// are the network's; only a long one is heeded.
    is_eager: bool,
    /// When a pause has been long, as a tick.
    due: u64,
    /// What it is compressed with.
    pub algorithm: Algorithm,
    /// Bytes taken.
    pub taken: u64,
    /// Bytes made, without their framing.
    pub made: u64,
}

impl Stage {
    /// A stage with an encoder of the worker's; `None` when too many are lent.
    pub fn new(
        (coders, buffers): (&Rc<Coders>, &Rc<Buffers>),
        (algorithm, level): (Algorithm, Level),
        chunked: bool,
        is_eager: bool,
    ) -> Option<Self> {
        Some(Self {
            coder: coders.lend(algorithm, level)?,
            buffers: Rc::clone(buffers),
            input: None,
            is_last: false,
            is_finished: false,
            is_flushing: false,
            holds_back: false,
            chunked,
            is_eager,
            due: u64::MAX,
            algorithm,
            taken: 0,
            made: 0,
        })
    }

    /// Takes what was read; [`Stage::make`] must have had nothing more to do.
    pub fn give(&mut self, input: Buffer, is_last: bool) {
        self.due = u64::MAX;
        self.is_last = is_last;
        self.input = (!input.is_empty()).then_some(input);
    }

    /// Whether there is something to do without more input.
    pub fn has_work(&self) -> bool {
        self.input.is_some() || self.is_flushing || (self.is_last && !self.is_finished)
    }

    /// The source pauses: whether that makes something to do.
    pub fn pauses(&mut self, deadline: &Deadline) -> bool {
        if !self.holds_back {
            return false;
        }
        if !self.is_eager {
            if self.due == u64::MAX {
                self.due = deadline.at(Duration::ZERO);
            }
            if !deadline.is_past(self.due) {
                return false;
            }
        }
        self.due = u64::MAX;
        self.is_flushing = true;
        true
    }

    /// When it wants to be asked again whether a pause is long, as a tick.
    pub fn due(&self) -> u64 {
        self.due
    }

    /// Makes the next piece, framed; `None` when there is nothing to send yet.
    ///
    /// # Errors
    /// The encoder is broken.
    pub fn make(&mut self) -> Result<Option<Buffer>, Refused> {
        let mut piece = self.buffers.lend();
        while self.has_work() && !piece.room().is_empty() {
            self.step(&mut piece)?;
        }
        self.made += piece.len() as u64;
        if self.chunked {
            piece.frame(self.is_finished);
        }
        Ok((!piece.is_empty()).then_some(piece))
    }

    fn step(&mut self, piece: &mut Buffer) -> Result<(), Refused> {
        let aim = match (self.is_last, self.is_flushing) {
            (true, _) => Aim::Finish,
            (false, true) => Aim::Flush,
            (false, false) => Aim::Take,
        };
        let own = self.coder.own.as_mut().ok_or(Refused)?;
        let input = self.input.as_deref().unwrap_or_default();
        let step = own.coder.step(input, piece.room(), aim)?;
        if (step.taken, step.made, step.is_reached) == (0, 0, false) {
            return Err(Refused);
        }
        piece.filled(step.made);
        self.taken += step.taken as u64;
        self.holds_back |= step.taken > 0;
        if let Some(input) = &mut self.input {
            input.consume(step.taken);
        }
        self.input.take_if(|input| input.is_empty());
        if step.is_reached {
            self.is_finished = aim == Aim::Finish;
            if aim != Aim::Take {
                self.is_flushing = false;
                self.holds_back = false;
            }
        }
        Ok(())
    }
}
