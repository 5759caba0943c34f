//! What is large and needs no framing moves inside the kernel, from socket to socket through a pipe.

use super::{Broken, Pump};
use crate::worker::buffers::Buffers;
use evenly_http1::BodyReader;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// Full reads in a row after which bytes of unknown number move inside the kernel: a pipe pays only for what is large, and
/// small messages are faster by copying.
const FULL_READS: u32 = 4;

/// Fewer bytes at once than this are no bulk any more: copying them is as cheap, and needs no pipe.
const SHORT_SPLICE: u64 = 16 * 1024;

/// Bytes that must be left for a pipe to pay, where their number is known.
const SPLICE_BYTES: u64 = 256 * 1024;

impl Pump {
    /// How much may move inside the kernel now: only what needs no framing, is large, and has a bound or none.
    pub(super) fn splice_bytes(&mut self, buffers: &Buffers) -> Option<u64> {
        let is_watched = self.tee.as_ref().is_some_and(|tee| tee.is_open());
        if self.chunked || self.most_kept > 0 || self.stage.is_some() || is_watched {
            return None;
        }
        let left = match self.body {
            BodyReader::Length { left } => left,
            BodyReader::UntilClose if self.full_reads >= FULL_READS => u64::MAX,
            BodyReader::UntilClose | BodyReader::Chunked(_) | BodyReader::Done => return None,
        };
        if self.pipe.is_none() {
            if left < SPLICE_BYTES {
                return None;
            }
            // Without a pipe (no descriptor left) bytes are copied as before.
            self.pipe = buffers.pipe();
        }
        self.pipe.is_some().then(|| left.min(self.limit.saturating_sub(self.received).saturating_add(1)))
    }

    /// Moves bytes from the source into the pipe.
    pub(super) fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        source: &TcpStream,
        most: u64,
    ) -> Poll<Result<(), Broken>> {
        let Some(pipe) = &mut self.pipe else { return Poll::Ready(Err(Broken::Source)) };
        let n = ready!(pipe.poll_fill(cx, source, most)).map_err(|_| Broken::Source)?;
        if n == 0 {
            self.body.on_eof().map_err(|_| Broken::Source)?;
            self.is_ended = true;
            return Poll::Ready(Ok(()));
        }
        self.received += n;
        if self.received > self.limit {
            return Poll::Ready(Err(Broken::TooLarge));
        }
        if n < SHORT_SPLICE {
            self.full_reads = 0;
        }
        if let BodyReader::Length { left } = &mut self.body {
            *left -= n;
            self.is_ended = *left == 0;
        }
        Poll::Ready(Ok(()))
    }
}
