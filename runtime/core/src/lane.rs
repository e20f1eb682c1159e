//! Lanes: named queues of a deployment in which at most so many runs go on at a time, in the order in which they were asked for.
//!
//! A run with lanes may be admitted once it is in all of them, and is in them until it has ended. It enters them one after the other
//! in the order of their names, so that no two wait for each other.

use serde::{Deserialize, Serialize};

/// The longest name of a lane, in bytes.
pub const LANE_NAME_BYTES: usize = 192;
/// The most lanes of one run.
pub const LANES_OF_RUN: usize = 4;

/// A lane that a run goes in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// Unique within the deployment, 1 to [`LANE_NAME_BYTES`] bytes without NUL: `key/HASH`.
    pub name: String,
    /// Runs in it at a time, at least one. The run that asked last says how many the lane has.
    pub capacity: u32,
}

impl Lane {
    /// Whether the name is one.
    #[must_use]
    pub fn is_named(&self) -> bool {
        (1..=LANE_NAME_BYTES).contains(&self.name.len()) && !self.name.contains('\0')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_neither_empty_nor_long_nor_does_it_hold_a_nul() {
        let lane = |name: &str| Lane { name: name.to_owned(), capacity: 1 };
        assert!(lane("key/1").is_named());
        for name in ["", "a\0b", &"x".repeat(LANE_NAME_BYTES + 1)] {
            assert!(!lane(name).is_named(), "{name:?}");
        }
    }
}
