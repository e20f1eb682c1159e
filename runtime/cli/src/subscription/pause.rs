//! `tidemill subscriptions pause` and `resume`.

use tidemill_api_types::{PauseRequest, Subscription};
use tidemill_core::wire::grouped;

use super::SubscriptionRef;
use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill subscriptions pause`.
#[derive(Debug, clap::Args)]
pub struct SubscriptionPauseArgs {
    #[command(flatten)]
    which: SubscriptionRef,

    /// The reason, kept as a note
    #[arg(long, default_value = "")]
    note: String,
}

/// Pauses a subscription.
pub async fn pause(args: &SubscriptionPauseArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("{}/pause", args.which.path());
    let subscription = client.post_json(&path, &PauseRequest::with_note(&args.note)).await?;
    said("paused", &subscription, printer);
    Ok(())
}

/// Resumes a subscription.
pub async fn resume(which: &SubscriptionRef, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let subscription = client.post(&format!("{}/resume", which.path())).await?;
    said("resumed", &subscription, printer);
    Ok(())
}

fn said(change: &str, subscription: &Record<Subscription<'static>>, printer: &Printer) {
    let waiting = match subscription.waiting {
        0 => "nothing waits for it".to_owned(),
        1 => "1 event waits for it".to_owned(),
        more => format!("{} events wait for it", grouped(more)),
    };
    let (deployment, name) = (&subscription.deployment, &subscription.name);
    printer.record(subscription, &format!("{deployment}/{name} {change}: {waiting}"));
}
