//! `tidemill replay DEPLOYMENT SUBSCRIPTION --since TIME`: gives a subscription events again.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::SubscriptionRef;
use crate::client::{Client, encoded};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::Printer;
use crate::wire::events;

/// Between two looks at how far it has come.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Which, and of which time.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "It makes a run for each event that the subscription was given in that time. The subscription itself stays where it stands.\n\
                  For example: tidemill replay shipping orders --since 2026-01-31T00:00:00Z --until 2026-02-01T00:00:00Z"
)]
pub struct Args {
    #[command(flatten)]
    which: SubscriptionRef,

    /// Events published at or after this time, such as 1h (ago), yesterday, 2026-11-29 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    since: String,

    /// And before this one; up to now where it is left out
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    until: Option<String>,

    /// Do not wait until all runs are made
    #[arg(long)]
    no_wait: bool,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Carries it out.
pub async fn run(args: &Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
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
            printer.record(&plan, &format!("{deployment}/{name} would be given {range} again; nothing was changed"));
            return Ok(());
        }
        args.confirm.ask(&format!("Give {deployment}/{name} {range} again, and make a run for each?"), printer)?;
    }
    let answer = client.ask(Method::POST, &path, body, &[], Duration::ZERO).await?;
    let mut operation: Value = answer.json().unwrap_or_default();
    let id = operation["id"].as_str().unwrap_or_default().to_owned();
    while !args.no_wait && operation["state"] == "running" {
        tokio::time::sleep(LOOK_EVERY).await;
        operation = client.get(&format!("/v1/operations/{}", encoded(&id))).await?;
    }
    let number = |name: &str| operation[name].as_u64().unwrap_or_default();
    let state = if operation["state"] == "running" { "going on" } else { "done" };
    let text = format!("{id} {state}: {} events, {} runs made", number("matched"), number("done"));
    printer.record(&operation, &text);
    Ok(())
}
