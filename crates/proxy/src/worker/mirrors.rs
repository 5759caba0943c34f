//! How many copies of requests are under way, by route: more than a route allows are dropped.

use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::rc::Rc;

/// Counts of one worker, by the route's number; routes without any are not in it.
#[derive(Default)]
pub struct Mirrors {
    under_way: RefCell<FxHashMap<u32, u32>>,
}

/// One copy under way; counts itself out when dropped.
pub struct Slot {
    route: u32,
    all: Rc<Mirrors>,
}

impl Mirrors {
    /// A place for one more copy of a route; `None` when `most` are under way.
    pub fn admit(self: &Rc<Self>, route: u32, most: u32) -> Option<Slot> {
        let mut under_way = self.under_way.borrow_mut();
        let count = under_way.entry(route).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Slot { route, all: Rc::clone(self) })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut under_way = self.all.under_way.borrow_mut();
        if let Some(count) = under_way.get_mut(&self.route) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.route);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_allowed_at_once() {
        let mirrors = Rc::new(Mirrors::default());
        let slots = [mirrors.admit(7, 2), mirrors.admit(7, 2)];
        assert!(slots.iter().all(Option::is_some) && mirrors.admit(7, 2).is_none());
        assert!(mirrors.admit(8, 1).is_some());
        drop(slots);
        assert!(mirrors.admit(7, 2).is_some());
        assert!(mirrors.under_way.borrow().is_empty());
    }
}
