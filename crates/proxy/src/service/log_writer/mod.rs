//! The access log: each worker pushes finished lines into a ring of its own; one thread writes them out.
//!
//! The writer has a thread to itself, because a write may wait (a pipe that nobody empties, a disk that stalls), and
//! neither requests nor health checks may wait with it. A ring that is full drops whole lines and counts them.

mod ring;
mod target;
mod writer;

pub use ring::LogRing;

use super::events::Events;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::Duration;
use std::{io, thread};
use target::Target;
use writer::{Command, Writer};

/// How long the end of the process waits for the last lines to be written. A reader that takes none for so long is
/// gone; whoever stops the process must not hang for its sake.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// The access log's totals since the start of the process. `dropped` runs behind by one round of the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogTotals {
    /// Lines written.
    pub lines: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Lines lost, because a ring was full or because there was no log to write to any more.
    pub dropped: u64,
    /// Failed attempts to open or to write.
    pub errors: u64,
}

/// [`LogTotals`] as the writer counts them. Only the writer's thread adds, so nothing here is contended.
#[derive(Debug, Default)]
struct Counters {
    lines: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
    errors: AtomicU64,
}

/// How the rest of the process talks to the writer.
#[derive(Clone)]
pub struct LogHandle {
    commands: Sender<Command>,
    counters: Arc<Counters>,
}

impl LogHandle {
    /// A ring of `bytes` for one worker. The writer forgets it once the worker has dropped it and its lines are out.
    pub fn ring(&self, bytes: usize) -> LogRing {
        let (ring, source) = ring::new(bytes);
        // A writer that is gone reads no ring: the lines are dropped and counted by the worker's side.
        let _ = self.commands.send(Command::Ring(source));
        ring
    }

    /// Writes what is there, then opens the file again: it was rotated.
    pub fn reopen(&self) {
        let _ = self.commands.send(Command::Reopen);
    }

    /// Writes what was pushed so far and returns when the attempt is over.
    pub fn flush(&self) {
        let (done, finished) = mpsc::channel();
        if self.commands.send(Command::Flush(done)).is_ok() {
            let _ = finished.recv();
        }
    }

    /// What the writer has done so far.
    pub fn totals(&self) -> LogTotals {
        let Counters { lines, bytes, dropped, errors } = &*self.counters;
        LogTotals {
            lines: lines.load(Ordering::Relaxed),
            bytes: bytes.load(Ordering::Relaxed),
            dropped: dropped.load(Ordering::Relaxed),
            errors: errors.load(Ordering::Relaxed),
        }
    }

    /// Writes to `path` ("-": standard output) from now on, or nowhere. What was pushed before goes to the old place.
    pub(super) fn write_to(&self, path: Option<&str>) {
        let _ = self.commands.send(Command::WriteTo(path.map(Target::new)));
    }
}

/// The writer's thread.
pub(super) struct LogWriter {
    handle: LogHandle,
    ended: mpsc::Receiver<()>,
}

impl LogWriter {
    /// Starts the thread; it sleeps until there is a log.
    ///
    /// # Errors
    /// The thread cannot be made.
    pub fn start(events: Arc<Events>) -> io::Result<Self> {
        let (commands, inbox) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let counters = Arc::new(Counters::default());
        let mut writer = Writer::new(events, Arc::clone(&counters));
        thread::Builder::new().name("evenly-log".into()).spawn(move || {
            writer.run(&inbox);
            // The rings as well, so that a worker that is still there sees that nobody reads its lines.
            drop(writer);
            let _ = end.send(());
        })?;
        Ok(Self { handle: LogHandle { commands, counters }, ended })
    }

    /// A handle to the thread.
    pub fn handle(&self) -> &LogHandle {
        &self.handle
    }

    /// Writes what is left and ends the thread, which is left behind if a write does not return.
    pub fn stop(self) {
        let _ = self.handle.commands.send(Command::Stop);
        let _ = self.ended.recv_timeout(LAST_WRITE);
    }
}

#[cfg(test)]
mod tests;
