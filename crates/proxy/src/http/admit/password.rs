//! Verifies passwords on a thread beside the worker, and remembers what came of it.

use super::Busy;
use crate::clock::nanos;
use crate::metrics::Password;
use crate::worker::Worker;
use evenly_core::access::{Claim, Tag, Verdicts};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Passwords that wait for a worker's helper at once. At some 50 ms each the last has its verdict within a second; what
/// is beyond is a flood, and gets 503.
const MOST: usize = 16;

/// Verdicts remembered in one generation of each kind, right and wrong: apart, so that guesses push out no user.
const REMEMBERED: usize = 4096;

/// Longer than [`MOST`] verifications of the largest cost that is accepted take on an idle machine.
const LATE: Duration = Duration::from_secs(30);

/// What a worker knows of passwords.
pub struct Passwords {
    /// Of this worker and this process alone: what is remembered is of no use to anybody else.
    key: [u8; 32],
    right: RefCell<Verdicts>,
    wrong: RefCell<Verdicts>,
    /// What is being verified, and who waits for it beside the one who asked first.
    waiting: RefCell<FxHashMap<Tag, Vec<oneshot::Sender<bool>>>>,
}

impl Passwords {
    /// Nothing known yet.
    pub fn new() -> Self {
        let verdicts = || RefCell::new(Verdicts::new(REMEMBERED));
        Self { key: random_key(), right: verdicts(), wrong: verdicts(), waiting: RefCell::default() }
    }

    /// What is known of a claim.
    pub fn look_up(&self, worker: &Worker, claim: &Claim, now: u64) -> Option<bool> {
        let tag = claim.tag(&self.key);
        let verdict = if self.right.borrow_mut().holds(&tag, now) {
            Some(true)
        } else {
            self.wrong.borrow_mut().holds(&tag, now).then_some(false)
        };
        if verdict.is_some() {
            worker.stats.borrow_mut().password(Password::Known);
        }
        verdict
    }

    fn remember(&self, tag: Tag, is_right: bool, until: u64) {
        let verdicts = if is_right { &self.right } else { &self.wrong };
        verdicts.borrow_mut().put(tag, until);
    }
}

/// 32 bytes of the system's randomness. It does not fail on any Linux that has getrandom(2), 3.17 and later.
fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    let drawn = rustix::rand::getrandom(&mut key[..], rustix::rand::GetRandomFlags::empty());
    assert_eq!(drawn, Ok(key.len()), "without random numbers nothing can be kept secret");
    key
}

/// Verifies a claim; the verdict is good for `cache`.
///
/// # Errors
/// Too many wait already.
pub async fn verify(worker: &Rc<Worker>, claim: Claim, cache: Duration) -> Result<bool, Busy> {
    let verdict = match queue(worker, claim.tag(&worker.passwords.key)) {
        Turn::First(place) => place.verify(claim, cache).await,
        // Somebody verifies the very same: a page and all its parts come at once, with one password.
        Turn::Same(answer) => answer.await.map_err(|_| Busy),
        Turn::None => Err(Busy),
    };
    worker.stats.borrow_mut().password(match verdict {
        Ok(true) => Password::Right,
        Ok(false) => Password::Wrong,
        Err(Busy) => Password::Busy,
    });
    verdict
}

/// What is to be done about a password that is not known.
enum Turn {
    /// It is verified now.
    First(Place),
    /// It is being verified already.
    Same(oneshot::Receiver<bool>),
    /// Too many are.
    None,
}

fn queue(worker: &Rc<Worker>, tag: Tag) -> Turn {
    let mut waiting = worker.passwords.waiting.borrow_mut();
    if let Some(others) = waiting.get_mut(&tag) {
        let (sender, answer) = oneshot::channel();
        others.push(sender);
        return Turn::Same(answer);
    }
    if waiting.len() >= MOST {
        return Turn::None;
    }
    waiting.insert(tag, Vec::new());
    Turn::First(Place { worker: Rc::clone(worker), tag })
}

/// A password that is being verified. When it goes without a verdict, so do those who wait for it.
struct Place {
    worker: Rc<Worker>,
    tag: Tag,
}

impl Place {
    async fn verify(self, claim: Claim, cache: Duration) -> Result<bool, Busy> {
        let verifying = tokio::task::spawn_blocking(move || claim.verify());
        let Some(Ok(is_right)) = self.worker.alarm.within(LATE, verifying).await else { return Err(Busy) };
        let passwords = &self.worker.passwords;
        if !cache.is_zero() {
            let until = self.worker.now().saturating_add(nanos(cache));
            passwords.remember(self.tag, is_right, until);
        }
        let others =
            passwords.waiting.borrow_mut().get_mut(&self.tag).map(std::mem::take).unwrap_or_default();
        for other in others {
            // One that has gone needs no answer.
            let _ = other.send(is_right);
        }
        Ok(is_right)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.worker.passwords.waiting.borrow_mut().remove(&self.tag);
    }
}
