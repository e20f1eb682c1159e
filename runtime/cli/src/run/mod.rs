//! Commands about runs.

mod affected;
pub mod cancel;
pub mod info;
pub mod journal;
pub mod list;
pub mod logs;
pub mod parked;
pub mod reference;
pub mod retry;
pub mod signal;
pub mod signals;
pub mod start;
pub mod which;

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tidemill_core::Code;
use tidemill_core::codes::SdkCode;

use crate::client::{Client, encoded};
use crate::printer::{Printer, clean};

use crate::error::CliError;
use crate::wire::Run;

/// Maps the end of an awaited run to the command's result; an error unless the run succeeded.
pub fn ended(run: &Run) -> Result<(), CliError> {
    let Some(failure) = &run.failure else {
        return match run.state.as_str() {
            "cancelled" => Err(CliError::failed(format!("run {} was cancelled", run.id))),
            _ => Ok(()),
        };
    };
    let code = Code::parse(&failure.code);
    Err(CliError::Failed {
        code: code.map(Code::as_str).or_else(|| SdkCode::parse(&failure.code).map(|code| code.name)).map(str::to_owned),
        message: format!("run {} {}: {}: {}", run.id, run.state, clean(&failure.code), clean(&failure.message)),
        fix: failure.fix.clone().or_else(|| code.map(|code| code.fix().to_owned())),
    })
}

/// Sends `verb` to each run separately, so that one refusal does not affect the others, and shows
/// each answer. Returns the last refusal, and shows the earlier ones.
async fn each(
    ids: &[String],
    verb: &str,
    body: &str,
    client: &Client,
    printer: &Printer,
    show: fn(&str, &Value, &Printer) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut last = Ok(());
    for id in ids {
        let path = format!("/v1/runs/{}/{verb}", encoded(id));
        let done = match client.ask(Method::POST, &path, body.as_bytes().to_vec(), &[], Duration::ZERO).await {
            Ok(answer) => show(id, &answer.json().unwrap_or_default(), printer),
            Err(error @ CliError::Unreachable { .. }) => return Err(error),
            Err(error) => Err(error),
        };
        if let Err(error) = done
            && let Err(earlier) = std::mem::replace(&mut last, Err(error))
        {
            printer.error(&earlier);
        }
    }
    last
}

/// Shows runs that would be affected, without affecting them.
async fn show_each(ids: &[String], done: &str, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut runs: Vec<Run> = Vec::with_capacity(ids.len());
    for id in ids {
        runs.push(client.get(&format!("/v1/runs/{}", encoded(id))).await?);
    }
    printer.rows(&runs, "");
    let ended = runs.iter().filter(|run| run.is_ended()).count();
    let would = format!("{} of {} would be {done}; nothing was changed", runs.len() - ended, runs.len());
    printer.note(&would);
    Ok(())
}

/// Shows the state of a run after an action.
#[expect(clippy::unnecessary_wraps, reason = "other answers can be a failure of the command")]
fn stands(id: &str, answer: &Value, printer: &Printer) -> Result<(), CliError> {
    let run: Run = serde_json::from_value(answer.clone()).unwrap_or_default();
    let cancel = if run.is_asked_to_end() { ", asked to end" } else { "" };
    printer.record(&run, &format!("{id} {}{cancel}", run.state));
    Ok(())
}
