//! A worker's buffers: lent to connections that have something to do, never owned by idle ones.
//!
//! Free buffers wait in a stack, so that the one used last, still in the processor's cache, is lent next.

use crate::splice::{Pipe, Pipes};
use std::cell::RefCell;
use std::io;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::task::{Poll, ready};

/// Bytes that one read takes at most. 64 KiB is where larger reads stop to pay on loopback and in common NICs' bursts.
pub const READ_BYTES: usize = 64 * 1024;
/// Room before the data, for a chunk's head: 16 hex digits, CR, LF.
pub const HEADROOM: usize = 18;
/// Room behind the data, for a chunk's end and the last chunk.
const TAILROOM: usize = 8;
/// An odd number of cache lines more, so that buffers in a row do not fall on the same cache sets.
const STAGGER: usize = 192;
/// The most that a buffer ever holds, a chunk's frame included.
pub const MOST_BYTES: usize = HEADROOM + READ_BYTES + TAILROOM;
/// What TLS adds to as much: five records, each with at most 29 bytes more (TLS 1.2), and one that changes the keys. It fits
/// into what is there for the stagger.
pub const SEALED_BYTES: usize = MOST_BYTES + 5 * 29;
const _: () = assert!(HEADROOM + SEALED_BYTES <= HEADROOM + READ_BYTES + TAILROOM + STAGGER);
/// Capacity that rendered heads start with; most requests fit.
const TEXT_BYTES: usize = 4096 + STAGGER;
/// A text that grew beyond this is freed rather than kept. A small body behind its head has to fit, or every response
/// with one would allocate anew.
const TEXT_KEEP_BYTES: usize = 32 * 1024;
/// Free buffers and texts kept by a worker; bursts above it return their memory.
const FREE_BUFFERS: usize = 64;
const FREE_TEXTS: usize = 256;

/// A worker's free buffers.
#[derive(Default)]
pub struct Buffers {
    free: RefCell<Vec<Box<[u8]>>>,
    texts: RefCell<Vec<Vec<u8>>>,
    pipes: Rc<Pipes>,
}

impl Buffers {
    /// Lends a buffer for reading, empty.
    pub fn lend(self: &Rc<Self>) -> Buffer {
        let bytes = self.free.borrow_mut().pop();
        let bytes = bytes.unwrap_or_else(Self::make);
        Buffer { bytes, start: HEADROOM, end: HEADROOM, home: Rc::clone(self) }
    }

    fn make() -> Box<[u8]> {
        vec![0; HEADROOM + READ_BYTES + TAILROOM + STAGGER].into_boxed_slice()
    }

    /// Lends a buffer with what `read` puts into it, at most so many bytes; while that is not ready, nothing is lent.
    #[inline]
    pub fn lend_read(
        self: &Rc<Self>,
        most: usize,
        read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<Buffer>> {
        let mut free = self.free.borrow_mut();
        if free.is_empty() {
            free.push(Self::make());
        }
        let room = free.last_mut().map_or(&mut [][..], |bytes| &mut bytes[HEADROOM..HEADROOM + most]);
        let read = ready!(read(room))?;
        drop(free);
        let mut buffer = self.lend();
        buffer.filled(read);
        Poll::Ready(Ok(buffer))
    }

    /// Lends a pipe, empty; `None` when no descriptor is left.
    pub fn pipe(&self) -> Option<Pipe> {
        self.pipes.lend().ok()
    }

    /// Lends a text to render into, empty.
    pub fn text(self: &Rc<Self>) -> Text {
        let bytes = self.texts.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(TEXT_BYTES));
        Text { bytes, home: Rc::clone(self) }
    }
}

/// Bytes that were read and are not yet passed on; goes home when dropped.
pub struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    home: Rc<Buffers>,
}

impl Buffer {
    /// The unread part, to read into.
    pub fn room(&mut self) -> &mut [u8] {
        let bound = self.bytes.len().min(HEADROOM + READ_BYTES);
        &mut self.bytes[self.end..bound]
    }

    /// Counts `n` bytes that were read into [`Buffer::room`].
    pub fn filled(&mut self, n: usize) {
        self.end = (self.end + n).min(HEADROOM + READ_BYTES);
    }

    /// All that is behind the data, to the end: for records, which hold a little more than a buffer can be read full.
    pub fn whole_room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// Counts `n` bytes that were written into [`Buffer::whole_room`].
    pub fn filled_whole(&mut self, n: usize) {
        self.end = (self.end + n).min(self.bytes.len());
    }

    /// Copies as much of `bytes` behind the data as fits; how much that is.
    pub fn fill(&mut self, bytes: &[u8]) -> usize {
        let room = self.room();
        let n = bytes.len().min(room.len());
        room[..n].copy_from_slice(&bytes[..n]);
        self.filled(n);
        n
    }

    /// Moves as much of `other` behind the data as fits; how much that is.
    pub fn take_from(&mut self, other: &mut Buffer) -> usize {
        let n = self.fill(other);
        other.consume(n);
        n
    }

    /// Lends another buffer of the same worker, empty.
    pub fn lend_another(&self) -> Buffer {
        self.home.lend()
    }

    /// Drops `n` bytes from the front.
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
    }

    /// Keeps the first `n` bytes only.
    pub fn truncate(&mut self, n: usize) {
        self.end = self.end.min(self.start + n);
    }

    /// Moves the data to the front when the end has no room left.
    pub fn compact(&mut self) {
        if self.start == HEADROOM {
            return;
        }
        self.bytes.copy_within(self.start..self.end, HEADROOM);
        self.end -= self.start - HEADROOM;
        self.start = HEADROOM;
    }

    /// Gives back the room that its data does not take, for one that may be held for long. There is none to read into then.
    pub fn shrink(&mut self) {
        if self.bytes.len() < READ_BYTES {
            return;
        }
        let mut tight = vec![0; HEADROOM + self.len()].into_boxed_slice();
        tight[HEADROOM..].copy_from_slice(self);
        *self = Self { start: HEADROOM, end: tight.len(), bytes: tight, home: Rc::clone(&self.home) };
    }

    /// Frames the data as one chunk (RFC 9112 §7.1), and as the body's end when `last`. Needs the data at the front.
    pub fn frame(&mut self, last: bool) {
        debug_assert_eq!(self.start, HEADROOM, "a chunk's head needs the headroom");
        let length = self.end - self.start;
        if length > 0 {
            let mut digits = [0; evenly_http1::CHUNK_HEADROOM];
            let from = evenly_http1::chunk_head(length, &mut digits);
            let head = &digits[from..];
            self.start -= head.len();
            self.bytes[self.start..self.start + head.len()].copy_from_slice(head);
            self.append(evenly_http1::CHUNK_END);
        }
        if last {
            self.append(evenly_http1::LAST_CHUNK);
        }
    }

    /// Ends a chunked body that has no more data with these lines of trailers; what has no room is left out.
    pub fn end_chunks(&mut self, trailers: &[u8]) {
        let Some((start, end)) = evenly_http1::LAST_CHUNK.split_at_checked(3) else { return };
        self.append(start);
        if trailers.len() < self.room().len() {
            self.append(trailers);
        }
        self.append(end);
    }

    /// Copies `bytes` behind the data; they must fit.
    fn append(&mut self, bytes: &[u8]) {
        self.bytes[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = self.home.free.borrow_mut();
        if free.len() < FREE_BUFFERS && self.bytes.len() > READ_BYTES {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// A text being rendered; goes home when dropped.
pub struct Text {
    bytes: Vec<u8>,
    home: Rc<Buffers>,
}

impl Text {
    /// The text, for somebody else; an empty one without memory stays behind.
    pub fn take(&mut self) -> Text {
        Text { bytes: std::mem::take(&mut self.bytes), home: Rc::clone(&self.home) }
    }
}

impl Deref for Text {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Text {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        let mut texts = self.home.texts.borrow_mut();
        // One that was taken has no memory.
        if texts.len() < FREE_TEXTS && (TEXT_BYTES..=TEXT_KEEP_BYTES).contains(&self.bytes.capacity()) {
            self.bytes.clear();
            texts.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_used_last_is_lent_next() {
        let buffers = Rc::new(Buffers::default());
        let first = buffers.lend();
        let address = first.bytes.as_ptr();
        drop(first);
        assert_eq!(buffers.lend().bytes.as_ptr(), address);
    }

    #[test]
    fn framing_puts_a_chunk_around_the_data() {
        let buffers = Rc::new(Buffers::default());
        let mut buffer = buffers.lend();
        buffer.room()[..20].copy_from_slice(b"twenty bytes of data");
        buffer.filled(20);
        buffer.frame(true);
        assert_eq!(&*buffer, b"14\r\ntwenty bytes of data\r\n0\r\n\r\n");
    }

    #[test]
    fn a_full_buffer_still_has_room_for_its_frame() {
        let buffers = Rc::new(Buffers::default());
        let mut buffer = buffers.lend();
        buffer.filled(READ_BYTES);
        buffer.frame(true);
        assert_eq!(buffer.len(), READ_BYTES + "10000\r\n".len() + "\r\n0\r\n\r\n".len());
    }
}
