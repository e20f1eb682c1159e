//! `tidemill operations list`.

use super::Operation;
use crate::client::Client;
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::wire::grouped;

/// Arguments of `tidemill operations list`.
#[derive(Debug, Default, clap::Args)]
pub struct OperationListArgs {
    /// Include operations that are done or cancelled
    #[arg(long)]
    all: bool,
}

impl Row for Operation {
    const HEADS: &'static [&'static str] =
        &["OPERATION", "ACTION", "STATE", "OF", "FOUND", "DONE", "LEFT OUT", "CREATED", "ENDED"];

    fn cells(&self) -> Vec<String> {
        let time = |name: &str| self.more.get(name).and_then(|time| time.as_str()).unwrap_or_default().to_owned();
        vec![
            self.id.clone(),
            self.action.clone(),
            self.state.clone(),
            self.of(),
            grouped(self.matched),
            grouped(self.done),
            grouped(self.failed),
            time("created_at"),
            time("ended_at"),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &OperationListArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = if args.all { "/v1/operations?state=all" } else { "/v1/operations" };
    let all: Vec<Operation> = client.all(path).await?;
    printer
        .rows(&all, if args.all { "no operations" } else { "no operation is running; `--all` lists completed ones" });
    Ok(())
}
