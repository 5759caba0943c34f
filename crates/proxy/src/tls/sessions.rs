//! Sessions that are remembered here, on listeners that take early data. It is good once only, which takes a memory of
//! what was used (RFC 8446 §8.1): a ticket that carries its session by itself could be used again, here and on other nodes.
//!
//! The memory is the process's own. Other nodes, and a successor, do not know its sessions: clients agree on new ones there, and their
//! early data is refused.

use rustls::server::StoresServerSessions;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Each with a lock of its own, so that workers hardly ever meet.
const SETS: usize = 4096;

/// Sessions of one set. A session has some 250 bytes, so that all of a listener take at most about 10 MB.
const SET: usize = 8;

/// As long as rustls tells clients that they may come back.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The sessions of one listener.
pub struct Sessions {
    sets: Box<[Mutex<Vec<Session>>]>,
    forgotten: AtomicU64,
}

struct Session {
    id: Vec<u8>,
    value: Vec<u8>,
    until: Instant,
}

impl Sessions {
    /// None yet.
    pub fn new() -> Self {
        Self { sets: (0..SETS).map(|_| Mutex::default()).collect(), forgotten: AtomicU64::new(0) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sets.iter().map(|set| lock(set).len()).sum()
    }

    /// How many had to make room for others.
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// The set of an id. rustls draws ids, so that they spread by themselves; what clients make up is only looked for.
    fn set(&self, id: &[u8]) -> Option<MutexGuard<'_, Vec<Session>>> {
        let (place, _) = id.split_first_chunk()?;
        Some(lock(&self.sets[usize::from(u16::from_be_bytes(*place)) % SETS]))
    }

    fn keep(&self, session: Session, now: Instant) -> bool {
        let Some(mut set) = self.set(&session.id) else { return false };
        set.retain(|kept| kept.until > now);
        if set.len() == SET {
            set.remove(0);
            self.forgotten.fetch_add(1, Ordering::Relaxed);
        }
        set.push(session);
        true
    }
}

fn lock(set: &Mutex<Vec<Session>>) -> MutexGuard<'_, Vec<Session>> {
    // Changed by whole calls, so a panic of the lock's holder leaves it usable.
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StoresServerSessions for Sessions {
    fn put(&self, id: Vec<u8>, value: Vec<u8>) -> bool {
        let now = Instant::now();
        self.keep(Session { id, value, until: now + LIFETIME }, now)
    }

    /// For TLS 1.2, which has no early data and where a session is resumed more than once.
    fn get(&self, id: &[u8]) -> Option<Vec<u8>> {
        let set = self.set(id)?;
        let session = set.iter().find(|kept| kept.id == id && kept.until > Instant::now())?;
        Some(session.value.clone())
    }

    /// For TLS 1.3: whoever comes second finds nothing.
    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        let mut set = self.set(id)?;
        let place = set.iter().position(|kept| kept.id == id)?;
        let session = set.remove(place);
        (session.until > Instant::now()).then_some(session.value)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_taken_once() {
        let sessions = Sessions::new();
        assert!(sessions.put(vec![1, 2, 3], vec![9]));
        assert_eq!(sessions.get(&[1, 2, 3]), Some(vec![9]));
        assert_eq!(sessions.take(&[1, 2, 3]), Some(vec![9]));
        assert_eq!(sessions.take(&[1, 2, 3]), None);
        assert_eq!((sessions.take(&[]), sessions.take(&[1, 2]), sessions.get(&[7; 32])), (None, None, None));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_makes_room() {
        let sessions = Sessions::new();
        // All of one set.
        for number in (0..).take(SET + 1) {
            assert!(sessions.put(vec![0, 0, number], vec![number]));
        }
        assert_eq!((sessions.count(), sessions.forgotten()), (SET, 1));
        assert_eq!((sessions.take(&[0, 0, 0]), sessions.take(&[0, 0, 1])), (None, Some(vec![1])));
    }

    #[test]
    fn what_is_old_is_gone() {
        let sessions = Sessions::new();
        let now = Instant::now();
        assert!(sessions.keep(Session { id: vec![0, 0, 1], value: vec![1], until: now }, now));
        assert_eq!((sessions.get(&[0, 0, 1]), sessions.take(&[0, 0, 1])), (None, None));
        assert!(sessions.keep(Session { id: vec![0, 0, 1], value: vec![1], until: now }, now));
        sessions.put(vec![0, 0, 2], vec![2]);
        assert_eq!((sessions.count(), sessions.forgotten()), (1, 0));
    }
}
