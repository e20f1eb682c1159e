//! `tidemill secrets delete`.

use tidemill_api_types::Secret;

use crate::client::{Client, Record, encoded};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill secrets delete`.
#[derive(Debug, clap::Args)]
pub struct SecretDeleteArgs {
    /// The secret
    name: String,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Runs the command.
pub async fn run(args: &SecretDeleteArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("/v1/secrets/{}", encoded(&args.name));
    let secret: Record<Secret<'static>> = client.get(&path).await?;
    if args.confirm.dry_run {
        let text = format!("{} would be deleted with all its versions; nothing was changed", secret.name);
        printer.record(&secret, &text);
        return Ok(());
    }
    args.confirm.ask(&format!("Delete {} with all its versions?", secret.name), printer)?;
    client.delete(&path, &[]).await?;
    printer.record(&secret, &format!("{} deleted", secret.name));
    Ok(())
}
