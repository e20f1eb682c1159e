//! `tidemill operations list`.

use tidemill_api_types::Operation;
use tidemill_core::wire::grouped;

use super::{action, items};
use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::text::time;

/// Arguments of `tidemill operations list`.
#[derive(Debug, Default, clap::Args)]
pub struct OperationListArgs {
    /// Include operations that are done or cancelled
    #[arg(long)]
    all: bool,
}

impl Row for Operation<'_> {
    const HEADS: &'static [&'static str] =
        &["OPERATION", "ACTION", "STATE", "OF", "FOUND", "DONE", "LEFT OUT", "CREATED", "ENDED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            action(self).to_owned(),
            self.state.to_string(),
            items(self),
            grouped(self.matched),
            grouped(self.done),
            grouped(self.failed),
            self.created_at.to_string(),
            time(self.ended_at),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &OperationListArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = if args.all { "/v1/operations?state=all" } else { "/v1/operations" };
    let all: Vec<Record<Operation<'static>>> = client.all(path).await?;
    printer
        .rows(&all, if args.all { "no operations" } else { "no operation is running; `--all` lists completed ones" });
    Ok(())
}
