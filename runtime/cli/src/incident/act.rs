//! `tidemill incidents ack`, `comment`, `undo` and `close`: what persons do with an incident.

use tidemill_api_types::{Incident, IncidentDetails, IncidentRequest};

use crate::client::{Client, Record};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// What is done, as the last part of the path, and in the past.
pub type Action = (&'static str, &'static str);
/// Acknowledges an incident.
pub const ACKNOWLEDGE: Action = ("acknowledge", "acknowledged");
/// Adds a note.
pub const COMMENT: Action = ("comment", "commented on");
/// Closes an incident.
pub const CLOSE: Action = ("close", "closed");

/// Arguments of `tidemill incidents ack`, `comment` and `close`.
#[derive(Debug, clap::Args)]
pub struct IncidentActArgs {
    /// The number of the incident
    number: u64,

    /// A note for the timeline
    #[arg(long, value_name = "TEXT")]
    note: String,

    /// Who does it; the user of this shell if left out
    #[arg(long, value_name = "NAME", env = "USER")]
    actor: Option<String>,
}

/// Arguments of `tidemill incidents undo`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A deployment returns to the revision before a rollback, its runs return from the standby, or its\n\
    quarantine ends. The host repairs nothing more in this incident."
)]
pub struct IncidentUndoArgs {
    #[command(flatten)]
    act: IncidentActArgs,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Runs a command that only changes the incident.
pub async fn run(
    args: &IncidentActArgs,
    (verb, done): Action,
    client: &Client,
    printer: &Printer,
) -> Result<(), CliError> {
    let actor = args.actor.as_deref().filter(|actor| !actor.is_empty());
    let request = IncidentRequest { note: args.note.as_str().into(), actor: actor.map(Into::into) };
    let path = format!("{}/{verb}", super::path(args.number));
    let incident: Record<Incident<'static>> = client.post_json(&path, &request).await?;
    printer.record(&incident, &format!("{done} incident {}, which is {}", args.number, clean(&incident.phase)));
    Ok(())
}

/// Runs `tidemill incidents undo`.
pub async fn undo(args: &IncidentUndoArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let number = args.act.number;
    if args.confirm.dry_run || args.confirm.is_interactive() {
        let details: Record<IncidentDetails<'static>> = client.get(&super::path(number)).await?;
        let last = details.timeline.iter().rev().find(|entry| entry.event == "repaired" && !entry.undone);
        let change = last.and_then(|entry| entry.change.as_ref()).map_or("nothing that lasts".into(), |it| clean(it));
        let plan = format!("incident {number}: the last step changed {change}");
        if args.confirm.dry_run {
            printer.record(&details, &plan);
            return Ok(());
        }
        printer.note(&plan);
        args.confirm.ask("Undo it?", printer)?;
    }
    run(&args.act, ("undo", "undid the last step of"), client, printer).await
}
