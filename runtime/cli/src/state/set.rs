//! `tidemill state set`.

use std::io::Read as _;

use reqwest::Method;
use tidemill_api_types::StateChange;
use tidemill_core::limits::STATE_VALUE_BYTES;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, clean};
use crate::text::bytes;

/// Arguments of `tidemill state set`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The value is stored as it is written. The SDK's `state::set` stores JSON, in which text has quotes.\n\
                        For example: tidemill state set hello greeted 7\n             \
                        tidemill state set hello owner '\"Ada\"' --if-version 812"
)]
pub struct StateSetArgs {
    #[command(flatten)]
    entry: super::StateKey,

    /// The value; or @FILE for a file's bytes, or @- for those of standard input
    #[arg(value_name = "VALUE|@FILE", allow_negative_numbers = true)]
    value: String,

    /// Set the value only if the current one has this version
    #[arg(long, value_name = "VERSION", conflicts_with = "new")]
    if_version: Option<u64>,

    /// Set the value only if the key has none
    #[arg(long)]
    new: bool,
}

/// Runs the command.
pub async fn run(args: &StateSetArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = args.entry.path()?;
    let value = read(&args.value)?;
    let size = value.len() as u64;
    let tag = args.if_version.map(|version| format!("\"{version}\""));
    let mut headers = Vec::new();
    headers.extend(tag.as_deref().map(|tag| ("if-match", tag)));
    headers.extend(args.new.then_some(("if-none-match", "*")));
    let change: Record<StateChange<'static>> = client.ask(Method::PUT, &path, value, &headers).await?;
    let done = if change.created { "set" } else { "replaced" };
    printer.record(&change, &format!("{}/{} {done} ({})", args.entry.deployment, clean(&args.entry.key), bytes(size)));
    Ok(())
}

/// Returns the bytes that the argument selects.
fn read(given: &str) -> Result<Vec<u8>, CliError> {
    let Some(name) = given.strip_prefix('@') else { return Ok(given.as_bytes().to_vec()) };
    // Read one byte more than the maximum, so that a longer value is refused instead of cut.
    let most = STATE_VALUE_BYTES as u64 + 1;
    let mut value = Vec::new();
    let read = if name == "-" {
        std::io::stdin().lock().take(most).read_to_end(&mut value)
    } else {
        std::fs::File::open(name).and_then(|file| file.take(most).read_to_end(&mut value))
    };
    read.map_err(|cause| {
        CliError::usage(
            format!("cannot read {name}: {cause}"),
            "write the value itself, or @FILE; for a value that begins with @, give it on standard input with @-",
        )
    })?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_stored_as_it_is_written() {
        assert_eq!(read("\"Ada\"").unwrap(), b"\"Ada\"");
        assert_eq!(read("").unwrap(), b"");
        assert_eq!(read("@/there/is/no/such/file").unwrap_err().exit_code(), 2);
    }
}
