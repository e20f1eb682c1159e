//! The wire form of an operation.

use axum::http::StatusCode;
use axum::response::Response;
use tidemill_api_types as shapes;
use tidemill_core::DeploymentName;
use tidemill_store::records::{Action, Operation, OperationState, Task};

use crate::wire::{FromRecord, json_at};

/// Every action on runs, by name.
pub const ACTIONS: [(&str, Action); 3] = [
    (shapes::RunAction::Retry.as_str(), Action::Retry),
    (shapes::RunAction::Cancel.as_str(), Action::Cancel),
    (shapes::RunAction::Terminate.as_str(), Action::Terminate),
];

/// Answers that an operation has started, with the path that shows its progress.
pub fn begun(operation: &Operation) -> Response {
    json_at(&format!("/v1/operations/{}", operation.id), StatusCode::ACCEPTED, &shapes::Operation::of(operation))
}

fn schedule_filter<'a>(
    deployment: Option<&'a DeploymentName>,
    labels: &[(String, String)],
) -> shapes::ScheduleFilter<'a> {
    shapes::ScheduleFilter {
        all: (deployment.is_none() && labels.is_empty()).then_some(true),
        deployment: deployment.map(|name| name.as_str().into()),
        label: labels.iter().map(|(name, value)| format!("{name}={value}")).collect(),
    }
}

impl<'a> FromRecord<&'a Operation> for shapes::Operation<'a> {
    fn of(operation: &'a Operation) -> Self {
        Self {
            id: (&operation.id).into(),
            task: shapes::OperationTask::of(&operation.task),
            state: match operation.state {
                OperationState::Running => "running",
                OperationState::Done => "done",
                OperationState::Cancelled => "cancelled",
            }
            .into(),
            total: operation.total,
            matched: operation.matched,
            done: operation.done,
            failed: operation.failed,
            created_at: operation.created_at.into(),
            ended_at: operation.ended_at.map(shapes::Time),
        }
    }
}

impl<'a> FromRecord<&'a Task> for shapes::OperationTask<'a> {
    fn of(task: &'a Task) -> Self {
        match task {
            Task::Runs { action, filter } => Self::Runs {
                action: match action {
                    Action::Retry => shapes::RunAction::Retry,
                    Action::Cancel => shapes::RunAction::Cancel,
                    Action::Terminate => shapes::RunAction::Terminate,
                },
                filter: shapes::RunFilter::of(filter),
            },
            Task::Resync { deployment, labels } => Self::Schedules {
                action: shapes::ScheduleAction::Resync,
                filter: schedule_filter(deployment.as_ref(), labels),
                note: None,
            },
            Task::Schedules { pause, deployment, labels } => Self::Schedules {
                action: if pause.is_some() { shapes::ScheduleAction::Pause } else { shapes::ScheduleAction::Resume },
                filter: schedule_filter(deployment.as_ref(), labels),
                note: pause.as_deref().filter(|note| !note.is_empty()).map(Into::into),
            },
            Task::Deliveries { filter } => {
                Self::Deliveries { action: "replay_deliveries".into(), filter: shapes::DeliveryFilter::of(filter) }
            }
            Task::Backfill { deployment, schedule, start, end, overlap } => Self::Backfill {
                action: "backfill".into(),
                deployment: deployment.as_str().into(),
                schedule: schedule.as_str().into(),
                start: shapes::Time(*start),
                end: shapes::Time(*end),
                overlap: overlap.as_str().into(),
            },
            Task::Replay { deployment, subscription, since, until } => Self::Replay {
                action: "replay".into(),
                deployment: deployment.as_str().into(),
                subscription: subscription.as_str().into(),
                since: shapes::Time(*since),
                until: until.map(shapes::Time),
            },
        }
    }
}
