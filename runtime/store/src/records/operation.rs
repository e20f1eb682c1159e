//! Operations: background actions on many objects, which survive a restart. Does not execute them.

use serde::{Deserialize, Serialize};
use tidemill_core::schedule::Overlap;
use tidemill_core::{DeploymentName, ScheduleName, SubscriptionName, Timestamp};

use super::{DeliveryFilter, RunFilter};

/// The action on each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Retry.
    Retry,
    /// Cancel; the guest is notified.
    Cancel,
    /// End at once, without notifying the guest.
    Terminate,
}

/// The state of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationState {
    /// Objects are left.
    Running,
    /// All objects are processed.
    Done,
    /// The operation was cancelled before it was done.
    Cancelled,
}

/// The action of an operation, and its objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Acts on runs.
    Runs {
        /// The action.
        action: Action,
        /// The runs.
        filter: RunFilter,
    },
    /// Pauses or resumes schedules.
    Schedules {
        /// The note of the pause; `None` resumes.
        pause: Option<String>,
        /// Only schedules of this deployment; `None` means any.
        deployment: Option<DeploymentName>,
        /// Only schedules of deployments with all these labels.
        labels: Vec<(String, String)>,
    },
    /// Creates the runs of a schedule's past nominal times.
    Backfill {
        /// The deployment of the schedule.
        deployment: DeploymentName,
        /// The schedule.
        schedule: ScheduleName,
        /// The first instant of the range.
        start: Timestamp,
        /// The first instant after the range.
        end: Timestamp,
        /// What each firing does while runs of the schedule have not ended.
        overlap: Overlap,
    },
    /// Delivers past events of a subscription again.
    Replay {
        /// The deployment of the subscription.
        deployment: DeploymentName,
        /// The subscription.
        subscription: SubscriptionName,
        /// Only events published at or after this time.
        since: Timestamp,
        /// Only events published before this time; `None` means up to now.
        until: Option<Timestamp>,
    },
    /// Recomputes the next times of schedules that wait for a time which the clock showed before it
    /// was set back.
    Resync {
        /// Only schedules of this deployment; `None` means any.
        deployment: Option<DeploymentName>,
        /// Only schedules of deployments with all these labels.
        labels: Vec<(String, String)>,
    },
    /// Replays deliveries to hooks.
    Deliveries {
        /// The deliveries.
        filter: DeliveryFilter,
    },
}

/// One background action on many objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id, 1 to 63 bytes. Lists sort by it.
    pub id: String,
    /// The action, and its objects.
    pub task: Task,
    /// The number of objects, if it is known in advance.
    pub total: Option<u64>,
    /// The number of objects found so far.
    pub matched: u64,
    /// The number of objects on which the action succeeded.
    pub done: u64,
    /// The number of objects on which it did not succeed, because their state did not allow it or
    /// the overlap policy excluded them.
    pub failed: u64,
    /// Where to continue.
    pub cursor: Option<Vec<u8>>,
    /// The state.
    pub state: OperationState,
    /// When it was requested.
    pub created_at: Timestamp,
    /// When it was done or cancelled.
    pub ended_at: Option<Timestamp>,
}

impl Operation {
    /// Creates an operation that is requested `now` and has not started.
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
