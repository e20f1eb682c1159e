//! Reports about the ledger.

pub mod customers;
pub mod fuel;
pub mod growth;
pub mod revenue;
pub mod statement;

use tidemill_api_types::{Amount, ConvertedRevenue, ReportRange, Time};

use crate::money::shown;
use crate::printer::Printer;
use crate::query::Query;

/// Arguments that every report has.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    #[command(flatten)]
    range: RangeArgs,

    /// Count only entries up to this number, or posted up to this time (RFC 3339)
    #[arg(long, value_name = "NUMBER|TIME")]
    as_of: Option<String>,
}

/// The stream and the range of a report.
#[derive(Debug, clap::Args)]
pub struct RangeArgs {
    /// The stream; all if left out
    stream: Option<String>,

    /// A day, week, month or year: 2026-10-05, 2026-W41, 2026-10 or 2026
    #[arg(long, short, value_name = "PERIOD", conflicts_with_all = ["start", "end"])]
    period: Option<String>,

    /// Start of the range, inclusive, such as 1h (ago), yesterday, 2026-11-29 or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    start: Option<Time>,

    /// End of the range, exclusive
    #[arg(long, value_name = "TIME", value_parser = crate::when::time)]
    end: Option<Time>,

    /// Time zone of periods and days
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,

    /// Report about streams on paper instead
    #[arg(long)]
    paper: bool,
}

impl ReportArgs {
    /// Returns the path of a report with its query.
    fn path(&self, report: &str, more: &[(&str, Option<&str>)]) -> String {
        self.range.path(report, &[&[("as_of", self.as_of.as_deref())], more].concat())
    }
}

impl RangeArgs {
    /// Returns the path of a report with its query.
    fn path(&self, report: &str, more: &[(&str, Option<&str>)]) -> String {
        let (start, end) = (self.start.map(|time| time.to_string()), self.end.map(|time| time.to_string()));
        let own = [
            ("stream", self.stream.as_deref()),
            ("period", self.period.as_deref()),
            ("start", start.as_deref()),
            ("end", end.as_deref()),
            ("time_zone", self.time_zone.as_deref()),
            ("paper", self.paper.then_some("true")),
        ];
        let given = own.iter().chain(more).filter_map(|(name, value)| Some((*name, (*value)?)));
        let query = given.fold(Query::default(), |query, (name, value)| query.with(name, value));
        query.of_path(&format!("/v1/ledger/{report}"))
    }
}

/// Formats an amount with its currency.
fn money(amount: &Amount) -> String {
    shown(&amount.amount, &amount.currency)
}

/// Formats a range: its period, or its start and end.
fn range(range: &ReportRange) -> String {
    match &range.period {
        Some(period) => period.clone(),
        None => format!("{} to {}", range.start, range.end),
    }
}

/// Prints net revenue in one currency, and what has no rate.
fn print_converted(converted: Option<&ConvertedRevenue>, printer: &Printer) {
    let Some(converted) = converted else { return };
    let rest: Vec<_> = converted.unconverted.iter().map(money).collect();
    let rest = if rest.is_empty() { String::new() } else { format!(", without a rate: {}", rest.join(", ")) };
    printer.line(&format!("net revenue in one currency: {}{rest}", money(&converted.net_revenue)));
}
