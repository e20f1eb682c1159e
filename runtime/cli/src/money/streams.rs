//! `tidemill streams list`: lists each revenue stream with its revenue.

use clap::Subcommand;
use serde::{Deserialize, Serialize};

use super::{Total, amount};
use crate::client::Client;
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// The commands about revenue streams.
#[derive(Debug, Subcommand)]
pub enum StreamCommand {
    /// List revenue streams with their revenue
    List,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Stream {
    name: String,
    deployed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    collected_until: Option<String>,
    totals: Vec<Total>,
}

impl Row for Stream {
    const HEADS: &'static [&'static str] = &["STREAM", "NET REVENUE", "ENTRIES", "COLLECTED UNTIL"];

    fn cells(&self) -> Vec<String> {
        let earned: Vec<_> = self.totals.iter().map(|total| amount(total.net_revenue, &total.currency)).collect();
        let entries = self.totals.iter().map(|total| total.entries).sum();
        let until = self.collected_until.clone().unwrap_or_default();
        vec![self.name.clone(), earned.join(", "), crate::wire::grouped(entries), until]
    }
}

/// Runs the command.
pub async fn run(command: StreamCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let StreamCommand::List = command;
    let all: Vec<Stream> = client.all("/v1/streams").await?;
    printer.rows(&all, "no streams: deploy a module that exports `revenue-stream`");
    Ok(())
}
