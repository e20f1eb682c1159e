//! Lanes: named queues of a deployment in which at most so many runs go on at a time, in the order in which they were asked for.
//!
//! A run with lanes may be admitted once it is in all of them. It enters them one after the other, those that it keeps to its
//! end first: whoever is in a lane that is given back early waits for no other, so that no cycle can be, over a retry neither.

use serde::{Deserialize, Serialize};

use crate::run::RunState;

/// The longest name of a lane, in bytes.
pub const LANE_NAME_BYTES: usize = 192;
/// The most lanes of one run.
pub const LANES_OF_RUN: usize = 4;

/// A lane that a run goes in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// Unique within the deployment, 1 to [`LANE_NAME_BYTES`] bytes without NUL: `key/HASH`.
    pub name: String,
    /// Runs in it at a time, at least one. The run that asked last says how many the lane has.
    pub capacity: u32,
    /// When the run leaves it.
    pub until: LaneUntil,
}

/// When a run leaves a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LaneUntil {
    /// When it has ended: while it is parked it is in the lane.
    Ended,
    /// When it has ended or is parked. Tried again, it asks for the lane again.
    Settled,
}

impl Lane {
    /// Whether a run in that state has no more business in the lane.
    #[must_use]
    pub const fn is_over(&self, state: &RunState) -> bool {
        match self.until {
            LaneUntil::Ended => state.has_ended(),
            LaneUntil::Settled => state.is_settled(),
        }
    }

    /// Whether the name is one.
    #[must_use]
    pub fn is_named(&self) -> bool {
        (1..=LANE_NAME_BYTES).contains(&self.name.len()) && !self.name.contains('\0')
    }
}

/// Puts lanes into the order in which they are entered.
pub fn in_order(lanes: &mut [Lane]) {
    lanes.sort_by(|one, other| (one.until, &one.name).cmp(&(other.until, &other.name)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    fn lane(name: &str, until: LaneUntil) -> Lane {
        Lane { name: name.to_owned(), capacity: 1, until }
    }

    #[test]
    fn what_is_kept_longest_is_entered_first() {
        let mut lanes = [
            lane("schedule/b", LaneUntil::Settled),
            lane("key/b", LaneUntil::Ended),
            lane("schedule/a", LaneUntil::Settled),
        ];
        in_order(&mut lanes);
        let names: Vec<_> = lanes.iter().map(|lane| lane.name.as_str()).collect();
        assert_eq!(names, ["key/b", "schedule/a", "schedule/b"]);
    }

    #[test]
    fn a_parked_run_keeps_what_it_has_to_its_end_and_nothing_else() {
        let parked = RunState::Parked(Failure::new("x", "y"));
        assert!(!lane("a", LaneUntil::Ended).is_over(&parked));
        assert!(lane("a", LaneUntil::Settled).is_over(&parked));
        assert!(lane("a", LaneUntil::Ended).is_over(&RunState::Cancelled));
        assert!(!lane("a", LaneUntil::Settled).is_over(&RunState::Suspended));
    }

    #[test]
    fn a_name_is_neither_empty_nor_long_nor_does_it_hold_a_nul() {
        assert!(lane("key/1", LaneUntil::Ended).is_named());
        for name in ["", "a\0b", &"x".repeat(LANE_NAME_BYTES + 1)] {
            assert!(!lane(name, LaneUntil::Ended).is_named(), "{name:?}");
        }
    }
}
