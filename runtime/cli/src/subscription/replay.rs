//! `tidemill subscriptions replay`: replays events to a subscription.

use std::time::Duration;

use tidemill_api_types::{Operation, ReplayPlan, ReplayRequest, Time};

use super::SubscriptionRef;
use crate::client::{Client, Record, encoded};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::Printer;
use crate::text::events;

/// Interval between two reads of the replay's progress.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Arguments of `tidemill subscriptions replay`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Creates a run for each event of that time range that was delivered before. The subscription's position does not change.\n\
                  For example: tidemill subscriptions replay shipping orders --since 2026-01-31T00:00:00Z --until 2026-02-01T00:00:00Z"
)]
pub struct SubscriptionReplayArgs {
    #[command(flatten)]
    which: SubscriptionRef,

    /// Events published at or after this time, such as 1h (ago), yesterday, 2026-11-29 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    since: Time,

    /// Events published before this time; now if left out
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    until: Option<Time>,

    /// Do not wait until all runs are created
    #[arg(long)]
    no_wait: bool,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Runs the command.
pub async fn run(args: &SubscriptionReplayArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let request = ReplayRequest { since: args.since, until: args.until };
    let until = args.until.map(|until| format!(" until {until}")).unwrap_or_default();
    let (deployment, name) = (&args.which.deployment, &args.which.name);
    let path = format!("{}/replay", args.which.path());
    if args.confirm.dry_run || args.confirm.is_interactive() {
        let plan: Record<ReplayPlan> = client.post_json(&format!("{path}?dry_run=true"), &request).await?;
        let range = format!("{} since {}{until}", events(plan.events), args.since);
        if args.confirm.dry_run {
            printer.record(&plan, &format!("{range} would be replayed to {deployment}/{name}; nothing was changed"));
            return Ok(());
        }
        args.confirm.ask(&format!("Replay {range} to {deployment}/{name}, and create a run for each?"), printer)?;
    }
    let mut operation: Record<Operation<'static>> = client.post_json(&path, &request).await?;
    while !args.no_wait && operation.state == "running" {
        tokio::time::sleep(LOOK_EVERY).await;
        operation = client.get(&format!("/v1/operations/{}", encoded(&operation.id))).await?;
    }
    let state = if operation.state == "running" { "running" } else { "done" };
    let (id, matched, done) = (&operation.id, operation.matched, operation.done);
    printer.record(&operation, &format!("{id} {state}: {matched} events, {done} runs created"));
    Ok(())
}
