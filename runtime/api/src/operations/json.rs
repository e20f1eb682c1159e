//! An operation as it is sent.

use serde::Serialize;
use tidemill_store::records::{Action, Operation, OperationState};
use utoipa::ToSchema;

use crate::runs::FilterJson;
use crate::wire::Time;

/// Every action by its name.
pub const ACTIONS: [(&str, Action); 3] =
    [("retry", Action::Retry), ("cancel", Action::Cancel), ("terminate", Action::Terminate)];

/// One action on all runs that a filter finds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Operation)]
pub struct OperationJson<'a> {
    /// Its id.
    id: &'a str,
    /// `retry`, `cancel` or `terminate`.
    action: &'static str,
    /// Which runs: those that were there when it began.
    filter: FilterJson<'a>,
    /// `running` or `done`.
    state: &'static str,
    /// Runs found so far.
    matched: u64,
    /// Runs to which it was done.
    done: u64,
    /// Runs that were left out, because by then they were in no state for it.
    failed: u64,
    /// When it was asked for.
    created_at: Time,
    /// When it was through.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Time>,
}

impl<'a> OperationJson<'a> {
    /// The operation as it is sent.
    #[must_use]
    pub fn of(operation: &'a Operation) -> Self {
        let action = ACTIONS.iter().find(|(_, action)| *action == operation.action);
        Self {
            id: &operation.id,
            action: action.map_or("", |(name, _)| name),
            filter: FilterJson::of(&operation.filter),
            state: match operation.state {
                OperationState::Running => "running",
                OperationState::Done => "done",
            },
            matched: operation.matched,
            done: operation.done,
            failed: operation.failed,
            created_at: operation.created_at.into(),
            ended_at: operation.ended_at.map(Time),
        }
    }
}
