//! `tidemill topics delete`.

use reqwest::Method;
use tidemill_api_types::{Topic, TopicDeletion};

use crate::client::{Client, Record, encoded};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::Printer;
use crate::text::events;

/// Arguments of `tidemill topics delete`.
#[derive(Debug, clap::Args)]
pub struct TopicDeleteArgs {
    /// The topic
    topic: String,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Runs the command.
pub async fn run(args: &TopicDeleteArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("/v1/topics/{}", encoded(&args.topic));
    if args.confirm.dry_run || args.confirm.is_interactive() {
        let topic: Record<Topic<'static>> = client.get(&path).await?;
        let events = events(topic.events);
        if args.confirm.dry_run {
            let text = format!("{} would be deleted with {events}; nothing was changed", args.topic);
            printer.record(&topic, &text);
            return Ok(());
        }
        args.confirm.ask(&format!("Delete {} with {events}?", args.topic), printer)?;
    }
    let deleted: Record<TopicDeletion> = client.ask(Method::DELETE, &path, Vec::new(), &[]).await?;
    if deleted.lost > 0 {
        let lost = deleted.lost;
        printer.warn(&format!(
            "{lost} deliveries were lost: events were deleted before their subscriptions received them"
        ));
    }
    printer.record(&deleted, &format!("{} deleted with {}", args.topic, events(deleted.events)));
    Ok(())
}
