//! Index of completed steps: maps a step's path to a place in the chunks, with about thirty bytes
//! per step. The newest entries can be removed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use super::path::StepPath;

/// The beginning of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordPlace {
    pub(super) chunk: u32,
    /// Offset in the chunk, below [`OFFSETS`].
    pub(super) offset: u32,
}

/// Upper bound of a record's offset in its chunk, so that the offset and further bits of the path
/// share 32 bits.
pub(super) const OFFSETS: u32 = 1 << OFFSET_BITS;
const OFFSET_BITS: u32 = 14;

#[derive(Debug, Clone, Copy)]
struct CompletedStep {
    chunk: u32,
    /// The offset in the low bits, and bits of the path that are not part of the key above it.
    offset_and_check: u32,
}

impl CompletedStep {
    const fn of(path: StepPath, place: RecordPlace) -> Self {
        Self { chunk: place.chunk, offset_and_check: check(path) | (place.offset & (OFFSETS - 1)) }
    }

    const fn place(self) -> RecordPlace {
        RecordPlace { chunk: self.chunk, offset: self.offset_and_check & (OFFSETS - 1) }
    }

    const fn is(self, path: StepPath) -> bool {
        self.offset_and_check & !(OFFSETS - 1) == check(path)
    }
}

const fn check(path: StepPath) -> u32 {
    (path.high() as u32) & !(OFFSETS - 1)
}

/// Uses the key as the hash: keys are bits of a digest, which need no second hash.
#[derive(Debug, Default, Clone)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// The completed steps, in order of completion.
#[derive(Debug, Clone, Default)]
pub(super) struct CompletedSteps {
    /// Two paths that share 64 bits have consecutive keys. Only the newest entries are ever
    /// removed, so a search meets no gap.
    places: HashMap<u64, CompletedStep, BuildHasherDefault<IdentityHasher>>,
    order: Vec<u64>,
}

impl CompletedSteps {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Reserves space for `more` further steps.
    pub(super) fn reserve(&mut self, more: usize) {
        self.places.reserve(more);
        self.order.reserve(more);
    }

    pub(super) fn find(&self, path: StepPath) -> Option<RecordPlace> {
        let mut key = path.low();
        loop {
            let kept = self.places.get(&key)?;
            if kept.is(path) {
                return Some(kept.place());
            }
            key = key.wrapping_add(1);
        }
    }

    /// Adds a step; returns false if it is present already.
    pub(super) fn add(&mut self, path: StepPath, place: RecordPlace) -> bool {
        let mut key = path.low();
        loop {
            match self.places.entry(key) {
                Entry::Vacant(vacant) => {
                    vacant.insert(CompletedStep::of(path, place));
                    self.order.push(key);
                    return true;
                }
                Entry::Occupied(there) if there.get().is(path) => return false,
                Entry::Occupied(_) => key = key.wrapping_add(1),
            }
        }
    }

    /// Keeps the `len` oldest steps.
    pub(super) fn truncate(&mut self, len: u64) {
        let keep = usize::try_from(len).unwrap_or(usize::MAX).min(self.order.len());
        if keep == 0 {
            *self = Self::default();
            return;
        }
        for key in self.order.drain(keep..).rev() {
            self.places.remove(&key);
        }
    }
}
