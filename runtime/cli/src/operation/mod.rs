//! Operations: follows their progress, and lists, shows and cancels them.

mod cancel;
mod list;
mod show;

use std::time::Duration;

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{Client, HttpAnswer, encoded};
use crate::error::CliError;
use crate::printer::{Printer, clean};
use crate::wire::grouped;

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

/// An action on many items.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Operation {
    /// The id of the operation.
    pub id: String,
    /// The action.
    pub action: String,
    /// `running`, `done` or `cancelled`.
    pub state: String,
    /// Number of items that it will find, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Number of items found so far.
    pub matched: u64,
    /// Number of items that were changed.
    pub done: u64,
    /// Number of items that were left out.
    pub failed: u64,
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
}

impl Operation {
    /// Formats the result on one line, after the operation is done.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{} {} found, {} {}", grouped(self.matched), self.things(), grouped(self.done), self.done_as())
    }

    fn done_as(&self) -> &'static str {
        match self.action.as_str() {
            "retry" => "retried",
            "cancel" => "asked to end",
            "pause" => "paused",
            "resume" => "resumed",
            "resync" => "resynced",
            "backfill" | "replay" => "made a run",
            _ => "ended",
        }
    }

    /// Returns the deployment, with the schedule or subscription.
    fn of(&self) -> String {
        let text = |name: &str| self.more.get(name).and_then(Value::as_str);
        let of = text("deployment").or_else(|| self.more.get("filter")?.get("deployment")?.as_str());
        let what = text("schedule").or_else(|| text("subscription"));
        let named: Vec<_> = of.into_iter().chain(what).collect();
        if named.is_empty() { "all".to_owned() } else { clean(&named.join("/")) }
    }

    /// Formats the operation on one line, at any time.
    fn whole(&self) -> String {
        let total = self.total.map(|total| format!(" of {}", grouped(total))).unwrap_or_default();
        let (id, action, of, state) = (&self.id, &self.action, self.of(), &self.state);
        let (found, things) = (grouped(self.matched), self.things());
        let left_out = if self.failed > 0 { format!(", {}", self.left_out()) } else { String::new() };
        let done = format!("{} {}", grouped(self.done), self.done_as());
        format!("{id} ({action}, {of}) is {state}: {found}{total} {things} found, {done}{left_out}")
    }

    fn things(&self) -> &'static str {
        match self.action.as_str() {
            "pause" | "resume" | "resync" => "schedules",
            "backfill" => "firings",
            "replay" => "events",
            _ => "runs",
        }
    }

    fn progress(&self) -> String {
        match self.total {
            Some(total) => format!("{} of {} {} so far", grouped(self.matched), grouped(total), self.things()),
            None => format!("{} {} so far", grouped(self.matched), self.things()),
        }
    }

    fn left_out(&self) -> String {
        let why = match self.action.as_str() {
            "pause" => "were paused already",
            "resume" => "were not paused",
            "resync" => "had changed",
            "replay" => "were no longer kept",
            "backfill" => "were left out by the overlap policy",
            _ => "were no longer in an eligible state",
        };
        format!("{} {why}", grouped(self.failed))
    }
}

/// Parses the operation that the host started.
///
/// # Errors
/// If the answer is not an operation.
pub fn begun(answer: &HttpAnswer) -> Result<Operation, CliError> {
    answer.json().map_err(|why| CliError::failed(format!("the host's answer is not an operation: {why}")))
}

/// Follows an operation until it is done. `look` is the command that lists what was left out.
///
/// # Errors
/// An error of the host, or a failure if items were left out.
pub async fn follow(mut operation: Operation, look: &str, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("/v1/operations/{}", encoded(&operation.id));
    let mut shown = 0;
    while operation.state == "running" {
        tokio::time::sleep(LOOK).await;
        operation = client.get(&path).await?;
        if operation.matched != shown && operation.state == "running" {
            shown = operation.matched;
            printer.note(&operation.progress());
        }
    }
    printer.record(&operation, &operation.text());
    if operation.state == "cancelled" {
        return Err(CliError::failed("the operation was cancelled before it completed").with_fix(
            "its finished parts remain: see `tidemill operations show`, and start another operation for the rest",
        ));
    }
    match operation.failed {
        0 => Ok(()),
        _ => Err(CliError::failed(operation.left_out()).with_fix(format!("list them with `{look}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(action: &str) -> Operation {
        Operation { action: action.into(), matched: 1_200, done: 1_199, failed: 1, ..Operation::default() }
    }

    #[test]
    fn an_operation_is_formatted_on_one_line() {
        assert_eq!(of("retry").text(), "1,200 runs found, 1,199 retried");
        assert_eq!(of("pause").text(), "1,200 schedules found, 1,199 paused");
        assert_eq!(of("backfill").left_out(), "1 were left out by the overlap policy");
        let halfway = Operation { total: Some(5_000), ..of("backfill") };
        assert_eq!(halfway.progress(), "1,200 of 5,000 firings so far");
        assert_eq!(of("cancel").progress(), "1,200 runs so far");
        let named = [("deployment", "a"), ("schedule", "often")].map(|(name, value)| (name.to_owned(), value.into()));
        let shown =
            Operation { id: "op_1".into(), state: "running".into(), more: named.into_iter().collect(), ..halfway };
        let expected = "op_1 (backfill, a/often) is running: 1,200 of 5,000 firings found, 1,199 made a run, \
                        1 were left out by the overlap policy";
        assert_eq!((shown.whole().as_str(), of("cancel").of().as_str()), (expected, "all"));
    }
}
