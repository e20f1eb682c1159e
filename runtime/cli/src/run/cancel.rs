//! `tidemill cancel ID…`: stops some runs, or many.

use super::which::RunSelector;
use crate::client::Client;
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::Printer;

/// Which runs, and how.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Children end first; then a run that has begun is told, and has a grace period in which it may undo what it did.\n\
                        For example: tidemill cancel --all --deployment orders --state suspended"
)]
pub struct Args {
    #[command(flatten)]
    which: RunSelector,

    /// Without telling them, and their children with them
    #[arg(long)]
    terminate: bool,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Carries it out: each by itself, so that one that cannot be cancelled does not keep the others from it.
pub async fn run(args: &Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
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
    super::each(&super::reference::ids(&args.which.ids, client).await?, verb, "", client, printer, super::stands).await
}
