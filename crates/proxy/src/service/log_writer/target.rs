//! Where log lines go: a file or standard output, opened late, opened again, and retried when it fails.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::{Duration, Instant};

/// Between two attempts after a failure: soon after an operator has made room, seldom enough to cost nothing.
const RETRY: Duration = Duration::from_secs(1);
/// After a destination that does not wait (a pipe set so by its other end) was full.
const FULL_PIPE: Duration = Duration::from_millis(20);

/// Lines on their way out.
pub(super) struct Batch {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Batch {
    /// An empty batch for `bytes`.
    pub fn new(bytes: usize) -> Self {
        Self { bytes: vec![0; bytes].into_boxed_slice(), start: 0, end: 0 }
    }

    /// Where more lines can be put. All of it is free once everything was written.
    pub fn room(&mut self) -> &mut [u8] {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// Counts `n` bytes that were put into the room.
    pub fn filled(&mut self, n: usize) {
        self.end += n;
    }

    /// Whether everything was written.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Gives up what is left; returns how many lines that were.
    pub fn discard(&mut self) -> u64 {
        let lines = count_lines(&self.bytes[self.start..self.end]);
        self.start = self.end;
        lines
    }

    /// Gives up the rest of a line whose beginning went elsewhere; returns whether there was one.
    fn discard_torn(&mut self) -> bool {
        let torn = self.start > 0 && self.bytes[self.start - 1] != b'\n' && !self.is_empty();
        if torn {
            let rest = self.bytes[self.start..self.end].iter().position(|byte| *byte == b'\n');
            self.start = rest.map_or(self.end, |at| self.start + at + 1);
        }
        torn
    }
}

/// What an attempt to write came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub lines: u64,
    pub bytes: u64,
    pub dropped: u64,
    pub errors: u64,
    /// The news, when the state changed: what failed, or `Ok` when it works again.
    pub news: Option<Result<(), String>>,
}

/// A file or standard output.
pub(super) struct Target {
    path: String,
    file: Option<File>,
    /// When to open it (again); `None`: it is open.
    open_at: Option<Instant>,
    /// Nothing is written before.
    write_at: Option<Instant>,
    failing: bool,
}

impl Target {
    /// `path`, or standard output for "-". Opened at the first write.
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned(), file: None, open_at: None, write_at: None, failing: false }
    }

    /// The path as configured.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The file was rotated: the next write opens it again, and goes on with the old one while that fails.
    pub fn reopen(&mut self, now: Instant) {
        self.open_at = Some(now);
    }

    /// Forgets the pauses: there will be no later attempt.
    pub fn retry_now(&mut self, now: Instant) {
        self.open_at = self.open_at.map(|_| now);
        self.write_at = None;
    }

    /// Opens the file if it is time to, so that it is there (and an error known) before the first line.
    pub fn open(&mut self, batch: &mut Batch, now: Instant) -> Outcome {
        let mut outcome = Outcome::default();
        let due = self.open_at.map_or(self.file.is_none(), |at| at <= now);
        if !due {
            return outcome;
        }
        match open(&self.path) {
            Ok(file) => {
                // The same file again goes on where the last write broke off; another one starts with a whole line.
                let same = self.file.as_ref().is_some_and(|old| is_same(old, &file));
                outcome.dropped = u64::from(!same && batch.discard_torn());
                (self.file, self.open_at) = (Some(file), None);
                if self.write_at.is_none() {
                    self.works(&mut outcome);
                }
            }
            Err(error) => {
                self.open_at = Some(now + RETRY);
                self.fails("open", &error, &mut outcome);
            }
        }
        outcome
    }

    /// Writes as much of `batch` as the file takes. What it does not take stays in the batch.
    pub fn write(&mut self, batch: &mut Batch, now: Instant) -> Outcome {
        if self.write_at.is_some_and(|at| now < at) {
            return Outcome::default();
        }
        let mut outcome = self.open(batch, now);
        let Some(mut file) = self.file.as_ref() else { return outcome };
        while !batch.is_empty() {
            match file.write(&batch.bytes[batch.start..batch.end]) {
                Ok(n) => {
                    outcome.lines += count_lines(&batch.bytes[batch.start..batch.start + n]);
                    outcome.bytes += n as u64;
                    batch.start += n;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.write_at = Some(now + FULL_PIPE);
                    return outcome;
                }
                Err(error) => {
                    // The next attempt opens the path first: the file may be on a disk that went away and came back.
                    (self.write_at, self.open_at) = (Some(now + RETRY), Some(now + RETRY));
                    self.fails("write", &error, &mut outcome);
                    return outcome;
                }
            }
        }
        self.write_at = None;
        if self.open_at.is_none() {
            self.works(&mut outcome);
        }
        outcome
    }

    fn works(&mut self, outcome: &mut Outcome) {
        if std::mem::take(&mut self.failing) {
            outcome.news = Some(Ok(()));
        }
    }

    fn fails(&mut self, what: &str, error: &io::Error, outcome: &mut Outcome) {
        outcome.errors += 1;
        if !std::mem::replace(&mut self.failing, true) {
            outcome.news = Some(Err(format!("{what}: {error}")));
        }
    }
}

/// Opens for appending; a new file can be read by its group and by nobody else, as it names clients.
fn open(path: &str) -> io::Result<File> {
    if path == "-" {
        return Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    }
    File::options().append(true).create(true).mode(0o640).open(path)
}

fn is_same(one: &File, other: &File) -> bool {
    let identity = |file: &File| file.metadata().map(|found| (found.dev(), found.ino())).ok();
    identity(one) == identity(other)
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::super::tests::Folder;
    use super::*;

    fn batch(text: &[u8]) -> Batch {
        let mut batch = Batch::new(256);
        batch.room()[..text.len()].copy_from_slice(text);
        batch.filled(text.len());
        batch
    }

    #[test]
    fn a_full_disk_is_told_once_retried_every_second_and_told_again_when_it_works() {
        let folder = Folder::new("full-disk");
        let link = folder.path("log");
        std::os::unix::fs::symlink("/dev/full", &link).unwrap();
        let (mut target, mut batch, start) = (Target::new(&link), batch(b"kept\n"), Instant::now());
        let failed = target.write(&mut batch, start);
        assert_eq!((failed.errors, failed.lines), (1, 0));
        assert!(failed.news.unwrap().unwrap_err().starts_with("write: No space left"));
        assert_eq!(target.write(&mut batch, start + RETRY / 2), Outcome::default(), "too early");
        let again = target.write(&mut batch, start + RETRY);
        assert_eq!((again.errors, again.news), (1, None));
        std::fs::remove_file(&link).unwrap();
        let worked = target.write(&mut batch, start + 2 * RETRY);
        assert_eq!(worked, Outcome { lines: 1, bytes: 5, news: Some(Ok(())), ..Outcome::default() });
        assert_eq!(folder.read("log"), "kept\n");
    }

    #[test]
    fn a_file_that_cannot_be_opened_again_is_written_on() {
        let folder = Folder::new("reopen");
        let (path, start) = (folder.path("sub/log"), Instant::now());
        std::fs::create_dir(folder.path("sub")).unwrap();
        let mut target = Target::new(&path);
        assert_eq!(target.write(&mut batch(b"one\n"), start).lines, 1);
        std::fs::rename(folder.path("sub"), folder.path("moved")).unwrap();
        target.reopen(start);
        let outcome = target.write(&mut batch(b"two\n"), start);
        assert_eq!((outcome.lines, outcome.errors), (1, 1));
        assert_eq!(folder.read("moved/log"), "one\ntwo\n");
        std::fs::create_dir(folder.path("sub")).unwrap();
        let outcome = target.write(&mut batch(b"three\n"), start + RETRY);
        assert_eq!((outcome.lines, outcome.news), (1, Some(Ok(()))));
        assert_eq!(folder.read("sub/log"), "three\n");
    }

    #[test]
    fn another_file_starts_with_a_whole_line() {
        let folder = Folder::new("torn");
        let mut batch = batch(b"torn\nwhole\n");
        batch.start = 2;
        let outcome = Target::new(&folder.path("log")).write(&mut batch, Instant::now());
        assert_eq!((outcome.lines, outcome.dropped), (1, 1));
        assert_eq!(folder.read("log"), "whole\n");
    }

    #[test]
    fn a_new_file_is_not_for_everyone() {
        let folder = Folder::new("mode");
        Target::new(&folder.path("log")).open(&mut Batch::new(1), Instant::now());
        let mode = std::fs::metadata(folder.path("log")).unwrap().mode();
        assert_eq!(mode & 0o027, 0, "{mode:o}");
    }
}
