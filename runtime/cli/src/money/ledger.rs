//! Lists entries, sums revenue, and recomputes all totals.

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Total, amount};
use crate::client::{Client, encoded};
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
    start: Option<String>,

    /// End of the range, exclusive
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    end: Option<String>,
}

/// Runs the command.
pub async fn run(command: LedgerCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        LedgerCommand::Entries(args) => entries(&args, client, printer).await,
        LedgerCommand::Revenue(args) => revenue(&args, client, printer).await,
        LedgerCommand::Check => check(client, printer).await,
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Entry {
    id: String,
    stream: String,
    external_id: String,
    kind: String,
    minor_units: i64,
    currency: String,
    occurred_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
    #[serde(flatten)]
    more: serde_json::Map<String, Value>,
}

impl Row for Entry {
    const HEADS: &'static [&'static str] = &["STREAM", "EXTERNAL ID", "KIND", "AMOUNT", "OCCURRED", "CUSTOMER"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.stream.clone(),
            self.external_id.clone(),
            self.kind.clone(),
            amount(self.minor_units.into(), &self.currency),
            self.occurred_at.clone(),
            self.customer.clone().unwrap_or_default(),
        ]
    }
}

async fn entries(args: &LedgerEntriesArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let filter = args.stream.as_ref().map(|stream| format!("?stream={}", encoded(stream))).unwrap_or_default();
    let all: Vec<Entry> = client.list(&format!("/v1/ledger/entries{filter}"), args.limit as usize).await?;
    printer.rows(&all, "no entries: no run has posted to the ledger yet");
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Revenue {
    totals: Vec<Total>,
}

async fn revenue(args: &LedgerRevenueArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let mut path = format!("/v1/ledger/revenue?stream={}", encoded(&args.stream));
    for (name, value) in [("start", &args.start), ("end", &args.end)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    let revenue: Revenue = client.get(&path).await?;
    printer.rows(&revenue.totals, "nothing was earned");
    Ok(())
}

async fn check(client: &Client, printer: &Printer) -> Result<(), CliError> {
    let answer = client.post("/v1/ledger/check").await?;
    let problems: Vec<_> = answer["problems"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let count = |name: &str| crate::wire::grouped(answer[name].as_u64().unwrap_or_default());
    if problems.is_empty() {
        printer
            .record(&answer, &format!("the ledger is right: {} entries, {} totals", count("entries"), count("totals")));
        return Ok(());
    }
    printer.record(&answer, &problems.iter().map(|problem| clean(problem)).collect::<Vec<_>>().join("\n"));
    Err(CliError::failed(format!("the ledger differs from its entries in {} places", problems.len())).with_fix(
        "stop the host, keep the data folder unchanged, and restore the last backup into another folder to compare",
    ))
}
