//! `tidemill cancel ID…`: stops some runs, or many.

use super::which::Which;
use crate::client::Client;
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
    which: Which,

    /// Without telling them, and their children with them
    #[arg(long)]
    terminate: bool,
}

/// Carries it out: each by itself, so that one that cannot be cancelled does not keep the others from it.
pub async fn run(args: &Args, client: &Client, printer: &Printer) -> Result<(), CliError> {
    args.which.check()?;
    if args.which.many() {
        let action = if args.terminate { "terminate" } else { "cancel" };
        return args.which.act(action, &["queued", "running", "suspended", "parked"], client, printer).await;
    }
    let verb = if args.terminate { "cancel?terminate=true" } else { "cancel" };
    super::each(&args.which.ids, verb, "", client, printer, super::stands).await
}
