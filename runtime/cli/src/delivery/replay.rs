//! `tidemill deliveries replay`: starts new runs of one delivery, or of many by a filter.

use tidemill_api_types::{DeliveryActionRequest, DeliveryReplayPlan, Operation, Run};
use tidemill_core::wire::grouped;

use super::filter::DeliveryFilter;
use crate::client::{Client, Record, encoded};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::operation;
use crate::printer::Printer;

/// Number up to which a dry run counts.
const COUNTED: u64 = 10_000;

/// Arguments of `tidemill deliveries replay`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The new run gets the delivery as it was. What it posts to the ledger again is a duplicate there.\n\
                  For example: tidemill deliveries replay --deployment shop --outcome failed --since yesterday"
)]
pub struct DeliveryReplayArgs {
    /// The delivery; without it, a filter selects deliveries
    id: Option<String>,

    #[command(flatten)]
    filter: DeliveryFilter,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Runs the command.
pub async fn run(args: &DeliveryReplayArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let Some(id) = &args.id else { return many(args, client, printer).await };
    if !args.filter.is_empty() {
        return Err(CliError::usage("a filter cannot be combined with a delivery", "leave one of them out"));
    }
    if args.confirm.dry_run {
        return Err(CliError::usage("--dry-run needs a filter", "show the delivery: tidemill deliveries show ID"));
    }
    let path = format!("/v1/deliveries/{}/replay", encoded(id));
    let run: Record<Run<'static>> = client.post(&path).await?;
    printer.record(&run, &run.id.to_string());
    Ok(())
}

async fn many(args: &DeliveryReplayArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    if args.filter.is_empty() {
        return Err(CliError::usage("neither a delivery nor a filter is given", "write an id, or --deployment NAME"));
    }
    let request = DeliveryActionRequest { action: "replay".to_owned(), filter: args.filter.shape() };
    let path = "/v1/deliveries/actions";
    if args.confirm.dry_run || args.confirm.is_interactive() {
        let plan: Record<DeliveryReplayPlan> = client.post_json(&format!("{path}?dry_run=true"), &request).await?;
        let least = if plan.deliveries == COUNTED { "at least " } else { "" };
        let what = format!("{least}{} deliveries", grouped(plan.deliveries));
        if args.confirm.dry_run {
            printer.record(&plan, &format!("{what} would be replayed; nothing was changed"));
            return Ok(());
        }
        args.confirm.ask(&format!("Replay {what}, and create a run for each?"), printer)?;
    }
    let operation: Record<Operation<'static>> = client.post_json(path, &request).await?;
    operation::follow(operation, "tidemill deliveries list", client, printer).await
}
