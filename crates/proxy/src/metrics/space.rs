//! Counters by dense number: an array with a place for each number, filled when the number is first counted.

/// Values of `T` by the numbers that `evenly_core::ids` gives out.
#[derive(Debug, Clone)]
pub(super) struct Space<T> {
    places: Vec<Option<Box<T>>>,
    /// The numbers in use as of the last [`Space::retain`]; `None` before the first: then all count.
    live: Option<Vec<bool>>,
}

impl<T> Default for Space<T> {
    fn default() -> Self {
        Self { places: Vec::new(), live: None }
    }
}

impl<T: Default> Space<T> {
    /// The value of a number.
    #[inline]
    pub fn at(&mut self, number: u32) -> &mut T {
        let index = number as usize;
        if !matches!(self.places.get(index), Some(Some(_))) {
            self.fill(index);
        }
        self.places[index].as_deref_mut().expect("the place is filled")
    }

    /// Apart, as it happens once for each number.
    #[cold]
    fn fill(&mut self, index: usize) {
        if self.places.len() <= index {
            self.places.resize_with(index + 1, || None);
        }
        self.places[index] = Some(Box::default());
    }

    /// Adds another space's values to this one's.
    pub fn merge(&mut self, other: &Self, add: impl Fn(&mut T, &T)) {
        for (theirs, number) in other.places.iter().zip(0..) {
            if let Some(theirs) = theirs {
                add(self.at(number), theirs);
            }
        }
    }
}

impl<T> Space<T> {
    /// The value of a number, if it was ever counted.
    pub fn get(&self, number: u32) -> Option<&T> {
        self.places.get(number as usize)?.as_deref()
    }

    /// All values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.places.iter_mut().flatten().map(Box::as_mut)
    }

    /// Whether a number was in use at the last [`Space::retain`].
    pub fn is_live(&self, number: u32) -> bool {
        is_live(self.live.as_deref(), number as usize)
    }

    /// Drops the values of numbers that are not in use, or were not until now: those may still have been counted for
    /// what had the number before.
    pub fn retain(&mut self, in_use: impl Iterator<Item = u32>) {
        let mut live = vec![false; self.places.len()];
        for index in in_use.map(|number| number as usize) {
            if live.len() <= index {
                live.resize(index + 1, false);
            }
            live[index] = true;
        }
        for (index, place) in self.places.iter_mut().enumerate() {
            if !live[index] || !is_live(self.live.as_deref(), index) {
                *place = None;
            }
        }
        self.live = Some(live);
    }
}

fn is_live(live: Option<&[bool]>, index: usize) -> bool {
    live.is_none_or(|live| live.get(index).copied().unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_is_forgotten_also_when_it_was_counted_late() {
        let mut space = Space::<u64>::default();
        (*space.at(0), *space.at(2)) = (7, 8);
        space.retain([0].into_iter());
        assert_eq!((space.get(0), space.get(2)), (Some(&7), None));
        *space.at(2) += 1;
        space.retain([0, 2].into_iter());
        assert_eq!((space.get(0), space.get(2)), (Some(&7), None), "2 is something new");
        *space.at(2) += 1;
        space.retain([0, 2].into_iter());
        assert_eq!((space.get(2), space.is_live(2), space.is_live(1)), (Some(&1), true, false));
    }

    #[test]
    fn merging_adds_value_by_value() {
        let (mut one, mut other) = (Space::<u64>::default(), Space::<u64>::default());
        (*one.at(0), *other.at(0), *other.at(3)) = (1, 2, 3);
        one.merge(&other, |mine, theirs| *mine += theirs);
        assert_eq!((one.get(0), one.get(1), one.get(3)), (Some(&3), None, Some(&3)));
    }
}
