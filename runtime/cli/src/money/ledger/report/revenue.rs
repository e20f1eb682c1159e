//! `tidemill ledger revenue`: sums net revenue.

use clap::ValueEnum;
use serde::Serialize;
use tidemill_api_types::{ConvertedRevenue, PeriodRevenue, Revenue, RevenueTotal};
use tidemill_core::wire::grouped;

use super::{ReportArgs, money, print_converted};
use crate::client::{Client, Record};
use crate::error::CliError;
use crate::money::shown;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill ledger revenue`.
#[derive(Debug, clap::Args)]
pub struct LedgerRevenueArgs {
    #[command(flatten)]
    report: ReportArgs,

    /// Count entries by when they were posted instead of when they occurred
    #[arg(long)]
    by_posting: bool,

    /// List each hour, day, week, month or year
    #[arg(long, value_enum, value_name = "UNIT")]
    per: Option<RevenueUnit>,

    /// List each stream
    #[arg(long)]
    by_stream: bool,

    /// List each kind of entry
    #[arg(long)]
    by_kind: bool,

    /// Convert net revenue into this currency at the rates of each day
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
}

/// The unit of periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RevenueUnit {
    /// Hours
    Hour,
    /// Days
    Day,
    /// Weeks, from Monday
    Week,
    /// Months
    Month,
    /// Years
    Year,
}

/// A total, with the period that it is of.
#[derive(Debug, Serialize)]
struct RevenueRow<'a> {
    period: &'a str,
    #[serde(flatten)]
    total: &'a RevenueTotal,
}

impl Row for RevenueRow<'_> {
    const HEADS: &'static [&'static str] = &["PERIOD", "STREAM", "KIND", "NET REVENUE", "ENTRIES"];

    fn cells(&self) -> Vec<String> {
        [vec![self.period.to_owned()], self.total.cells()].concat()
    }
}

impl Row for RevenueTotal {
    const HEADS: &'static [&'static str] = &["STREAM", "KIND", "NET REVENUE", "ENTRIES"];

    fn cells(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "all".to_owned());
        let earned = shown(&self.amount, &self.currency);
        vec![text(&self.stream), text(&self.kind), earned, grouped(self.entries)]
    }
}

/// Net revenue of a period in one currency.
#[derive(Debug, Serialize)]
struct ConvertedRow<'a> {
    period: &'a str,
    converted: &'a ConvertedRevenue,
}

impl Row for ConvertedRow<'_> {
    const HEADS: &'static [&'static str] = &["PERIOD", "NET REVENUE", "WITHOUT A RATE"];

    fn cells(&self) -> Vec<String> {
        let rest: Vec<_> = self.converted.unconverted.iter().map(money).collect();
        vec![self.period.to_owned(), money(&self.converted.net_revenue), rest.join(", ")]
    }
}

/// Runs the command.
pub async fn run(args: &LedgerRevenueArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let unit = args.per.and_then(|unit| unit.to_possible_value()).map(|unit| unit.get_name().to_owned());
    let more = [
        ("by", args.by_posting.then_some("posted")),
        ("per", unit.as_deref()),
        ("group", args.by_stream.then_some("stream")),
        ("group", args.by_kind.then_some("kind")),
        ("currency", args.currency.as_deref()),
    ];
    let revenue: Record<Revenue<'static>> = client.get(&args.report.path("revenue", &more)).await?;
    if printer.is_json() {
        printer.value(&revenue);
        return Ok(());
    }
    match &revenue.periods {
        Some(periods) if args.currency.is_some() => {
            let rows: Vec<_> = periods.iter().filter_map(converted_row).collect();
            printer.rows(&rows, "nothing was earned");
        }
        Some(periods) => {
            let rows: Vec<_> = periods.iter().flat_map(revenue_rows).collect();
            printer.rows(&rows, "nothing was earned");
        }
        None => printer.rows(&revenue.totals, "nothing was earned"),
    }
    print_converted(revenue.converted.as_ref(), printer);
    Ok(())
}

fn revenue_rows(period: &PeriodRevenue) -> Vec<RevenueRow<'_>> {
    let name = period.range.period.as_deref().unwrap_or_default();
    period.totals.iter().map(|total| RevenueRow { period: name, total }).collect()
}

fn converted_row(period: &PeriodRevenue) -> Option<ConvertedRow<'_>> {
    let name = period.range.period.as_deref().unwrap_or_default();
    Some(ConvertedRow { period: name, converted: period.converted.as_ref()? })
}
