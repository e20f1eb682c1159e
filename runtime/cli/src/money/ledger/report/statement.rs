//! `tidemill ledger statement`: shows a statement of account.

use tidemill_api_types::{Statement, StatementAccount, StatementLine};
use tidemill_core::wire::grouped;

use super::{ReportArgs, money, print_converted, range};
use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill ledger statement`.
#[derive(Debug, clap::Args)]
pub struct LedgerStatementArgs {
    #[command(flatten)]
    report: ReportArgs,

    /// Count entries by when they were posted instead of when they occurred
    #[arg(long)]
    by_posting: bool,

    /// Convert net revenue into this currency at the rates of each day
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
}

impl Row for StatementAccount {
    const HEADS: &'static [&'static str] = &["ACCOUNT", "TYPE", "OPENING", "CLOSING", "PENDING"];

    fn cells(&self) -> Vec<String> {
        let pending = if self.pending.minor_units == 0 { String::new() } else { money(&self.pending) };
        vec![self.account.clone(), self.account_type.clone(), money(&self.opening), money(&self.closing), pending]
    }
}

impl Row for StatementLine {
    const HEADS: &'static [&'static str] = &["KIND", "ENTRIES", "POSTED", "NET REVENUE"];

    fn cells(&self) -> Vec<String> {
        vec![self.kind.clone(), grouped(self.entries), money(&self.posted), money(&self.net_revenue)]
    }
}

/// Runs the command.
pub async fn run(args: &LedgerStatementArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let by = args.by_posting.then_some("posted");
    let path = args.report.path("statement", &[("by", by), ("currency", args.currency.as_deref())]);
    let statement: Record<Statement<'static>> = client.get(&path).await?;
    if printer.is_json() {
        printer.value(&statement);
        return Ok(());
    }
    let closed = if statement.closed { ", closed" } else { "" };
    let of = statement.basis.stream.as_deref().unwrap_or("all streams");
    printer.line(&format!("{of}, {} in {}{closed}", range(&statement.range), statement.basis.time_zone));
    if statement.currencies.is_empty() {
        printer.note("no entries in or before this range");
    }
    for part in &statement.currencies {
        printer.line("");
        printer.rows(&part.accounts, "no account has a balance");
        for (lines, head) in [(&part.movements, ""), (&part.late, "late: of periods that were closed before")] {
            if !lines.is_empty() {
                printer.line(head);
                printer.rows(lines, "");
            }
        }
        printer.line(&format!("net revenue {}", money(&part.net_revenue)));
    }
    print_converted(statement.converted.as_ref(), printer);
    Ok(())
}
