//! The streams of a connection.

use crate::message::Exchange;
use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

/// How far one side of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Its (final) head is still to come.
    Head,
    /// Its data may come.
    Body,
    /// It has ended.
    Done,
}

/// Who reset a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    ByPeer,
    ByUs,
}

/// A stream that the application has not finished.
#[derive(Debug)]
pub struct Stream {
    pub id: u32,
    pub remote: Half,
    pub local: Half,
    pub over: Option<Over>,
    pub exchange: Exchange,
    /// What the peer may send. Below zero if SETTINGS took away what was used already.
    pub receive_window: i64,
    /// What was received and not consumed.
    pub unread: u32,
    /// What was consumed, but not yet given back to the peer.
    pub credit: u32,
    /// What may be sent; below zero as above.
    pub send_window: i64,
    /// `send_data` took less than offered because of a window.
    pub is_waiting: bool,
    /// How much data must still come, if the head says so.
    pub content_left: Option<u64>,
    /// What its head counts against [`crate::Limits::held_head_bytes`].
    pub held: u32,
}

/// How a stream that is no more came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Reset by this side: what the peer sent before it knew is ignored.
    Reset,
    /// By both sides' ends, or by the peer's reset: nothing may follow.
    Ended,
}

/// Fates that are remembered at least. Frames that cross our reset are at most a round trip late, and in that time a peer
/// cannot open more than its streams twice.
const REMEMBERED: usize = 256;
/// Marks an identifier, of 31 bits, as reset by this side.
const RESET: u32 = 1 << 31;

/// All of them, in the order of their identifiers.
#[derive(Default)]
pub struct Streams {
    live: VecDeque<Stream>,
    /// The last that are no more, with [`RESET`].
    closed: VecDeque<u32>,
    /// How many of them are remembered.
    remembered: usize,
    /// The sum of `Stream::held`.
    held: usize,
}

impl Streams {
    /// None yet, of which there may be so many at once.
    pub fn new(most: u32) -> Self {
        Self { remembered: REMEMBERED.max(2 * most as usize), ..Self::default() }
    }

    /// More of a stream is held than its head.
    pub fn hold(&mut self, index: usize, bytes: usize) {
        self.live[index].held += u32::try_from(bytes).unwrap_or(u32::MAX);
        self.held += bytes;
    }

    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Where a stream is.
    #[inline]
    pub fn find(&self, id: u32) -> Option<usize> {
        match self.live.back() {
            Some(last) if last.id == id => Some(self.live.len() - 1),
            Some(last) if last.id > id => self.live.binary_search_by_key(&id, |stream| stream.id).ok(),
            _ => None,
        }
    }

    /// Adds a stream, whose identifier is above all others.
    pub fn push(&mut self, stream: Stream) {
        debug_assert!(self.live.back().is_none_or(|last| last.id < stream.id));
        self.held += stream.held as usize;
        self.live.push_back(stream);
    }

    /// Removes a stream and remembers how it ended.
    pub fn remove(&mut self, index: usize, fate: Fate) {
        if let Some(stream) = self.live.remove(index) {
            self.held -= stream.held as usize;
            self.remember(stream.id, fate);
        }
    }

    /// Remembers how a stream ended.
    pub fn remember(&mut self, id: u32, fate: Fate) {
        if self.closed.len() == self.remembered {
            self.closed.pop_front();
        }
        self.closed.push_back(if fate == Fate::Reset { id | RESET } else { id });
    }

    /// How a stream ended, if that is remembered.
    pub fn fate(&self, id: u32) -> Option<Fate> {
        let entry = self.closed.iter().rev().find(|&&entry| entry & !RESET == id)?;
        Some(if entry & RESET != 0 { Fate::Reset } else { Fate::Ended })
    }

    /// What all heads count against [`crate::Limits::held_head_bytes`].
    pub fn held(&self) -> usize {
        self.held
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.live.iter_mut()
    }

    /// Gives back memory.
    pub fn rest(&mut self) {
        if self.live.is_empty() {
            self.live = VecDeque::new();
        }
    }
}

impl Index<usize> for Streams {
    type Output = Stream;

    fn index(&self, index: usize) -> &Stream {
        &self.live[index]
    }
}

impl IndexMut<usize> for Streams {
    fn index_mut(&mut self, index: usize) -> &mut Stream {
        &mut self.live[index]
    }
}
