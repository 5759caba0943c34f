//! Moves one body, or one direction of a tunnel, from one connection to another through at most one buffer.
//!
//! A pump reads only when what it read before has been written, so that the slower side sets the pace. Bodies are
//! taken out of their framing and framed anew; nothing that the codec has not understood is passed on. What is large
//! and needs no framing moves inside the kernel (`bulk.rs`) once it has shown to be large.

mod broken;
mod bulk;
mod pace;

pub use broken::Broken;
pub use pace::{Pace, Patience};

use crate::compress::Stage;
use crate::http::{Tee, Trailers};
use crate::io;
use crate::splice::Pipe;
use crate::stream::{LITTLE_BYTES, Stream};
use crate::worker::buffers::{Buffer, Buffers, READ_BYTES, Text};
use crate::worker::deadlines::Deadline;
use evenly_http1::BodyReader;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Reads of one turn, after which the worker's other connections come first: at most 4 MiB, some 2 ms.
const TURN_READS: u32 = 4;

/// A body on its way, with the head that goes before it.
pub struct Pump {
    head: Option<Text>,
    sent: usize,
    buffer: Option<Buffer>,
    pipe: Option<Pipe>,
    full_reads: u32,
    body: BodyReader,
    /// Whether the receiving side gets chunks.
    chunked: bool,
    /// Whether that is known; until then what was taken waits as it is.
    is_framing: bool,
    is_ended: bool,
    limit: u64,
    pace: Pace,
    /// Bytes up to which all that goes to the sink is kept in `head`, for another sink; 0: nothing is.
    most_kept: usize,
    /// What looks at the body as it passes. Bytes that move inside the kernel cannot be seen, so they do not as long as it
    /// looks.
    pub tee: Option<Box<Tee>>,
    /// What compresses the body on its way, if anything does.
    pub stage: Option<Box<Stage>>,
    /// The trailers, where the receiving side takes them; otherwise they are dropped.
    pub trailers: Option<Trailers>,
    /// What came behind the body's end.
    pub excess: Option<Buffer>,
    /// Body bytes taken from the source.
    pub received: u64,
    /// Bytes written to the sink.
    pub written: u64,
}

/// How a body is pumped.
pub struct Course {
    /// How it is framed where it comes from.
    pub body: BodyReader,
    /// Whether it gets chunks where it goes.
    pub chunked: bool,
    /// Bytes that it may have; `u64::MAX` for no limit.
    pub limit: u64,
    /// The source's and the sink's patience.
    pub pace: Pace,
}

impl Pump {
    /// A pump that sends `head` first, then the body.
    pub fn new(head: Option<Text>, course: Course) -> Self {
        let Course { body, chunked, limit, pace } = course;
        let is_ended = body.is_done();
        Self {
            head,
            sent: 0,
            buffer: None,
            pipe: None,
            full_reads: 0,
            body,
            chunked,
            is_framing: true,
            is_ended,
            limit,
            pace,
            most_kept: 0,
            tee: None,
            stage: None,
            trailers: None,
            excess: None,
            received: 0,
            written: 0,
        }
    }

    /// A pump of which [`Pump::lead`] will say how the body is framed where it goes.
    pub fn unframed(course: Course) -> Self {
        Self { is_framing: false, ..Self::new(None, course) }
    }

    /// Takes bytes that were read from the source: what belongs to the body is framed for the sink.
    pub fn take(&mut self, mut buffer: Buffer) -> Result<(), Broken> {
        buffer.compact();
        let taken = match &mut self.trailers {
            None => self.body.take(&mut buffer),
            Some(trailers) => {
                self.body.take_all(&mut buffer, &mut |piece| trailers.lines.extend_from_slice(piece))
            }
        };
        let taken = taken.map_err(|_| Broken::Framing)?;
        self.received += taken.data as u64;
        self.is_ended = taken.done;
        if self.received > self.limit {
            return Err(Broken::TooLarge);
        }
        if taken.consumed < buffer.len() {
            self.excess = Some(behind(&buffer, taken.consumed));
        }
        buffer.truncate(taken.data);
        if let Some(tee) = &mut self.tee {
            tee.take(&buffer);
        }
        if let Some(stage) = &mut self.stage {
            stage.give(buffer, taken.done);
            return Ok(());
        }
        if !self.is_framing {
            self.buffer = Some(buffer);
            return Ok(());
        }
        self.frame(buffer);
        self.keep_buffer();
        Ok(())
    }

    /// Frames what is in `buffer`, at its front, for the sink.
    fn frame(&mut self, mut buffer: Buffer) {
        match &mut self.trailers {
            _ if !self.chunked => {}
            Some(trailers) if self.is_ended => {
                buffer.frame(false);
                buffer.end_chunks(trailers.passing());
            }
            _ => buffer.frame(self.is_ended),
        }
        self.buffer = (!buffer.is_empty()).then_some(buffer);
    }

    /// Gives the pump the head that goes before the body, with what of the body was kept behind it. `chunked`: the sink
    /// gets chunks, and so is what was kept.
    pub fn lead(&mut self, head: Text, chunked: bool) {
        self.head = Some(head);
        self.chunked = chunked;
        if !std::mem::replace(&mut self.is_framing, true)
            && let Some(buffer) = self.buffer.take()
        {
            self.frame(buffer);
        }
        self.keep_buffer();
    }

    /// Whether what was kept is in chunks.
    pub fn is_chunked(&self) -> bool {
        self.chunked
    }

    /// From here on all that goes to the sink is kept, as long as that is no more than `most` bytes.
    pub fn keep(&mut self, most: usize) {
        self.most_kept = most;
    }

    /// Whether everything can be sent to another sink: it was all kept, or none of it was sent.
    pub fn is_repeatable(&self) -> bool {
        self.most_kept > 0 || (self.head.is_none() && self.written == 0)
    }

    /// Takes out all that went to the sink, and what was to follow at once: what [`Pump::lead`] takes for the next one.
    pub fn rewind(&mut self) -> Option<Text> {
        let kept = self.head.take().filter(|_| self.most_kept > 0);
        self.sent = 0;
        kept
    }

    /// Moves what is in the buffer behind what is kept, from where it is sent too.
    fn keep_buffer(&mut self) {
        let (Some(head), Some(buffer)) = (&mut self.head, &self.buffer) else { return };
        if self.most_kept == 0 {
            return;
        }
        if head.len() + buffer.len() > self.most_kept {
            self.most_kept = 0;
            return;
        }
        head.extend_from_slice(buffer);
        self.buffer = None;
    }

    /// What it waits for may take its time anew: something moved the other way.
    pub fn stir(&mut self, deadline: &Deadline) {
        self.pace.moved(deadline);
    }

    /// When the pump wants to be polled again at the latest, as a tick.
    pub fn due(&self) -> u64 {
        self.stage.as_ref().map_or(u64::MAX, |stage| stage.due()).min(self.pace.due())
    }

    /// Moves what can be moved. Ready when the whole body is written, or never will be.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        (source, sink): (&mut Stream, &mut Stream),
        buffers: &Rc<Buffers>,
        deadline: &Deadline,
    ) -> Poll<Result<(), Broken>> {
        let mut reads = 0;
        // Compressing a buffer takes as long as passing on some ten.
        let turn = if self.stage.is_some() { 0 } else { TURN_READS };
        loop {
            if let Some(stage) = self.stage.as_mut().filter(|stage| self.buffer.is_none() && stage.has_work())
            {
                self.buffer = stage.make()?;
            }
            match self.poll_flush(cx, sink, deadline) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Sink)),
                Poll::Pending => {
                    self.hold(sink);
                    return self.wait_for_sink(deadline);
                }
            }
            if self.stage.as_ref().is_some_and(|stage| stage.has_work()) {
                continue;
            }
            if self.is_ended {
                return match self.poll_end(cx, source, sink) {
                    Poll::Ready(ended) => Poll::Ready(ended.map_err(|_| Broken::Sink)),
                    Poll::Pending if self.pace.is_late(deadline, false, self.written) => {
                        Poll::Ready(Err(Broken::SinkLate))
                    }
                    Poll::Pending => Poll::Pending,
                };
            }
            // What has to be sealed or opened cannot move inside the kernel.
            let plain = source.plain().filter(|_| sink.plain().is_some());
            let filled = match plain.and_then(|plain| Some((plain, self.splice_bytes(buffers)?))) {
                Some((plain, most)) => self.poll_splice(cx, plain, most),
                None => match sink.appetite() {
                    0 => {
                        sink.wait(cx);
                        return self.wait_for_sink(deadline);
                    }
                    most => self.poll_read(cx, source, buffers, most),
                },
            };
            match filled {
                Poll::Ready(Ok(())) if reads < turn => {
                    reads += 1;
                    self.pace.moved(deadline);
                }
                Poll::Ready(Ok(())) => {
                    self.pace.moved(deadline);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
                Poll::Pending if self.stage.as_mut().is_some_and(|stage| stage.pauses(deadline)) => {}
                Poll::Pending if self.pace.is_late(deadline, true, self.received) => {
                    return Poll::Ready(Err(Broken::SourceLate));
                }
                Poll::Pending => {
                    // It is empty now, and others may need it while this source is silent.
                    self.pipe = None;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Pending until the sink takes something, if it is not too late for that.
    fn wait_for_sink(&mut self, deadline: &Deadline) -> Poll<Result<(), Broken>> {
        let is_late = self.pace.is_late(deadline, false, self.written);
        if is_late { Poll::Ready(Err(Broken::SinkLate)) } else { Poll::Pending }
    }

    /// What a sink does not take that shares its connection is held in little memory.
    fn hold(&mut self, sink: &Stream) {
        let is_little = |buffer: &&mut Buffer| buffer.len() <= 4 * LITTLE_BYTES;
        if let Some(buffer) =
            self.buffer.as_mut().filter(|buffer| sink.frames_messages() && is_little(buffer))
        {
            buffer.shrink();
        }
    }

    /// Reads at most so many bytes into a buffer and frames them.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Stream,
        buffers: &Rc<Buffers>,
        most: usize,
    ) -> Poll<Result<(), Broken>> {
        let buffer = ready!(io::poll_read_some(source, cx, buffers, most)).map_err(|_| Broken::Source)?;
        self.full_reads = if buffer.len() == READ_BYTES { self.full_reads + 1 } else { 0 };
        if buffer.is_empty() {
            self.take_trailers(source);
        }
        Poll::Ready(if buffer.is_empty() { self.end_of_stream(buffer) } else { self.take(buffer) })
    }

    /// The source closed: the end of a body that only ends so, and a truncation of any other.
    fn end_of_stream(&mut self, mut empty: Buffer) -> Result<(), Broken> {
        self.body.on_eof().map_err(|_| Broken::Source)?;
        self.is_ended = true;
        if let Some(stage) = &mut self.stage {
            stage.give(empty, true);
        } else if self.chunked {
            empty.end_chunks(self.trailers.as_mut().map_or(&[], Trailers::passing));
            self.buffer = Some(empty);
            self.keep_buffer();
        }
        Ok(())
    }

    /// Writes the head and what is in the buffer, in as few calls as the sink allows.
    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut Stream,
        deadline: &Deadline,
    ) -> Poll<std::io::Result<()>> {
        loop {
            let head = self.head.as_ref().map_or(&[][..], |head| &head[self.sent..]);
            let body = self.buffer.as_deref().unwrap_or_default();
            let written = match (head.is_empty(), body.is_empty()) {
                (true, true) => break,
                (true, false) => io::poll_write(sink, cx, body),
                (false, true) => io::poll_write(sink, cx, head),
                (false, false) => io::poll_write_both(sink, cx, head, body),
            };
            let n = ready!(written)?;
            if n == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.pace.moved(deadline);
            self.wrote(n);
        }
        while let (Some(pipe), Some(sink)) =
            (self.pipe.as_mut().filter(|pipe| !pipe.is_empty()), sink.plain())
        {
            self.written += ready!(pipe.poll_drain(cx, sink))?;
            self.pace.moved(deadline);
        }
        Poll::Ready(Ok(()))
    }

    /// The body is through: tells a sink whose messages do not say so themselves, with the trailers that came behind it.
    #[inline]
    fn poll_end(
        &mut self,
        cx: &Context<'_>,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> Poll<std::io::Result<()>> {
        self.take_trailers(source);
        if !sink.frames_messages() {
            return Poll::Ready(Ok(()));
        }
        let lines = self.trailers.as_mut().map(Trailers::passing).filter(|lines| !lines.is_empty());
        if lines.is_some() {
            // They are not kept.
            self.most_kept = 0;
        }
        sink.poll_finish(cx, lines)
    }

    /// Takes what came behind the body of a message that ends by itself.
    #[inline]
    fn take_trailers(&mut self, source: &mut Stream) {
        if let (Some(lines), Some(trailers)) = (source.trailers(), &mut self.trailers) {
            trailers.lines.extend_from_slice(&lines);
        }
    }

    fn wrote(&mut self, n: usize) {
        self.written += n as u64;
        let of_head = self.head.as_ref().map_or(0, |head| (head.len() - self.sent).min(n));
        self.sent += of_head;
        if self.most_kept == 0 && self.head.as_ref().is_some_and(|head| self.sent == head.len()) {
            self.head = None;
            self.sent = 0;
        }
        if let Some(buffer) = &mut self.buffer {
            buffer.consume(n - of_head);
            if buffer.is_empty() {
                self.buffer = None;
            }
        }
    }
}

/// A copy of what lies behind the first `n` bytes; these are few, or the peer pipelines, and then it pays.
fn behind(buffer: &Buffer, n: usize) -> Buffer {
    let mut rest = buffer.lend_another();
    let bytes = &buffer[n..];
    rest.room()[..bytes.len()].copy_from_slice(bytes);
    rest.filled(bytes.len());
    rest
}
