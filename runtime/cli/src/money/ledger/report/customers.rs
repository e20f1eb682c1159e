//! `tidemill ledger customers`: lists the customers who brought most.

use tidemill_api_types::{CustomerReport, CustomerRevenue};
use tidemill_core::wire::grouped;

use super::{ReportArgs, money, range};
use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill ledger customers`.
#[derive(Debug, clap::Args)]
pub struct LedgerCustomersArgs {
    #[command(flatten)]
    report: ReportArgs,

    /// Count entries by when they were posted instead of when they occurred
    #[arg(long)]
    by_posting: bool,

    /// Maximum number of customers for each currency
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    top: u32,
}

impl Row for CustomerRevenue {
    const HEADS: &'static [&'static str] = &["CUSTOMER", "NET REVENUE", "ENTRIES"];

    fn cells(&self) -> Vec<String> {
        let customer = self.customer.clone().unwrap_or_else(|| "(none)".to_owned());
        vec![customer, money(&self.net_revenue), grouped(self.entries)]
    }
}

/// Runs the command.
pub async fn run(args: &LedgerCustomersArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let top = args.top.to_string();
    let more = [("by", args.by_posting.then_some("posted")), ("top", Some(top.as_str()))];
    let path = args.report.path("customers", &more);
    let report: Record<CustomerReport<'static>> = client.get(&path).await?;
    if printer.is_json() {
        printer.value(&report);
        return Ok(());
    }
    printer.line(&range(&report.range));
    if report.currencies.is_empty() {
        printer.note("nothing was earned");
    }
    for part in &report.currencies {
        let average = part.average.as_ref().map(|average| format!(", on average {average} {}", part.currency));
        let (customers, average) = (grouped(part.customers), average.unwrap_or_default());
        printer.line(&format!("\n{customers} customers: {}{average}", money(&part.net_revenue)));
        let without = Some(&part.without_customer).filter(|without| without.entries > 0);
        let rows: Vec<_> = part.top.iter().chain(without).cloned().collect();
        printer.rows(&rows, "no customer");
    }
    Ok(())
}
