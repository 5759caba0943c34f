//! Bytes both ways between two sockets: TCP listeners, and HTTP connections after an upgrade.
//!
//! Each direction ends by itself: when one side closes its sending half, the other is told so once all before it is
//! written, and the way back stays open (half-close).

use crate::io;
use crate::pump::{self, Broken, Course, Pace, Pump};
use crate::stream::Stream;
use crate::worker::buffers::{Buffer, Buffers};
use crate::worker::deadlines::Deadline;
use evenly_http1::BodyReader;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both sides closed.
    Closed,
    /// The side named first broke.
    DownstreamBroke,
    /// The other side broke.
    UpstreamBroke,
    /// The client took nothing for too long.
    DownstreamSlow,
    /// No byte in either direction for too long.
    Idle,
}

/// How long a tunnel waits.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For any byte in either direction.
    pub idle: Duration,
    /// The same, once one side has closed its sending half.
    pub half_close: Duration,
    /// For the client to take something of what there is for it.
    pub send: Duration,
}

/// One direction.
pub struct Direction {
    pump: Pump,
    /// The source has closed and everything before that is written; the close itself has to reach the sink.
    is_drained: bool,
    is_closed: bool,
}

impl Direction {
    /// A direction that begins with what was read already. Each may be silent as long as the other is not, so the time
    /// for that is kept by [`relay`] for both; `sink` is the receiving side's own.
    pub fn new(first: Option<Buffer>, sink: Duration) -> Self {
        let pace = Pace::new(pump::Patience::idle(Duration::MAX), pump::Patience::idle(sink));
        let course = Course { body: BodyReader::UntilClose, chunked: false, limit: u64::MAX, pace };
        let mut pump = Pump::new(None, course);
        if let Some(first) = first {
            pump.take(first).expect("bytes without framing cannot be framed wrong");
        }
        Self { pump, is_drained: false, is_closed: false }
    }

    /// Bytes written to the sink.
    pub fn bytes(&self) -> u64 {
        self.pump.written
    }

    /// Moves what can be moved; ready when the source has closed and the sink knows.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        (source, sink): (&mut Stream, &mut Stream),
        buffers: &Rc<Buffers>,
        deadline: &Deadline,
    ) -> Poll<Result<(), Broken>> {
        if !self.is_drained {
            ready!(self.pump.poll(cx, (source, &mut *sink), buffers, deadline))?;
            self.is_drained = true;
        }
        if !self.is_closed {
            ready!(io::poll_shutdown(sink, cx)).map_err(|_| Broken::Sink)?;
            self.is_closed = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// Relays until both directions have closed, one side breaks, or nothing moves for too long.
pub async fn relay(
    (downstream, upstream): (&mut Stream, &mut Stream),
    (up, down): (&mut Direction, &mut Direction),
    buffers: &Rc<Buffers>,
    deadline: &Deadline,
    patience: Patience,
) -> End {
    let mut seen = (up.bytes() + down.bytes(), false);
    let mut due = deadline.at(patience.idle);
    poll_fn(|cx| {
        let first = up.poll(cx, (&mut *downstream, &mut *upstream), buffers, deadline);
        let second = down.poll(cx, (&mut *upstream, &mut *downstream), buffers, deadline);
        match (first, second) {
            (_, Poll::Ready(Err(Broken::SinkLate))) => return Poll::Ready(End::DownstreamSlow),
            (Poll::Ready(Err(Broken::Sink)), _) | (_, Poll::Ready(Err(Broken::Source))) => {
                return Poll::Ready(End::UpstreamBroke);
            }
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(End::DownstreamBroke),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(End::Closed),
            _ => {}
        }
        let now = (up.bytes() + down.bytes(), up.is_closed || down.is_closed);
        if now != seen {
            seen = now;
            due = deadline.at(if now.1 { patience.idle.min(patience.half_close) } else { patience.idle });
        } else if deadline.is_past(due) {
            return Poll::Ready(End::Idle);
        }
        deadline.set_at(due.min(up.pump.due()).min(down.pump.due()));
        Poll::Pending
    })
    .await
}
