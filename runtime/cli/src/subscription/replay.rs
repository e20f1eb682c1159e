//! `tidemill subscriptions replay`: replays events to a subscription.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::SubscriptionRef;
use crate::client::{Client, encoded};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::Printer;
use crate::wire::events;

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
    since: String,

    /// Events published before this time; now if left out
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    until: Option<String>,

    /// Do not wait until all runs are created
    #[arg(long)]
    no_wait: bool,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Runs the command.
pub async fn run(args: &SubscriptionReplayArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut body = json!({ "since": args.since });
    if let Some(until) = &args.until {
        body["until"] = json!(until);
    }
    let until = args.until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
    let body = body.to_string().into_bytes();
    let (deployment, name) = (&args.which.deployment, &args.which.name);
    let path = format!("{}/replay", args.which.path());
    if args.confirm.dry_run || args.confirm.asks() {
        let answer =
            client.ask(Method::POST, &format!("{path}?dry_run=true"), body.clone(), &[], Duration::ZERO).await?;
        let plan: Value = answer.json().unwrap_or_default();
        let range = format!("{} since {}{until}", events(&plan), args.since);
        if args.confirm.dry_run {
            printer.record(&plan, &format!("{range} would be replayed to {deployment}/{name}; nothing was changed"));
            return Ok(());
        }
        args.confirm.ask(&format!("Replay {range} to {deployment}/{name}, and create a run for each?"), printer)?;
    }
    let answer = client.ask(Method::POST, &path, body, &[], Duration::ZERO).await?;
    let mut operation: Value = answer.json().unwrap_or_default();
    let id = operation["id"].as_str().unwrap_or_default().to_owned();
    while !args.no_wait && operation["state"] == "running" {
        tokio::time::sleep(LOOK_EVERY).await;
        operation = client.get(&format!("/v1/operations/{}", encoded(&id))).await?;
    }
    let number = |name: &str| operation[name].as_u64().unwrap_or_default();
    let state = if operation["state"] == "running" { "running" } else { "done" };
    let text = format!("{id} {state}: {} events, {} runs created", number("matched"), number("done"));
    printer.record(&operation, &text);
    Ok(())
}
