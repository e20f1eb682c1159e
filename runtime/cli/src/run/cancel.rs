//! `tidemill runs cancel ID…`: cancels some runs, or many.

use super::selector::RunSelector;
use crate::client::Client;
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill runs cancel`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Children end first. Then a run that has started is notified, and has a grace period in which it may compensate.\n\
                        For example: tidemill runs cancel --all --deployment orders --state suspended"
)]
pub struct RunCancelArgs {
    #[command(flatten)]
    which: RunSelector,

    /// Terminate at once, children included, without a grace period
    #[arg(long)]
    terminate: bool,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Runs the command: each run separately, so that one refusal does not affect the others.
pub async fn run(args: &RunCancelArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    args.which.check()?;
    if args.which.many() {
        let action = if args.terminate { "terminate" } else { "cancel" };
        let states = ["queued", "running", "suspended", "parked"];
        return args.which.act(action, &states, args.confirm, client, printer).await;
    }
    if args.confirm.dry_run {
        return super::show_each(&super::reference::ids(&args.which.ids, client).await?, "cancelled", client, printer)
            .await;
    }
    let verb = if args.terminate { "cancel?terminate=true" } else { "cancel" };
    super::each(
        &super::reference::ids(&args.which.ids, client).await?,
        verb,
        Vec::new(),
        client,
        printer,
        super::show_state,
    )
    .await
}
