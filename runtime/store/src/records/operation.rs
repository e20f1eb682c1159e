//! Operations: one action on many things, which goes on in the background and survives a restart.

use serde::{Deserialize, Serialize};
use tidemill_core::schedule::Overlap;
use tidemill_core::{DeploymentName, ScheduleName, SubscriptionName, Timestamp};

use super::RunFilter;

/// What is done to each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Tried again.
    Retry,
    /// Told to end.
    Cancel,
    /// Ended at once.
    Terminate,
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationState {
    /// It has runs before it.
    Running,
    /// It is through.
    Done,
    /// It was cancelled before it was through.
    Cancelled,
}

/// What an operation does, and to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Acts on runs.
    Runs {
        /// What is done,
        action: Action,
        /// and to which.
        filter: RunFilter,
    },
    /// Pauses schedules, or lets them go on.
    Schedules {
        /// Why they are paused; none lets them go on.
        pause: Option<String>,
        /// Of this deployment alone.
        deployment: Option<DeploymentName>,
        /// Of deployments with all these labels.
        labels: Vec<(String, String)>,
    },
    /// Makes the runs of a schedule's nominal times in the past.
    Backfill {
        /// The schedule's deployment,
        deployment: DeploymentName,
        /// and its name.
        schedule: ScheduleName,
        /// The first instant of the range,
        start: Timestamp,
        /// and the first after it.
        end: Timestamp,
        /// What each does while runs of the schedule have not ended.
        overlap: Overlap,
    },
    /// Makes a run again for each event that a subscription was given.
    Replay {
        /// The subscription's deployment,
        deployment: DeploymentName,
        /// and its name.
        subscription: SubscriptionName,
        /// Events published at or after this,
        since: Timestamp,
        /// and before this; up to now where it is none.
        until: Option<Timestamp>,
    },
    /// Sets the next times of schedules that wait for a time which the clock showed before it was set back.
    Resync {
        /// Of this deployment alone.
        deployment: Option<DeploymentName>,
        /// Of deployments with all these labels.
        labels: Vec<(String, String)>,
    },
}

/// One action on many things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id, of 1 to 63 bytes; sorts by age where its maker wants lists to.
    pub id: String,
    /// What is done, and to what.
    pub task: Task,
    /// How many things it will find, where that is known before.
    pub total: Option<u64>,
    /// Things that were found so far.
    pub matched: u64,
    /// Those to which it was done.
    pub done: u64,
    /// Those to which it was not, because they were in no state for it, or the overlap policy left them out.
    pub failed: u64,
    /// Where it goes on.
    pub cursor: Option<Vec<u8>>,
    /// Where it stands.
    pub state: OperationState,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was through, or was cancelled.
    pub ended_at: Option<Timestamp>,
}

impl Operation {
    /// One that is asked for `now`, with nothing done yet.
    #[must_use]
    pub fn new(id: impl Into<String>, task: Task, now: Timestamp) -> Self {
        Self {
            id: id.into(),
            task,
            total: None,
            matched: 0,
            done: 0,
            failed: 0,
            cursor: None,
            state: OperationState::Running,
            created_at: now,
            ended_at: None,
        }
    }
}
