//! `tidemill subscriptions skip`.

use tidemill_api_types::{SkipResult, Subscription};
use tidemill_core::wire::grouped;

use super::SubscriptionRef;
use crate::client::{Client, Record};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::Printer;

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
    if confirm.dry_run || confirm.is_interactive() {
        let subscription: Record<Subscription<'static>> = client.get(&which.path()).await?;
        let waiting = grouped(subscription.waiting);
        if confirm.dry_run {
            printer.record(&subscription, &format!("{name} would skip {waiting} events; nothing was changed"));
            return Ok(());
        }
        confirm.ask(&format!("Skip {waiting} events of {name}?"), printer)?;
    }
    let result: Record<SkipResult> = client.post(&format!("{}/skip", which.path())).await?;
    printer.record(&result, &format!("{name} skipped {} events", result.skipped));
    Ok(())
}
