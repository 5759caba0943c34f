//! Events: what the packet path tells the control plane, in a bounded queue that never makes the teller wait.

use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Events kept while nobody asks for them. A pool of thousands of endpoints going down at once fits; a control plane
/// that is stuck for longer loses the oldest, as the newest say how things are.
const CAPACITY: usize = 4096;

/// How much an event matters, in the words of Python's `logging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As expected.
    Info,
    /// Something works less well.
    Warning,
    /// Something does not work.
    Error,
}

/// Something that happened. Its JSON is what `Dataplane.events` of `_native.pyi` states.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Unix seconds.
    pub time: f64,
    /// How much it matters.
    pub level: Level,
    /// What it is about.
    #[serde(flatten)]
    pub subject: Subject,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Subject {
    /// An endpoint changed its state.
    Endpoint {
        /// The pool's name.
        pool: String,
        /// The endpoint's address.
        endpoint: String,
        /// The state before.
        from: &'static str,
        /// The state now.
        to: &'static str,
        /// Why; empty when there is nothing to explain.
        reason: String,
    },
    /// A pool's or an endpoint's circuit breaker changed its state.
    Circuit {
        /// The pool's name.
        pool: String,
        /// The endpoint's address, if it is an endpoint's.
        #[serde(skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
        /// The state before.
        from: &'static str,
        /// The state now.
        to: &'static str,
        /// Why.
        reason: String,
    },
    /// A zone was evacuated, or is back.
    Zone {
        /// Its name.
        zone: String,
        /// What it was before.
        from: &'static str,
        /// What it is now.
        to: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A client asks for a name that no certificate has, and that may get one on demand.
    Name {
        /// In lower case.
        name: String,
    },
    /// A line for the log.
    Message {
        /// The line.
        message: String,
    },
}

impl Event {
    /// An event that happens now.
    pub fn new(level: Level, subject: Subject) -> Self {
        Self { time: unix_seconds(), level, subject }
    }

    /// A line for the log, now.
    pub fn message(level: Level, message: impl Into<String>) -> Self {
        Self::new(level, Subject::Message { message: message.into() })
    }
}

/// The wall clock, in seconds since 1970.
pub fn unix_seconds() -> f64 {
    // A clock before 1970 is wrong anyway; 0 shows it.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The queue between the packet path's threads and whoever reads the events.
#[derive(Debug, Default)]
pub struct Events {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    dropped: u64,
    closed: bool,
}

impl Events {
    /// Adds an event; at the bound the oldest is dropped and counted.
    pub fn push(&self, event: Event) {
        let mut queue = self.lock();
        if queue.events.len() == CAPACITY {
            queue.events.pop_front();
            queue.dropped += 1;
        }
        queue.events.push_back(event);
        drop(queue);
        self.changed.notify_all();
    }

    /// Waits for events and takes all there are; none when `timeout` passes or the queue is closed.
    pub fn wait(&self, timeout: Duration) -> Vec<Event> {
        // The sum must not overflow; who waits for a day asks again.
        let deadline = Instant::now() + timeout.min(Duration::from_secs(86_400));
        let mut queue = self.lock();
        while queue.events.is_empty() && !queue.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Vec::new();
            }
            queue = self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.events.drain(..).collect()
    }

    /// Ends all waiting, now and later, so that a reader does not hold up the process's end.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Events that were dropped at the bound since the start.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A thread that panicked while holding it left the queue whole: every change is one push or one drain.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn events_have_the_documented_json() {
        let endpoint = Event {
            time: 1.5,
            level: Level::Warning,
            subject: Subject::Endpoint {
                pool: "app".into(),
                endpoint: "10.0.0.1:80".into(),
                from: "healthy",
                to: "unhealthy",
                reason: "connect: connection refused".into(),
            },
        };
        assert_eq!(
            serde_json::to_value(endpoint).unwrap(),
            serde_json::json!({"time": 1.5, "level": "warning", "event": "endpoint", "pool": "app",
                "endpoint": "10.0.0.1:80", "from": "healthy", "to": "unhealthy",
                "reason": "connect: connection refused"})
        );
        let (from, to) = ("closed", "open");
        let (pool, endpoint, reason) = ("app".into(), None, "60% of 20 requests failed".into());
        let circuit = Subject::Circuit { pool, endpoint, from, to, reason };
        assert_eq!(
            serde_json::to_value(Event { time: 1.5, level: Level::Warning, subject: circuit }).unwrap(),
            serde_json::json!({"time": 1.5, "level": "warning", "event": "circuit", "pool": "app",
                "from": "closed", "to": "open", "reason": "60% of 20 requests failed"})
        );
        let message = serde_json::to_value(Event::message(Level::Error, "disk full")).unwrap();
        assert_eq!((&message["event"], &message["message"]), (&"message".into(), &"disk full".into()));
        assert!(message["time"].as_f64().unwrap() > 1.6e9);
    }

    #[test]
    fn at_the_bound_the_oldest_are_dropped_and_counted() {
        let events = Events::default();
        for n in 0..CAPACITY + 2 {
            events.push(Event::message(Level::Info, n.to_string()));
        }
        let taken = events.wait(Duration::ZERO);
        assert_eq!((taken.len(), events.dropped()), (CAPACITY, 2));
        assert_eq!(taken[0].subject, Subject::Message { message: "2".into() });
        assert!(events.wait(Duration::ZERO).is_empty());
    }

    #[test]
    fn a_waiting_reader_wakes_for_an_event_and_for_the_end() {
        let events = Arc::new(Events::default());
        let (reader, ready) = (Arc::clone(&events), Arc::new(std::sync::Barrier::new(2)));
        let started = Arc::clone(&ready);
        let thread = std::thread::spawn(move || {
            started.wait();
            (reader.wait(Duration::from_secs(60)).len(), reader.wait(Duration::from_secs(60)).len())
        });
        ready.wait();
        events.push(Event::message(Level::Info, "one"));
        events.close();
        assert_eq!(thread.join().unwrap(), (1, 0));
    }
}
