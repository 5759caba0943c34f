//! Bytes on their way to the peer.

/// What is to be written to the socket, in order.
#[derive(Debug, Default)]
pub struct Output {
    pub(crate) bytes: Vec<u8>,
    /// What of `bytes` is written already.
    start: usize,
    /// Bytes of answers that the peer provoked and that wait here, as well as can be told: when a part is written, it
    /// is taken to hold its share of them.
    answers: usize,
}

impl Output {
    /// What is to be written next.
    #[inline]
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Bytes that wait.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether nothing waits.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `written` bytes of [`Output::pending`] are with the kernel.
    pub fn advance(&mut self, written: usize) {
        let waiting = self.len();
        if written >= waiting {
            self.bytes.clear();
            self.start = 0;
            self.answers = 0;
            return;
        }
        self.answers -= self.answers * written / waiting;
        self.start += written;
        // What is written is dropped once it is the larger part, so that each byte is moved at most once more.
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// Gives memory back if nothing waits.
    pub(crate) fn rest(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Notes that `bytes` were added which the peer provoked.
    pub(crate) fn note_answer(&mut self, bytes: usize) {
        self.answers += bytes;
    }

    /// Bytes of provoked answers that wait.
    pub(crate) fn answers(&self) -> usize {
        self.answers
    }
}
