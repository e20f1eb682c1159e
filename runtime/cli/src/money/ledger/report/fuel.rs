//! `tidemill ledger fuel`: sums the fuel of streams, and net revenue per million fuel.

use serde::Serialize;
use tidemill_api_types::{FuelReport, FuelRevenue, StreamFuel};
use tidemill_core::wire::grouped;

use super::{RangeArgs, money, range};
use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill ledger fuel`.
#[derive(Debug, clap::Args)]
pub struct LedgerFuelArgs {
    #[command(flatten)]
    range: RangeArgs,

    /// Count entries by when they were posted instead of when they occurred
    #[arg(long)]
    by_posting: bool,
}

/// A stream in one currency; `None` if it earned nothing.
#[derive(Serialize)]
struct StreamLine<'r>(&'r StreamFuel, Option<&'r FuelRevenue>);

impl Row for StreamLine<'_> {
    const HEADS: &'static [&'static str] = &["STREAM", "RUNS", "FUEL", "NET REVENUE", "PER MILLION FUEL"];

    fn cells(&self) -> Vec<String> {
        let Self(stream, revenue) = self;
        let earned = revenue.map(|revenue| money(&revenue.net_revenue)).unwrap_or_default();
        let ratio = revenue.and_then(|revenue| revenue.per_million_fuel.clone()).unwrap_or_default();
        vec![stream.stream.clone(), grouped(stream.runs), grouped(stream.fuel), earned, ratio]
    }
}

/// Runs the command.
pub async fn run(args: &LedgerFuelArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = args.range.path("fuel", &[("by", args.by_posting.then_some("posted"))]);
    let report: Record<FuelReport<'static>> = client.get(&path).await?;
    if printer.is_json() {
        printer.value(&report);
        return Ok(());
    }
    printer.line(&range(&report.range));
    let mut lines = Vec::new();
    for stream in &report.streams {
        lines.extend(stream.revenue.iter().map(|revenue| StreamLine(stream, Some(revenue))));
        if stream.revenue.is_empty() {
            lines.push(StreamLine(stream, None));
        }
    }
    printer.rows(&lines, "no run of a stream ended");
    Ok(())
}
