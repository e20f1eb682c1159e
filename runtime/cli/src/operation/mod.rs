//! Actions on many things, as the host works them off: how far one is, until it is done.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{Answer, Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;
use crate::wire::grouped;

/// How often an operation is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// An action on many things.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Operation {
    /// Its id.
    pub id: String,
    /// What is done.
    pub action: String,
    /// Whether it is done.
    pub state: String,
    /// How many it will find, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Found so far.
    pub matched: u64,
    /// To which it was done.
    pub done: u64,
    /// To which it was not.
    pub failed: u64,
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
}

impl Operation {
    /// In a line, when it is through.
    #[must_use]
    pub fn text(&self) -> String {
        let done = match self.action.as_str() {
            "retry" => "tried again",
            "cancel" => "told to end",
            "pause" => "paused",
            "resume" => "resumed",
            "backfill" => "made a run",
            _ => "ended",
        };
        format!("{} {} found, {} {done}", grouped(self.matched), self.things(), grouped(self.done))
    }

    fn things(&self) -> &'static str {
        match self.action.as_str() {
            "pause" | "resume" => "schedules",
            "backfill" => "firings",
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
            "backfill" => "were left out by the overlap policy",
            _ => "were in no state for it any more",
        };
        format!("{} {why}", grouped(self.failed))
    }
}

/// The operation that an answer tells of.
///
/// # Errors
/// Where it tells of none.
pub fn begun(answer: &Answer) -> Result<Operation, CliError> {
    answer.json().map_err(|why| CliError::failed(format!("the host's answer is no operation: {why}")))
}

/// Shows how far an operation is until it is done. `look` is the command that shows what was left out.
///
/// # Errors
/// What the host refuses; also where some were left out.
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
    match operation.failed {
        0 => Ok(()),
        _ => Err(CliError::failed(operation.left_out()).with_fix(format!("look at them with `{look}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(action: &str) -> Operation {
        Operation { action: action.into(), matched: 1_200, done: 1_199, failed: 1, ..Operation::default() }
    }

    #[test]
    fn an_operation_is_told_in_a_line() {
        assert_eq!(of("retry").text(), "1,200 runs found, 1,199 tried again");
        assert_eq!(of("pause").text(), "1,200 schedules found, 1,199 paused");
        assert_eq!(of("backfill").left_out(), "1 were left out by the overlap policy");
        let halfway = Operation { total: Some(5_000), ..of("backfill") };
        assert_eq!(halfway.progress(), "1,200 of 5,000 firings so far");
        assert_eq!(of("cancel").progress(), "1,200 runs so far");
    }
}
