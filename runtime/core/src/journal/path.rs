//! How a step is known: by the names from the outside in, each with its ordinal among siblings of its name, in 128 bits.
//!
//! The bits end up in `Idempotency-Key`s and pick streams of randomness, so their making never changes. A guest picks the
//! names: a digest that he could steer would let one step stand for another, therefore SHA-256.

use sha2::Digest as _;

/// A step's path, or the empty one of what is in no step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct StepPath(u128);

/// A name under a path: all steps that differ by their ordinal alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct StepName(u128);

/// Odd, so that ordinals of one name never meet; its bits (the golden ratio's) spread them over the whole range.
const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

impl StepPath {
    pub(super) const ROOT: Self = Self(0);

    pub(super) fn named(self, name: &str) -> StepName {
        let digest = sha2::Sha256::new().chain_update(self.0.to_le_bytes()).chain_update(name).finalize();
        let mut cut = [0; 16];
        cut.copy_from_slice(&digest[..16]);
        StepName(u128::from_le_bytes(cut))
    }

    pub(super) const fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// What the guest is given to name the step by while it is open: the same in every replay.
    pub(super) const fn id(self) -> u32 {
        (self.0 >> 96) as u32
    }

    /// What the map of completed steps spreads by.
    pub(super) const fn low(self) -> u64 {
        self.0 as u64
    }

    /// Bits that neither [`Self::low`] holds.
    pub(super) const fn high(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

impl StepName {
    /// The step of that name with that ordinal, which counts from 1.
    pub(super) const fn nth(self, ordinal: u32) -> StepPath {
        StepPath(self.0.wrapping_add(SPREAD.wrapping_mul(ordinal as u128)))
    }

    /// What ordinals are counted by: where two names share it, they share their count, in every replay alike.
    pub(super) const fn short(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_the_same_in_every_release() {
        let path = StepPath::ROOT.named("charge").nth(1).named("pay").nth(3);
        assert_eq!(format!("{:032x}", u128::from_le_bytes(path.to_bytes())), "c4d94695f539e964b551fa36f8edc91c");
    }

    #[test]
    fn names_levels_and_ordinals_each_tell_paths_apart() {
        let (a, b) = (StepPath::ROOT.named("a"), StepPath::ROOT.named("b"));
        let paths = [a.nth(1), a.nth(2), b.nth(1), a.nth(1).named("b").nth(1), b.nth(1).named("a").nth(1)];
        for (i, one) in paths.iter().enumerate() {
            assert!(paths[i + 1..].iter().all(|other| other != one));
        }
    }
}
