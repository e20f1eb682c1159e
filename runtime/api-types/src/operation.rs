//! Operations: actions on many items.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::{DeliveryFilter, RunFilter, ScheduleFilter, Time};

/// One action on many items.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Operation<'a> {
    /// The id of the operation.
    pub id: Cow<'a, str>,
    /// The action and its items.
    #[serde(flatten)]
    pub task: OperationTask<'a>,
    /// `running`, `done` or `cancelled`.
    pub state: Cow<'a, str>,
    /// Number of items that it will find, if known in advance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Number of items found so far.
    pub matched: u64,
    /// Number of items that were changed.
    pub done: u64,
    /// Number of items that were left out, because their state or the overlap policy did not allow
    /// the action.
    pub failed: u64,
    /// When it was requested.
    pub created_at: Time,
    /// When it completed or was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
}

/// The action of an operation; the field `action` selects the variant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
#[serde(untagged)]
pub enum OperationTask<'a> {
    /// Acts on runs.
    Runs {
        /// `retry`, `cancel` or `terminate`.
        #[cfg_attr(feature = "schema", schema(schema_with = actions::of_runs))]
        action: RunAction,
        /// Filter of the runs; only runs that existed at the start of the operation count.
        filter: RunFilter<'a>,
    },
    /// Pauses, resumes or resyncs schedules.
    Schedules {
        /// `pause`, `resume` or `resync`.
        #[cfg_attr(feature = "schema", schema(schema_with = actions::of_schedules))]
        action: ScheduleAction,
        /// Filter of the schedules.
        filter: ScheduleFilter<'a>,
        /// The reason for the pause.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<Cow<'a, str>>,
    },
    /// Creates runs for nominal times in the past.
    Backfill {
        /// `backfill`.
        #[cfg_attr(feature = "schema", schema(schema_with = actions::backfill))]
        action: Cow<'a, str>,
        /// The deployment.
        deployment: Cow<'a, str>,
        /// The schedule.
        schedule: Cow<'a, str>,
        /// The start of the range, inclusive.
        start: Time,
        /// The end of the range, exclusive.
        end: Time,
        /// What a firing does while runs of the schedule have not ended.
        overlap: Cow<'a, str>,
    },
    /// Replays events to a subscription.
    Replay {
        /// `replay`.
        #[cfg_attr(feature = "schema", schema(schema_with = actions::replay))]
        action: Cow<'a, str>,
        /// The deployment.
        deployment: Cow<'a, str>,
        /// The subscription.
        subscription: Cow<'a, str>,
        /// Events published at or after this time.
        since: Time,
        /// Events published before this time; now if left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    },
    /// Replays deliveries to hooks.
    Deliveries {
        /// `replay_deliveries`.
        #[cfg_attr(feature = "schema", schema(schema_with = actions::deliveries))]
        action: Cow<'a, str>,
        /// Filter of the deliveries; only those received before the start of the operation count.
        filter: DeliveryFilter<'a>,
    },
}

/// An action on runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunAction {
    /// Retry parked or failed runs.
    Retry,
    /// Cancel runs, with a grace period.
    Cancel,
    /// End runs at once.
    Terminate,
}

impl RunAction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Retry, Self::Cancel, Self::Terminate];

    /// Returns the name of the action.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Terminate => "terminate",
        }
    }
}

/// An action on schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleAction {
    /// Pause schedules.
    Pause,
    /// Resume schedules.
    Resume,
    /// Make schedules follow the clock after it was set back.
    Resync,
}

impl ScheduleAction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pause, Self::Resume, Self::Resync];

    /// Returns the name of the action.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Resync => "resync",
        }
    }
}

/// The schemas of the field `action`, which distinguishes the tasks.
#[cfg(feature = "schema")]
mod actions {
    use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

    use super::{RunAction, ScheduleAction};

    pub fn of_runs() -> Object {
        one_of(RunAction::ALL.map(RunAction::as_str))
    }

    pub fn of_schedules() -> Object {
        one_of(ScheduleAction::ALL.map(ScheduleAction::as_str))
    }

    pub fn deliveries() -> Object {
        one_of(["replay_deliveries"])
    }

    pub fn backfill() -> Object {
        one_of(["backfill"])
    }

    pub fn replay() -> Object {
        one_of(["replay"])
    }

    fn one_of<const N: usize>(names: [&'static str; N]) -> Object {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
    }
}
