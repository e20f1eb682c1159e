//! `tidemill secrets new-master-key`.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use serde::Serialize;
use tidemill_vault::MasterKey;

use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill secrets new-master-key`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Give the key to the host as TIDEMILL_MASTER_KEY, or its file as TIDEMILL_MASTER_KEY_FILE.\n\
                  Keep it apart from backups of the data folder: without it, sealed data is lost.")]
pub struct NewMasterKeyArgs {
    /// Write the key to a new file that only its owner can read, instead of showing it
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// A new key, for `--json`.
#[derive(Serialize)]
struct NewKey<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

/// Runs the command.
pub fn run(args: &NewMasterKeyArgs, printer: &Printer) -> Result<(), CliError> {
    let key = MasterKey::generate().map_err(|error| CliError::failed(error.to_string()))?;
    let (id, text) = (key.id().to_string(), key.to_base64());
    let Some(file) = &args.file else {
        printer.record(&NewKey { id, key: Some(&text) }, &text);
        return Ok(());
    };
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut file| writeln!(file, "{}", *text).and_then(|()| file.sync_all()));
    written.map_err(|cause| {
        CliError::machine(format!("cannot write {}", file.display()), &cause)
            .with_fix("name a file that does not exist, in a folder that this user may write to")
    })?;
    let done = format!("the master key {id} is in {}", file.display());
    printer.record(&NewKey { id, key: None }, &done);
    Ok(())
}
