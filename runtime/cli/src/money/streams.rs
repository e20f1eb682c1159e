//! `tidemill streams list`: lists each revenue stream with its revenue.

use clap::Subcommand;
use tidemill_api_types::Stream;
use tidemill_core::wire::grouped;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::money::shown;
use crate::printer::{Printer, Row};
use crate::query::Query;
use crate::text::time;

/// The commands about revenue streams.
#[derive(Debug, Subcommand)]
pub enum StreamCommand {
    /// List revenue streams with their revenue
    List(StreamListArgs),
}

/// Arguments of `tidemill streams list`.
#[derive(Debug, clap::Args)]
pub struct StreamListArgs {
    /// List streams on paper instead
    #[arg(long)]
    paper: bool,
}

impl Row for Stream {
    const HEADS: &'static [&'static str] = &["STREAM", "NET REVENUE", "ENTRIES", "COLLECTED UNTIL"];

    fn cells(&self) -> Vec<String> {
        let earned: Vec<_> = self.totals.iter().map(|total| shown(&total.amount, &total.currency)).collect();
        let entries = self.totals.iter().map(|total| total.entries).sum();
        vec![self.name.clone(), earned.join(", "), grouped(entries), time(self.collected_until)]
    }
}

/// Runs the command.
pub async fn run(command: StreamCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let StreamCommand::List(StreamListArgs { paper }) = command;
    let all: Vec<Record<Stream>> = client.all(&Query::of("paper", paper).of_path("/v1/streams")).await?;
    printer.rows(&all, "no streams: deploy a module that exports `revenue-stream`");
    Ok(())
}
