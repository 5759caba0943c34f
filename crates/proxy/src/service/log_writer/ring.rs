//! The ring between one worker and the log's writer: bytes, but only ever whole lines.

use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest line that a ring takes: twice the largest head, so only a line that is mostly escapes is refused.
pub(super) const MAX_LINE_BYTES: usize = 64 * 1024;

/// Lines that did not fit. The worker writes and the writer reads it, so it has its cache line (two, as processors
/// fetch pairs) to itself.
#[derive(Default)]
#[repr(align(128))]
struct Dropped(AtomicU64);

/// A worker's end: lines go in.
pub struct LogRing {
    bytes: Producer<u8>,
    dropped: Arc<Dropped>,
}

impl LogRing {
    /// Adds `line`, which ends with its only line feed. Never waits: a line that does not fit is dropped as a whole
    /// and counted, and the answer is `false`.
    pub fn push(&mut self, line: &[u8]) -> bool {
        debug_assert_eq!(line.iter().position(|byte| *byte == b'\n'), line.len().checked_sub(1));
        let fits = line.len() <= MAX_LINE_BYTES && self.bytes.push_entire_slice(line).is_ok();
        if !fits || self.bytes.is_abandoned() {
            self.dropped.0.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        true
    }
}

/// The writer's end: lines come out.
pub(super) struct LogSource {
    bytes: Consumer<u8>,
    dropped: Arc<Dropped>,
}

impl LogSource {
    /// Moves as many whole lines as fit into `room`; returns their bytes.
    pub fn take(&mut self, room: &mut [u8]) -> usize {
        let wanted = self.bytes.slots().min(room.len());
        let Ok(chunk) = self.bytes.read_chunk(wanted) else { return 0 };
        let (first, second) = chunk.as_slices();
        room[..first.len()].copy_from_slice(first);
        room[first.len()..wanted].copy_from_slice(second);
        let whole = room[..wanted].iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        chunk.commit(whole);
        whole
    }

    /// Whether at least a quarter is used: the next look should come soon.
    pub fn is_filling(&self) -> bool {
        self.bytes.slots() >= self.bytes.buffer().capacity() / 4
    }

    /// Whether the worker has let go of its end. What is still in the ring, or counted, can be taken after asking.
    pub fn is_abandoned(&self) -> bool {
        self.bytes.is_abandoned()
    }

    /// Lines dropped since the last call.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.0.swap(0, Ordering::Relaxed)
    }
}

/// Both ends of a ring of `bytes`.
pub(super) fn new(bytes: usize) -> (LogRing, LogSource) {
    let (producer, consumer) = RingBuffer::new(bytes);
    let dropped = Arc::<Dropped>::default();
    (LogRing { bytes: producer, dropped: Arc::clone(&dropped) }, LogSource { bytes: consumer, dropped })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_do_not_fit_are_dropped_whole_and_counted() {
        let (mut ring, mut source) = new(10);
        assert!(ring.push(b"12345\n"));
        assert!(!ring.push(b"67890\n"), "only four bytes are free");
        assert!(ring.push(b"678\n"));
        let mut room = [0; 64];
        let n = source.take(&mut room);
        assert_eq!((&room[..n], source.take_dropped(), source.take_dropped()), (&b"12345\n678\n"[..], 1, 0));
    }

    #[test]
    fn only_whole_lines_come_out_also_around_the_rings_end() {
        let (mut ring, mut source) = new(12);
        let mut room = [0; 8];
        assert!(ring.push(b"first\n"));
        assert_eq!(source.take(&mut room), 6);
        assert!(ring.push(b"second\n") && ring.push(b"4th\n"));
        assert_eq!((source.take(&mut room), &room[..7]), (7, &b"second\n"[..]), "the fourth does not fit");
        assert_eq!((source.take(&mut room), &room[..4]), (4, &b"4th\n"[..]));
    }

    #[test]
    fn a_ring_without_a_writer_counts_every_line_as_dropped() {
        let (mut ring, source) = new(64);
        drop(source);
        assert!(!ring.push(b"lost\n"));
    }
}
