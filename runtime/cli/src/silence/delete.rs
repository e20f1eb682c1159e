//! `tidemill silences delete`: deletes a silence.

use tidemill_api_types::Silence;

use crate::client::{Client, Record, encoded};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Arguments of `tidemill silences delete`.
#[derive(Debug, clap::Args)]
pub struct SilenceDeleteArgs {
    /// The silence
    id: String,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Runs the command.
pub async fn run(args: &SilenceDeleteArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let all: Vec<Record<Silence<'static>>> = client.all("/v1/silences").await?;
    let Some(silence) = all.iter().find(|silence| silence.id == args.id) else {
        return Err(CliError::Failed {
            code: Some("host/silence-not-found".to_owned()),
            message: format!("there is no silence {}", clean(&args.id)),
            fix: Some("use an id of `tidemill silences list`".to_owned()),
        });
    };
    if args.confirm.dry_run {
        printer.record(silence, &format!("{} would be deleted; nothing was changed", clean(&silence.id)));
        return Ok(());
    }
    args.confirm.ask(&format!("Delete {}, and announce what it silences?", clean(&silence.id)), printer)?;
    client.delete(&format!("/v1/silences/{}", encoded(&args.id)), &[]).await?;
    printer.record(silence, &format!("{} deleted", clean(&silence.id)));
    Ok(())
}
