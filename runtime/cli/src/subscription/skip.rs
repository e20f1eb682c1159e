//! `tidemill subscriptions skip`.

use serde_json::Value;

use super::SubscriptionRef;
use crate::client::Client;
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::Printer;
use crate::wire::grouped;

/// Arguments of `tidemill subscriptions skip`.
#[derive(Debug, clap::Args)]
pub struct SubscriptionSkipArgs {
    #[command(flatten)]
    which: SubscriptionRef,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Runs the command.
pub async fn run(args: &SubscriptionSkipArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let SubscriptionSkipArgs { which, confirm } = args;
    let name = format!("{}/{}", which.deployment, which.name);
    if confirm.dry_run || confirm.asks() {
        let subscription: Value = client.get(&which.path()).await?;
        let waiting = grouped(subscription["waiting"].as_u64().unwrap_or_default());
        if confirm.dry_run {
            printer.record(&subscription, &format!("{name} would skip {waiting} events; nothing was changed"));
            return Ok(());
        }
        confirm.ask(&format!("Skip {waiting} events of {name}?"), printer)?;
    }
    let answer: Value = client.post(&format!("{}/skip", which.path())).await?;
    let skipped = answer["skipped"].as_u64().unwrap_or_default();
    printer.record(&answer, &format!("{name} skipped {skipped} events"));
    Ok(())
}
