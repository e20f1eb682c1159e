//! `tidemill state get`.

use serde_json::json;

use crate::client::Client;
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill state get`.
#[derive(Debug, clap::Args)]
pub struct StateGetArgs {
    #[command(flatten)]
    entry: super::StateKey,
}

/// Prints the value byte for byte; as JSON, with its version.
pub async fn run(args: &StateGetArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let answer = client.fetch(&args.entry.path()?).await?;
    if printer.is_json() {
        let text = String::from_utf8(answer.body);
        let (value, bytes) = match &text {
            Ok(text) => (Some(text.as_str()), text.len()),
            Err(other) => (None, other.as_bytes().len()),
        };
        printer.value(&json!({ "key": args.entry.key, "version": answer.tag, "bytes": bytes, "value": value }));
        return Ok(());
    }
    printer.untrusted(&answer.body);
    Ok(())
}
