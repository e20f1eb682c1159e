//! Ranges of keys.

use std::ops::Bound;

/// A range of keys; each end is included, excluded or open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
}

impl KeyRange {
    /// Returns the range of all keys.
    #[must_use]
    pub fn all() -> Self {
        Self { from: Bound::Unbounded, to: Bound::Unbounded }
    }

    /// Returns the range of the keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        let prefix = prefix.as_ref();
        Self { from: Bound::Included(prefix.to_vec()), to: after_prefix(prefix) }
    }

    /// Returns the range from `from` (included) to `to` (excluded).
    #[must_use]
    pub fn between(from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        Self { from: Bound::Included(from.as_ref().to_vec()), to: Bound::Excluded(to.as_ref().to_vec()) }
    }

    /// Returns the range between two bounds.
    #[must_use]
    pub fn new(from: Bound<Vec<u8>>, to: Bound<Vec<u8>>) -> Self {
        Self { from, to }
    }

    /// Returns the part of this range after `key`, in the direction of reading. A list continues
    /// there from its cursor.
    #[must_use]
    pub fn after(mut self, key: impl AsRef<[u8]>, reverse: bool) -> Self {
        let bound = Bound::Excluded(key.as_ref().to_vec());
        if reverse {
            self.to = bound
        } else {
            self.from = bound
        }
        self
    }

    /// Returns the part of this range up to and including `key`, in the direction of reading.
    pub(super) fn until(mut self, key: &[u8], reverse: bool) -> Self {
        let bound = Bound::Included(key.to_vec());
        if reverse {
            self.from = bound
        } else {
            self.to = bound
        }
        self
    }

    /// Returns the range's ends.
    pub(super) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (self.from.as_ref().map(Vec::as_slice), self.to.as_ref().map(Vec::as_slice))
    }

    /// Whether no key can be in the range. Ordered maps panic on some empty ranges.
    pub(super) fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
            | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
            _ => false,
        }
    }
}

fn after_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX);
    kept.map_or(Bound::Unbounded, |last| {
        let mut end = prefix[..=last].to_vec();
        end[last] += 1;
        Bound::Excluded(end)
    })
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_prefix_range_holds_exactly_the_keys_that_begin_with_it(prefix in prop::collection::vec(250..=255_u8, 0..4), key in prop::collection::vec(250..=255_u8, 0..6)) {
            let span = KeyRange::prefix(&prefix);
            let within = RangeBounds::<[u8]>::contains(&span.bounds(), key.as_slice());
            prop_assert_eq!(within, key.starts_with(&prefix));
        }
    }

    #[test]
    fn a_cursor_excludes_the_part_already_read() {
        let span = KeyRange::between("b", "f");
        assert_eq!(
            span.clone().after("c", false),
            KeyRange::new(Bound::Excluded(b"c".to_vec()), Bound::Excluded(b"f".to_vec()))
        );
        assert!(span.clone().after("f", false).is_empty());
        assert!(span.after("b", true).is_empty());
        assert!(!KeyRange::all().is_empty());
    }
}
