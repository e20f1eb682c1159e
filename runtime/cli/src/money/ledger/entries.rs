//! `tidemill ledger entries`: lists entries.

use tidemill_api_types::LedgerEntry;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::money::shown;
use crate::printer::{Printer, Row};
use crate::query::Query;

/// Arguments of `tidemill ledger entries`.
#[derive(Debug, clap::Args)]
pub struct LedgerEntriesArgs {
    /// List only entries of this stream
    #[arg(long, short, value_name = "NAME")]
    stream: Option<String>,

    /// Maximum number of entries
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
}

impl Row for LedgerEntry<'_> {
    const HEADS: &'static [&'static str] =
        &["NUMBER", "STREAM", "EXTERNAL ID", "KIND", "AMOUNT", "OCCURRED", "CUSTOMER"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.sequence.to_string(),
            self.stream.to_string(),
            self.external_id.to_string(),
            self.kind.to_string(),
            shown(&self.amount, &self.currency),
            self.occurred_at.to_string(),
            self.customer.as_deref().unwrap_or_default().to_owned(),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &LedgerEntriesArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = Query::default().with_each("stream", &args.stream).of_path("/v1/ledger/entries");
    let all: Vec<Record<LedgerEntry<'static>>> = client.list(&path, args.limit as usize).await?;
    printer.rows(&all, "no entries: no run has posted to the ledger yet");
    Ok(())
}
