//! `tidemill state delete`.

use serde_json::json;

use crate::client::Client;
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::{Printer, clean};
use crate::text::bytes;

/// Arguments of `tidemill state delete`.
#[derive(Debug, clap::Args)]
pub struct StateDeleteArgs {
    #[command(flatten)]
    entry: super::StateKey,

    /// Delete the value only if the current one has this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Runs the command.
pub async fn run(args: &StateDeleteArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = args.entry.path()?;
    let name = format!("{}/{}", args.entry.deployment, clean(&args.entry.key));
    let mut record = json!({ "deployment": args.entry.deployment, "key": args.entry.key });
    if args.confirm.dry_run || args.confirm.is_interactive() {
        let present = client.fetch(&path).await?;
        let size = bytes(present.body.len() as u64);
        if args.confirm.dry_run {
            record["would_delete"] = json!(true);
            printer.record(&record, &format!("{name} would be deleted ({size})"));
            return Ok(());
        }
        args.confirm.ask(&format!("Delete {name} ({size})?"), printer)?;
    }
    let tag = args.if_version.map(|version| format!("\"{version}\""));
    let headers: Vec<_> = tag.iter().map(|tag| ("if-match", tag.as_str())).collect();
    client.delete(&path, &headers).await?;
    record["deleted"] = json!(true);
    printer.record(&record, &format!("{name} deleted"));
    Ok(())
}
