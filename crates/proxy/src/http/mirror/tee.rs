//! What is laid aside of a body that passes: its bytes or a hash of them, up to a bound.

use evenly_core::route::BodyHash;

/// Looks at a body as it passes. Beyond its bound it lets go of everything, and looks no more.
pub struct Tee {
    left: u64,
    is_open: bool,
    what: What,
}

enum What {
    Bytes(Vec<u8>),
    Hash(BodyHash),
}

impl Tee {
    /// Keeps the bytes.
    pub fn keep(most: u64) -> Self {
        Self { left: most, is_open: true, what: What::Bytes(Vec::new()) }
    }

    /// Hashes the bytes.
    pub fn hash(most: u64) -> Self {
        Self { left: most, is_open: true, what: What::Hash(BodyHash::default()) }
    }

    /// Takes the next piece.
    pub fn take(&mut self, piece: &[u8]) {
        let Some(left) = self.left.checked_sub(piece.len() as u64) else {
            self.is_open = false;
            self.what = What::Bytes(Vec::new());
            return;
        };
        if !self.is_open {
            return;
        }
        self.left = left;
        match &mut self.what {
            What::Bytes(bytes) => bytes.extend_from_slice(piece),
            What::Hash(hash) => hash.take(piece),
        }
    }

    /// Whether it wants to see what comes.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// All bytes; `None` when they were more than the bound.
    pub fn kept(&self) -> Option<&[u8]> {
        match &self.what {
            What::Bytes(bytes) if self.is_open => Some(bytes),
            _ => None,
        }
    }

    /// The hash of all bytes; `None` when they were more than the bound.
    pub fn hash_value(&self) -> Option<u64> {
        match &self.what {
            What::Hash(hash) if self.is_open => Some(hash.value()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_to_its_bound_and_not_beyond() {
        let (mut kept, mut hashed) = (Tee::keep(4), Tee::hash(4));
        for tee in [&mut kept, &mut hashed] {
            tee.take(b"ab");
            tee.take(b"cd");
        }
        assert_eq!(kept.kept(), Some(&b"abcd"[..]));
        assert!(hashed.hash_value().is_some());
        for tee in [&mut kept, &mut hashed] {
            tee.take(b"e");
            tee.take(b"");
            assert!(!tee.is_open());
        }
        assert_eq!((kept.kept(), hashed.hash_value()), (None, None));
    }
}
