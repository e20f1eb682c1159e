//! Operations: follows their progress, and lists, shows and cancels them.

mod cancel;
mod list;
mod show;

use std::time::Duration;

use clap::Subcommand;
use tidemill_api_types::{Operation, OperationTask, RunAction, ScheduleAction};
use tidemill_core::wire::grouped;

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// The commands about operations.
#[derive(Debug, Subcommand)]
pub enum OperationCommand {
    /// List running operations, or all
    List(list::OperationListArgs),
    /// Show an operation
    Show(OperationRef),
    /// Cancel an operation; finished parts stay
    Cancel(OperationRef),
}

/// An operation, by id.
#[derive(Debug, clap::Args)]
pub struct OperationRef {
    /// The operation's id
    id: String,
}

/// Runs the command.
pub async fn run(command: OperationCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        OperationCommand::List(args) => list::run(&args, client, printer).await,
        OperationCommand::Show(which) => show::run(&which, client, printer).await,
        OperationCommand::Cancel(which) => cancel::run(&which, client, printer).await,
    }
}

/// Interval between two reads of an operation's progress.
const LOOK: Duration = Duration::from_millis(500);

/// Returns the name of an operation's action.
fn action<'a>(operation: &'a Operation<'_>) -> &'a str {
    match &operation.task {
        OperationTask::Runs { action, .. } => action.as_str(),
        OperationTask::Schedules { action, .. } => action.as_str(),
        OperationTask::Backfill { action, .. }
        | OperationTask::Replay { action, .. }
        | OperationTask::Deliveries { action, .. } => action,
    }
}

/// Formats the result on one line, after the operation is done.
fn text(operation: &Operation<'_>) -> String {
    let (matched, done) = (grouped(operation.matched), grouped(operation.done));
    format!("{matched} {} found, {done} {}", things(operation), done_as(operation))
}

fn done_as(operation: &Operation<'_>) -> &'static str {
    match &operation.task {
        OperationTask::Runs { action: RunAction::Retry, .. } => "retried",
        OperationTask::Runs { action: RunAction::Cancel, .. } => "asked to end",
        OperationTask::Runs { action: RunAction::Terminate, .. } => "ended",
        OperationTask::Schedules { action: ScheduleAction::Pause, .. } => "paused",
        OperationTask::Schedules { action: ScheduleAction::Resume, .. } => "resumed",
        OperationTask::Schedules { action: ScheduleAction::Resync, .. } => "resynced",
        OperationTask::Backfill { .. } | OperationTask::Replay { .. } | OperationTask::Deliveries { .. } => {
            "made a run"
        }
    }
}

/// Returns the deployment, with the schedule or subscription.
fn items(operation: &Operation<'_>) -> String {
    let (deployment, item) = match &operation.task {
        OperationTask::Runs { filter, .. } => (filter.deployment.as_deref(), None),
        OperationTask::Schedules { filter, .. } => (filter.deployment.as_deref(), None),
        OperationTask::Deliveries { filter, .. } => (filter.deployment.as_deref(), filter.hook.as_deref()),
        OperationTask::Backfill { deployment, schedule, .. } => (Some(&**deployment), Some(&**schedule)),
        OperationTask::Replay { deployment, subscription, .. } => (Some(&**deployment), Some(&**subscription)),
    };
    let named: Vec<_> = deployment.into_iter().chain(item).collect();
    if named.is_empty() { "all".to_owned() } else { clean(&named.join("/")) }
}

/// Formats the operation on one line, at any time.
fn whole(operation: &Operation<'_>) -> String {
    let total = operation.total.map(|total| format!(" of {}", grouped(total))).unwrap_or_default();
    let (id, action, of, state) = (&operation.id, action(operation), items(operation), &operation.state);
    let (found, things) = (grouped(operation.matched), things(operation));
    let left_out = if operation.failed > 0 { format!(", {}", left_out(operation)) } else { String::new() };
    let done = format!("{} {}", grouped(operation.done), done_as(operation));
    format!("{id} ({action}, {of}) is {state}: {found}{total} {things} found, {done}{left_out}")
}

const fn things(operation: &Operation<'_>) -> &'static str {
    match &operation.task {
        OperationTask::Runs { .. } => "runs",
        OperationTask::Schedules { .. } => "schedules",
        OperationTask::Deliveries { .. } => "deliveries",
        OperationTask::Backfill { .. } => "firings",
        OperationTask::Replay { .. } => "events",
    }
}

fn progress(operation: &Operation<'_>) -> String {
    let total = operation.total.map(|total| format!(" of {}", grouped(total))).unwrap_or_default();
    format!("{}{total} {} so far", grouped(operation.matched), things(operation))
}

fn left_out(operation: &Operation<'_>) -> String {
    let why = match &operation.task {
        OperationTask::Runs { .. } => "were no longer in an eligible state",
        OperationTask::Schedules { action: ScheduleAction::Pause, .. } => "were paused already",
        OperationTask::Schedules { action: ScheduleAction::Resume, .. } => "were not paused",
        OperationTask::Schedules { action: ScheduleAction::Resync, .. } => "had changed",
        OperationTask::Deliveries { .. } => "wait for a run, or have one that has not ended",
        OperationTask::Backfill { .. } => "were left out by the overlap policy",
        OperationTask::Replay { .. } => "were no longer kept",
    };
    format!("{} {why}", grouped(operation.failed))
}

/// Follows an operation until it is done. `look` is the command that lists what was left out.
///
/// # Errors
/// An error of the host, or a failure if items were left out.
pub async fn follow(
    mut operation: Record<Operation<'static>>,
    look: &str,
    client: &Client,
    printer: &Printer,
) -> Result<(), CliError> {
    let path = format!("/v1/operations/{}", encoded(&operation.id));
    let mut shown = 0;
    while operation.state == "running" {
        tokio::time::sleep(LOOK).await;
        operation = client.get(&path).await?;
        if operation.matched != shown && operation.state == "running" {
            shown = operation.matched;
            printer.note(&progress(&operation));
        }
    }
    printer.record(&operation, &text(&operation));
    if operation.state == "cancelled" {
        return Err(CliError::failed("the operation was cancelled before it completed").with_fix(
            "its finished parts remain: see `tidemill operations show`, and start another operation for the rest",
        ));
    }
    match operation.failed {
        0 => Ok(()),
        _ => Err(CliError::failed(left_out(&operation)).with_fix(format!("list them with `{look}`"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(more: Value) -> Operation<'static> {
        let mut json = json!({
            "id": "op_1", "state": "running", "matched": 1_200, "done": 1_199, "failed": 1, "filter": {},
            "created_at": "2026-01-01T00:00:00Z",
        });
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn an_operation_is_formatted_on_one_line() {
        assert_eq!(text(&of(json!({ "action": "retry" }))), "1,200 runs found, 1,199 retried");
        assert_eq!(text(&of(json!({ "action": "pause" }))), "1,200 schedules found, 1,199 paused");
        assert_eq!(progress(&of(json!({ "action": "cancel" }))), "1,200 runs so far");
        assert_eq!(items(&of(json!({ "action": "cancel" }))), "all");
        let backfill = of(json!({
            "action": "backfill", "deployment": "a", "schedule": "often", "overlap": "allow", "total": 5_000,
            "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z",
        }));
        assert_eq!(progress(&backfill), "1,200 of 5,000 firings so far");
        let expected = "op_1 (backfill, a/often) is running: 1,200 of 5,000 firings found, 1,199 made a run, \
                        1 were left out by the overlap policy";
        assert_eq!(whole(&backfill), expected);
    }
}
