//! What verifying passwords has found out lately, so that a client does not pay for it with each request.
//!
//! Two generations of bounded size: when the younger is full it becomes the older, whose place it takes. What is asked
//! for in the older moves to the younger. So the table has a bound, forgets what is not used first, and needs no list.

use crate::pool::Nanos;
use rustc_hash::FxHashMap;

/// Stands for one user, one stored hash and one password: a keyed hash of them, so that the table holds nothing from
/// which a password follows, and no client can choose where in the table it lands.
pub type Tag = [u8; 32];

/// A bounded table of verdicts that expire.
#[derive(Debug)]
pub struct Verdicts {
    young: FxHashMap<Tag, Nanos>,
    old: FxHashMap<Tag, Nanos>,
    most: usize,
}

impl Verdicts {
    /// Nothing known yet, and never more than twice `most`.
    pub fn new(most: usize) -> Self {
        Self { young: FxHashMap::default(), old: FxHashMap::default(), most: most.max(1) }
    }

    /// Whether a verdict is held that is still good.
    pub fn holds(&mut self, tag: &Tag, now: Nanos) -> bool {
        if let Some(until) = self.young.get(tag) {
            return now < *until;
        }
        match self.old.remove(tag) {
            Some(until) if now < until => {
                self.put(*tag, until);
                true
            }
            _ => false,
        }
    }

    /// Remembers a verdict.
    pub fn put(&mut self, tag: Tag, until: Nanos) {
        if self.young.len() >= self.most && !self.young.contains_key(&tag) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(tag, until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(number: u16) -> Tag {
        let mut tag = [0; 32];
        tag[..2].copy_from_slice(&number.to_le_bytes());
        tag
    }

    #[test]
    fn a_verdict_holds_until_it_expires() {
        let mut verdicts = Verdicts::new(4);
        verdicts.put(tag(1), 100);
        assert!(verdicts.holds(&tag(1), 99));
        assert!(!verdicts.holds(&tag(1), 100) && !verdicts.holds(&tag(2), 0));
    }

    #[test]
    fn the_table_is_bounded_and_keeps_what_is_used() {
        let mut verdicts = Verdicts::new(8);
        verdicts.put(tag(0), 1000);
        for number in 1..1000 {
            verdicts.put(tag(number), 1000);
            assert!(verdicts.holds(&tag(0), 0), "asked for all the time, forgotten after {number}");
            assert!(verdicts.young.len() + verdicts.old.len() <= 16);
        }
        assert!(!verdicts.holds(&tag(1), 0));
    }
}
