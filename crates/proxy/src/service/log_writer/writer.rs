//! The writer's thread: takes lines out of all rings, about twenty times a second, and writes them in few calls.

use super::Counters;
use super::ring::{LogSource, MAX_LINE_BYTES};
use super::target::{Batch, Outcome, Target};
use crate::service::events::{Event, Events, Level};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Between two rounds: a log that one follows by eye looks immediate, and a quiet process wakes up seldom.
const ROUND: Duration = Duration::from_millis(50);
/// Between two rounds while a ring fills fast: it had a quarter's room to fill in the last round.
const BUSY_ROUND: Duration = Duration::from_millis(5);
/// Bytes of one write call: large enough to make the call's own cost vanish, small enough to stay in the cache.
const BATCH_BYTES: usize = 4 * MAX_LINE_BYTES;

/// What the writer is asked to do.
pub(super) enum Command {
    /// Read this ring as well.
    Ring(LogSource),
    /// Write to another place from now on, or nowhere.
    WriteTo(Option<Target>),
    /// Open the file again.
    Reopen,
    /// Write what is there, then answer.
    Flush(Sender<()>),
    /// Write what is there, then end.
    Stop,
}

/// All that the thread owns.
pub(super) struct Writer {
    rings: Vec<LogSource>,
    target: Option<Target>,
    batch: Batch,
    /// A ring was filling fast in the last round.
    busy: bool,
    events: Arc<Events>,
    counters: Arc<Counters>,
}

impl Writer {
    /// No ring, nowhere to write.
    pub fn new(events: Arc<Events>, counters: Arc<Counters>) -> Self {
        Self {
            rings: Vec::new(),
            target: None,
            batch: Batch::new(BATCH_BYTES),
            busy: false,
            events,
            counters,
        }
    }

    /// Works until it is told to stop or nobody can tell it any more.
    pub fn run(&mut self, commands: &Receiver<Command>) {
        loop {
            let command = match self.pause() {
                Some(pause) => commands.recv_timeout(pause),
                None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let now = Instant::now();
            match command {
                Ok(Command::Ring(ring)) => self.rings.push(ring),
                Ok(Command::WriteTo(target)) => self.write_to(target, now),
                Ok(Command::Reopen) => {
                    self.round(now);
                    self.target.iter_mut().for_each(|target| target.reopen(now));
                    self.open(now);
                }
                Ok(Command::Flush(done)) => {
                    self.round(now);
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.round(now),
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    self.target.iter_mut().for_each(|target| target.retry_now(now));
                    return self.round(now);
                }
            }
        }
    }

    /// Until the next round; `None` when only a command can bring something to do.
    fn pause(&self) -> Option<Duration> {
        if self.rings.is_empty() && self.batch.is_empty() {
            return None;
        }
        // A batch that waits for its target to recover is no reason to hurry.
        Some(if self.busy && self.batch.is_empty() { BUSY_ROUND } else { ROUND })
    }

    fn write_to(&mut self, target: Option<Target>, now: Instant) {
        if self.target.as_ref().map(Target::path) == target.as_ref().map(Target::path) {
            return;
        }
        self.round(now);
        self.target = target;
        self.open(now);
    }

    /// Opens the target now, so that the operator learns of a wrong path before the first request.
    fn open(&mut self, now: Instant) {
        if let Some(target) = &mut self.target {
            let outcome = target.open(&mut self.batch, now);
            self.count(outcome);
        }
    }

    /// Takes what is in the rings and writes it, as far as the target takes it.
    fn round(&mut self, now: Instant) {
        let mut rings = std::mem::take(&mut self.rings);
        self.busy = rings.iter().any(LogSource::is_filling);
        rings.retain_mut(|ring| {
            // Asked first: what the worker pushed before it let go is then certain to be seen below.
            let ended = ring.is_abandoned();
            let drained = self.drain(ring, now);
            self.counters.dropped.fetch_add(ring.take_dropped(), Ordering::Relaxed);
            !(ended && drained)
        });
        self.rings = rings;
        self.write(now);
    }

    /// Moves a ring's lines into the batch; `false` if some had to stay because the target takes no more.
    fn drain(&mut self, ring: &mut LogSource, now: Instant) -> bool {
        loop {
            let room = self.batch.room();
            if room.len() >= MAX_LINE_BYTES {
                let n = ring.take(room);
                self.batch.filled(n);
                if n == 0 {
                    return true;
                }
            } else {
                self.write(now);
                if !self.batch.is_empty() {
                    return false;
                }
            }
        }
    }

    fn write(&mut self, now: Instant) {
        let outcome = match &mut self.target {
            Some(target) => target.write(&mut self.batch, now),
            None => Outcome { dropped: self.batch.discard(), ..Outcome::default() },
        };
        self.count(outcome);
    }

    fn count(&self, outcome: Outcome) {
        self.counters.lines.fetch_add(outcome.lines, Ordering::Relaxed);
        self.counters.bytes.fetch_add(outcome.bytes, Ordering::Relaxed);
        self.counters.dropped.fetch_add(outcome.dropped, Ordering::Relaxed);
        self.counters.errors.fetch_add(outcome.errors, Ordering::Relaxed);
        let path = self.target.as_ref().map_or("", Target::path);
        match outcome.news {
            None => {}
            Some(Ok(())) => {
                self.events.push(Event::message(Level::Info, format!("access log {path}: works again")));
            }
            Some(Err(reason)) => self.events.push(Event::message(
                Level::Error,
                format!("access log {path}: {reason}; retried every second, lines are dropped once the rings are full"),
            )),
        }
    }
}
