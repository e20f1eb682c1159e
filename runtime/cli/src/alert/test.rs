//! `tidemill alerts test`: sends a test message to a channel.

use serde_json::json;
use tidemill_api_types::AlertChannelTest;

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Arguments of `tidemill alerts test`.
#[derive(Debug, clap::Args)]
pub struct AlertTestArgs {
    /// The channel
    channel: String,
}

/// Runs the command.
pub async fn run(args: &AlertTestArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("/v1/alerts/channels/{}/test", encoded(&args.channel));
    let test: Record<AlertChannelTest<'static>> = client.post_json(&path, &json!({})).await?;
    match &test.error {
        None => {
            printer.record(&test, &format!("{} has accepted the message {}", clean(&test.channel), clean(&test.id)));
            Ok(())
        }
        Some(error) => Err(CliError::Failed {
            code: None,
            message: format!("{} has not accepted the message: {}", clean(&test.channel), clean(error)),
            fix: Some("correct the channel in the file that the host's --alerts names, or its secret".to_owned()),
        }),
    }
}
