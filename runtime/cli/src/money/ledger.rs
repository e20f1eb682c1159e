//! Lists entries, sums revenue, and recomputes all totals.

use clap::Subcommand;
use tidemill_api_types::{LedgerCheck, LedgerEntry, Revenue, Time};
use tidemill_core::wire::grouped;

use super::amount;
use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::{Printer, Row, clean};

/// The commands about the ledger.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// List entries, newest first
    Entries(LedgerEntriesArgs),
    /// Sum a stream's net revenue
    Revenue(LedgerRevenueArgs),
    /// Recompute every total and compare; exit code 1 if anything differs
    Check,
}

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

/// Arguments of `tidemill ledger revenue`.
#[derive(Debug, clap::Args)]
pub struct LedgerRevenueArgs {
    /// The stream
    stream: String,

    /// Start of the range, inclusive, such as 1h (ago), yesterday, 2026-11-29 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    start: Option<Time>,

    /// End of the range, exclusive
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    end: Option<Time>,
}

/// Runs the command.
pub async fn run(command: LedgerCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        LedgerCommand::Entries(args) => entries(&args, client, printer).await,
        LedgerCommand::Revenue(args) => revenue(&args, client, printer).await,
        LedgerCommand::Check => check(client, printer).await,
    }
}

impl Row for LedgerEntry<'_> {
    const HEADS: &'static [&'static str] = &["STREAM", "EXTERNAL ID", "KIND", "AMOUNT", "OCCURRED", "CUSTOMER"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.stream.to_string(),
            self.external_id.to_string(),
            self.kind.to_string(),
            amount(self.minor_units.into(), &self.currency),
            self.occurred_at.to_string(),
            self.customer.as_deref().unwrap_or_default().to_owned(),
        ]
    }
}

async fn entries(args: &LedgerEntriesArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let filter = args.stream.as_ref().map(|stream| format!("?stream={}", encoded(stream))).unwrap_or_default();
    let all: Vec<Record<LedgerEntry<'static>>> =
        client.list(&format!("/v1/ledger/entries{filter}"), args.limit as usize).await?;
    printer.rows(&all, "no entries: no run has posted to the ledger yet");
    Ok(())
}

async fn revenue(args: &LedgerRevenueArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut path = format!("/v1/ledger/revenue?stream={}", encoded(&args.stream));
    for (name, value) in [("start", args.start), ("end", args.end)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encoded(&value.to_string())));
        }
    }
    let revenue: Revenue<'static> = client.get(&path).await?;
    printer.rows(&revenue.totals, "nothing was earned");
    Ok(())
}

async fn check(client: &Client, printer: &Printer) -> Result<(), CliError> {
    let check: Record<LedgerCheck<'static>> = client.post("/v1/ledger/check").await?;
    if check.problems.is_empty() {
        let (entries, totals) = (grouped(check.entries), grouped(check.totals));
        printer.record(&check, &format!("the ledger is right: {entries} entries, {totals} totals"));
        return Ok(());
    }
    printer.record(&check, &check.problems.iter().map(|problem| clean(problem)).collect::<Vec<_>>().join("\n"));
    Err(CliError::failed(format!("the ledger differs from its entries in {} places", check.problems.len())).with_fix(
        "stop the host, keep the data folder unchanged, and restore the last backup into another folder to compare",
    ))
}
