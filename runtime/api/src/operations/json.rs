//! The wire form of an operation.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tidemill_core::DeploymentName;
use tidemill_store::records::{Action, Operation, OperationState, Task};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::runs::FilterJson;
use crate::wire::{TimeJson, json_at};

/// Every action on runs, by name.
pub const ACTIONS: [(&str, Action); 3] =
    [("retry", Action::Retry), ("cancel", Action::Cancel), ("terminate", Action::Terminate)];

/// One action on many items.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Operation)]
pub struct OperationJson<'a> {
    /// The id of the operation.
    id: &'a str,
    /// The action and its items.
    #[serde(flatten)]
    task: TaskJson<'a>,
    /// `running`, `done` or `cancelled`.
    state: &'static str,
    /// Number of items that it will find, if known in advance.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// Number of items found so far.
    matched: u64,
    /// Number of items that were changed.
    done: u64,
    /// Number of items that were left out, because their state or the overlap policy did not allow
    /// the action.
    failed: u64,
    /// When it was requested.
    created_at: TimeJson,
    /// When it completed or was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<TimeJson>,
}

/// Answers that an operation has started, with the path that shows its progress.
pub fn begun(operation: &Operation) -> Response {
    json_at(&format!("/v1/operations/{}", operation.id), StatusCode::ACCEPTED, &OperationJson::of(operation))
}

/// The action of an operation; the field `action` selects the variant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperationTask)]
#[serde(untagged)]
pub enum TaskJson<'a> {
    /// Acts on runs.
    Runs {
        /// `retry`, `cancel` or `terminate`.
        #[schema(schema_with = run_actions)]
        action: &'static str,
        /// Filter of the runs; only runs that existed at the start of the operation count.
        filter: FilterJson<'a>,
    },
    /// Pauses, resumes or resyncs schedules.
    Schedules {
        /// `pause`, `resume` or `resync`.
        #[schema(schema_with = schedule_actions)]
        action: &'static str,
        /// Filter of the schedules.
        filter: ScheduleFilterJson<'a>,
        /// The reason for the pause.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<&'a str>,
    },
    /// Creates runs for nominal times in the past.
    Backfill {
        /// `backfill`.
        #[schema(schema_with = backfill_action)]
        action: &'static str,
        /// The deployment.
        deployment: &'a str,
        /// The schedule.
        schedule: &'a str,
        /// The start of the range, inclusive.
        start: TimeJson,
        /// The end of the range, exclusive.
        end: TimeJson,
        /// What a firing does while runs of the schedule have not ended.
        overlap: &'static str,
    },
    /// Replays events to a subscription.
    Replay {
        /// `replay`.
        #[schema(schema_with = replay_action)]
        action: &'static str,
        /// The deployment.
        deployment: &'a str,
        /// The subscription.
        subscription: &'a str,
        /// Events published at or after this time.
        since: TimeJson,
        /// Events published before this time; now if left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<TimeJson>,
    },
}

// The field `action` distinguishes the tasks.
fn run_actions() -> Object {
    one_of(ACTIONS.map(|(name, _)| name))
}

fn schedule_actions() -> Object {
    one_of(["pause", "resume", "resync"])
}

fn backfill_action() -> Object {
    one_of(["backfill"])
}

fn replay_action() -> Object {
    one_of(["replay"])
}

fn one_of<const N: usize>(names: [&'static str; N]) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
}

/// Filter of the schedules of an operation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduleFilter)]
pub struct ScheduleFilterJson<'a> {
    /// True for all schedules.
    #[serde(skip_serializing_if = "Option::is_none")]
    all: Option<bool>,
    /// Schedules of this deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<&'a str>,
    /// Schedules of deployments with all of these labels, each `name=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    label: Vec<String>,
}

impl<'a> ScheduleFilterJson<'a> {
    fn of(deployment: Option<&'a DeploymentName>, labels: &[(String, String)]) -> Self {
        Self {
            all: (deployment.is_none() && labels.is_empty()).then_some(true),
            deployment: deployment.map(|name| name.as_str()),
            label: labels.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        }
    }
}

impl<'a> OperationJson<'a> {
    /// Builds the wire form of an operation.
    #[must_use]
    pub fn of(operation: &'a Operation) -> Self {
        Self {
            id: &operation.id,
            task: TaskJson::of(&operation.task),
            state: match operation.state {
                OperationState::Running => "running",
                OperationState::Done => "done",
                OperationState::Cancelled => "cancelled",
            },
            total: operation.total,
            matched: operation.matched,
            done: operation.done,
            failed: operation.failed,
            created_at: operation.created_at.into(),
            ended_at: operation.ended_at.map(TimeJson),
        }
    }
}

impl<'a> TaskJson<'a> {
    fn of(task: &'a Task) -> Self {
        match task {
            Task::Runs { action, filter } => {
                let name = ACTIONS.iter().find(|(_, known)| known == action);
                Self::Runs { action: name.map_or("", |(name, _)| name), filter: FilterJson::of(filter) }
            }
            Task::Resync { deployment, labels } => Self::Schedules {
                action: "resync",
                filter: ScheduleFilterJson::of(deployment.as_ref(), labels),
                note: None,
            },
            Task::Schedules { pause, deployment, labels } => Self::Schedules {
                action: if pause.is_some() { "pause" } else { "resume" },
                filter: ScheduleFilterJson::of(deployment.as_ref(), labels),
                note: pause.as_deref().filter(|note| !note.is_empty()),
            },
            Task::Backfill { deployment, schedule, start, end, overlap } => Self::Backfill {
                action: "backfill",
                deployment: deployment.as_str(),
                schedule: schedule.as_str(),
                start: TimeJson(*start),
                end: TimeJson(*end),
                overlap: overlap.as_str(),
            },
            Task::Replay { deployment, subscription, since, until } => Self::Replay {
                action: "replay",
                deployment: deployment.as_str(),
                subscription: subscription.as_str(),
                since: TimeJson(*since),
                until: until.map(TimeJson),
            },
        }
    }
}
