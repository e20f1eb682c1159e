//! The commands about runs.

mod affected;
mod cancel;
mod explain;
mod journal;
mod list;
pub mod logs;
mod parked;
mod reference;
mod retry;
mod selector;
pub mod show;
mod signal;
mod signals;
pub mod start;

use clap::Subcommand;
use reqwest::Method;
use serde::de::DeserializeOwned;
use tidemill_api_types::Run;
use tidemill_core::Code;
use tidemill_core::codes::SdkCode;

use crate::client::{Client, Record, encoded};
use crate::printer::{Printer, clean};

use crate::error::CliError;

/// The commands about runs.
#[derive(Debug, Subcommand)]
pub enum RunCommand {
    /// List runs, newest first
    List(list::RunListArgs),
    /// Show a run
    Show(show::RunShowArgs),
    /// Show a run's log; `tidemill logs` is the short form
    Logs(logs::RunLogsArgs),
    /// Show a run's journal
    Journal(journal::RunJournalArgs),
    /// Explain why a run is in its state
    Explain(explain::RunExplainArgs),
    /// Show the runs that wait for an operator: parked runs, counted by cause
    Parked(parked::RunParkedArgs),
    /// Retry failed or parked runs
    Retry(retry::RunRetryArgs),
    /// Cancel runs
    Cancel(cancel::RunCancelArgs),
    /// Send a signal to a run
    Signal(signal::RunSignalArgs),
    /// List a run's pending signals, or drop one
    Signals(signals::RunSignalsArgs),
}

/// Runs the command.
pub async fn run(command: RunCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        RunCommand::List(args) => list::run(&args, client, printer).await,
        RunCommand::Show(args) => show::run(&args, client, printer).await,
        RunCommand::Logs(args) => logs::run(&args, client, printer).await,
        RunCommand::Journal(args) => journal::run(&args, client, printer).await,
        RunCommand::Explain(args) => explain::run(&args, client, printer).await,
        RunCommand::Parked(args) => parked::run(&args, client, printer).await,
        RunCommand::Retry(args) => retry::run(&args, client, printer).await,
        RunCommand::Cancel(args) => cancel::run(&args, client, printer).await,
        RunCommand::Signal(args) => signal::run(&args, client, printer).await,
        RunCommand::Signals(args) => signals::run(&args, client, printer).await,
    }
}

/// Maps the end of an awaited run to the command's result; an error unless the run succeeded.
pub fn ended(run: &Run<'_>) -> Result<(), CliError> {
    let Some(failure) = &run.failure else {
        return match &*run.state {
            "cancelled" => Err(CliError::failed(format!("run {} was cancelled", run.id))),
            _ => Ok(()),
        };
    };
    let code = Code::parse(&failure.code);
    Err(CliError::Failed {
        code: code.map(Code::as_str).or_else(|| SdkCode::parse(&failure.code).map(|code| code.name)).map(str::to_owned),
        message: format!("run {} {}: {}: {}", run.id, run.state, clean(&failure.code), clean(&failure.message)),
        fix: failure.fix.as_deref().map(str::to_owned).or_else(|| code.map(|code| code.fix().to_owned())),
    })
}

/// Sends `verb` to each run separately, so that one refusal does not affect the others, and shows
/// each answer. Returns the last refusal, and shows the earlier ones.
async fn each<T: DeserializeOwned>(
    ids: &[String],
    verb: &str,
    body: Vec<u8>,
    client: &Client,
    printer: &Printer,
    show: fn(&Record<T>, &Printer) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut last = Ok(());
    for id in ids {
        let path = format!("/v1/runs/{}/{verb}", encoded(id));
        let done = match client.ask(Method::POST, &path, body.clone(), &[]).await {
            Ok(answer) => show(&answer, printer),
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
    let mut runs: Vec<Record<Run<'static>>> = Vec::with_capacity(ids.len());
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
fn show_state(run: &Record<Run<'static>>, printer: &Printer) -> Result<(), CliError> {
    let cancel = if run.is_cancel_requested() { ", asked to end" } else { "" };
    printer.record(run, &format!("{} {}{cancel}", run.id, run.state));
    Ok(())
}
