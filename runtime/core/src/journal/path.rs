//! Identity of a step in 128 bits: the names from the outside in, each with its ordinal among
//! siblings of the same name.
//!
//! The bits are part of `Idempotency-Key`s and select random streams, so the computation never
//! changes. The guest chooses the names: if it could steer the digest, one step could impersonate
//! another, hence SHA-256.

use sha2::Digest as _;

/// A step's path, or the empty path outside of all steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct StepPath(u128);

/// A name under a path: all steps that differ only by their ordinal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct StepName(u128);

/// Multiplier for ordinals. It is odd, so that ordinals of one name never collide; its bits (the
/// golden ratio) spread them over the whole range.
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

    /// The id by which the guest names the step while it is open: equal in every replay.
    pub(super) const fn id(self) -> u32 {
        (self.0 >> 96) as u32
    }

    /// The bits that key the map of completed steps.
    pub(super) const fn low(self) -> u64 {
        self.0 as u64
    }

    /// Bits that are not part of [`Self::low`].
    pub(super) const fn high(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

impl StepName {
    /// The step with that name and that ordinal, which counts from 1.
    pub(super) const fn nth(self, ordinal: u32) -> StepPath {
        StepPath(self.0.wrapping_add(SPREAD.wrapping_mul(ordinal as u128)))
    }

    /// The key by which ordinals are counted. Two names that share it share their count, in every
    /// replay alike.
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
