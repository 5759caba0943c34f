//! Waiting for a moment, to the millisecond: for what is too rare for a [`Deadline`](super::deadlines::Deadline), or
//! cannot do with its resolution.
//!
//! tokio's timers would do as well, but a runtime that has them looks for the next one whenever it parks, which with one
//! busy connection is once a request. Here one timer of the kernel is armed for whoever is due first.

use crate::descriptor::watch;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// A worker's alarm clock.
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
    /// Whoever is due first is last. Not a tree: the ticks come and go here, and are not to allocate.
    sleepers: RefCell<Vec<(Place, Waker)>>,
    /// Sleeps so far.
    count: Cell<u64>,
}

/// When, and a number that tells apart those who are due at once.
type Place = (Instant, u64);

impl Alarm {
    /// A clock that rings for nobody yet. Must be called within the worker's runtime.
    ///
    /// # Errors
    /// The system gives no more descriptors.
    pub fn new() -> io::Result<Self> {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self { timer: watch(timer)?, sleepers: RefCell::default(), count: Cell::new(0) })
    }

    /// Over once `pause` is, never before.
    pub fn sleep(self: &Rc<Self>, pause: Duration) -> Sleep {
        let number = self.count.get();
        self.count.set(number + 1);
        Sleep { alarm: Rc::clone(self), place: (Instant::now() + pause, number) }
    }

    /// What comes of `work`; `None` if it is not done within `limit`.
    pub async fn within<F: Future>(self: &Rc<Self>, limit: Duration, work: F) -> Option<F::Output> {
        let mut sleep = self.sleep(limit);
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending => Pin::new(&mut sleep).poll(cx).map(|()| None),
        })
        .await
    }

    /// Wakes the sleepers when they are due, for ever. One task of the worker does.
    pub async fn ring(self: Rc<Self>) {
        while let Ok(mut guard) = self.timer.readable().await {
            guard.clear_ready();
            // How often it expired is of no interest; an error only says that it did not.
            let _ = rustix::io::read(self.timer.get_ref(), &mut [0_u8; 8]);
            let now = Instant::now();
            while let Some(sleeper) = self.take_due(now) {
                sleeper.wake();
            }
            self.arm();
        }
    }

    fn take_due(&self, now: Instant) -> Option<Waker> {
        self.sleepers.borrow_mut().pop_if(|(place, _)| place.0 <= now).map(|(_, sleeper)| sleeper)
    }

    fn put(&self, place: Place, sleeper: Waker) {
        let mut sleepers = self.sleepers.borrow_mut();
        match sleepers.binary_search_by(|(other, _)| place.cmp(other)) {
            Ok(at) => sleepers[at].1 = sleeper,
            Err(at) => sleepers.insert(at, (place, sleeper)),
        }
        let is_first = sleepers.last().is_some_and(|(first, _)| *first == place);
        drop(sleepers);
        if is_first {
            self.arm();
        }
    }

    fn remove(&self, place: Place) {
        let mut sleepers = self.sleepers.borrow_mut();
        if let Ok(at) = sleepers.binary_search_by(|(other, _)| place.cmp(other)) {
            sleepers.remove(at);
        }
    }

    /// Sets the timer for whoever is due first.
    fn arm(&self) {
        let Some(due) = self.sleepers.borrow().last().map(|(place, _)| place.0) else { return };
        // Zero would disarm it.
        let rest = due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let value = Timespec {
            tv_sec: i64::try_from(rest.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: rest.subsec_nanos().into(),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once)
            .expect("a timer takes any time that is not negative");
    }
}

/// Somebody who waits.
pub struct Sleep {
    alarm: Rc<Alarm>,
    place: Place,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.place.0 {
            return Poll::Ready(());
        }
        self.alarm.put(self.place, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.alarm.remove(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `work` on a runtime as a worker has it, beside the task that rings.
    fn with_alarm<F: Future>(work: impl FnOnce(Rc<Alarm>) -> F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build_local(Default::default())
            .unwrap();
        runtime.block_on(async {
            let alarm = Rc::new(Alarm::new().unwrap());
            tokio::task::spawn_local(Rc::clone(&alarm).ring());
            work(alarm).await
        })
    }

    #[test]
    fn sleepers_wake_in_their_order_and_never_early() {
        let woken = with_alarm(async |alarm| {
            let woken = Rc::new(RefCell::new(Vec::new()));
            let began = Instant::now();
            let tasks = [30, 10, 20, 0].map(|millis| {
                let (alarm, woken) = (Rc::clone(&alarm), Rc::clone(&woken));
                tokio::task::spawn_local(async move {
                    alarm.sleep(Duration::from_millis(millis)).await;
                    assert!(began.elapsed() >= Duration::from_millis(millis));
                    woken.borrow_mut().push(millis);
                })
            });
            for task in tasks {
                task.await.unwrap();
            }
            woken.take()
        });
        assert_eq!(woken, [0, 10, 20, 30]);
    }

    #[test]
    fn work_in_time_is_not_disturbed_and_late_work_is_given_up() {
        with_alarm(async |alarm| {
            assert_eq!(alarm.within(Duration::from_secs(60), async { 7 }).await, Some(7));
            let late = alarm.sleep(Duration::from_secs(60));
            assert_eq!(alarm.within(Duration::from_millis(1), late).await, None);
            assert!(alarm.sleepers.borrow().is_empty(), "who gave up is still waited for");
        });
    }
}
