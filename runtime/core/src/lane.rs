//! Lanes: named queues of a deployment, each with a maximum number of concurrent runs, in the
//! order of their requests.
//!
//! A run with lanes can be admitted if it is in all of them. It occupies them until it has ended.
//! It enters them one by one, in the order of their names, so that no two runs wait for each
//! other.

use serde::{Deserialize, Serialize};

/// Maximum length of the name of a lane, in bytes.
pub const LANE_NAME_BYTES: usize = 192;
/// Maximum number of lanes of one run.
pub const LANES_OF_RUN: usize = 4;

/// A lane of a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// Name of the lane, unique within the deployment: 1 to [`LANE_NAME_BYTES`] bytes without NUL,
    /// such as `key/HASH`.
    pub name: String,
    /// Maximum number of concurrent runs in it, at least one. The newest request sets the lane's
    /// capacity.
    pub capacity: u32,
}

impl Lane {
    /// Whether the name is valid.
    #[must_use]
    pub fn is_named(&self) -> bool {
        (1..=LANE_NAME_BYTES).contains(&self.name.len()) && !self.name.contains('\0')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_not_empty_not_too_long_and_without_nul() {
        let lane = |name: &str| Lane { name: name.to_owned(), capacity: 1 };
        assert!(lane("key/1").is_named());
        for name in ["", "a\0b", &"x".repeat(LANE_NAME_BYTES + 1)] {
            assert!(!lane(name).is_named(), "{name:?}");
        }
    }
}
