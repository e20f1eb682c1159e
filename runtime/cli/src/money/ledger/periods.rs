//! `tidemill ledger close` and `tidemill ledger periods`.

use tidemill_api_types::ClosedPeriod;

use crate::client::{Client, Record, encoded};
use crate::confirm::ConfirmArgs;
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill ledger close`.
#[derive(Debug, clap::Args)]
pub struct LedgerCloseArgs {
    /// The period, such as 2026-10, 2026-W41, 2026-10-05 or 2026
    period: String,

    /// Time zone of the period
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,

    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// Arguments of `tidemill ledger periods`.
#[derive(Debug, clap::Args)]
pub struct LedgerPeriodsArgs {
    /// Maximum number of periods
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

impl Row for ClosedPeriod<'_> {
    const HEADS: &'static [&'static str] = &["PERIOD", "TIME ZONE", "END", "CLOSED", "LAST ENTRY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.period.to_string(),
            self.time_zone.to_string(),
            self.end.to_string(),
            self.closed_at.to_string(),
            self.sequence.to_string(),
        ]
    }
}

/// Closes a period.
pub async fn close(args: &LedgerCloseArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let question =
        format!("Close {} in {} and everything before it? It cannot be opened again.", args.period, args.time_zone);
    if args.confirm.dry_run {
        printer.note(&format!("would close {} in {} and everything before it", args.period, args.time_zone));
        return Ok(());
    }
    args.confirm.ask(&question, printer)?;
    let (period, zone) = (encoded(&args.period), encoded(&args.time_zone));
    let closed: Record<ClosedPeriod<'static>> =
        client.post(&format!("/v1/ledger/periods/{period}/close?time_zone={zone}")).await?;
    let text = format!("closed {} in {}, up to entry {}", closed.period, closed.time_zone, closed.sequence);
    printer.record(&closed, &text);
    Ok(())
}

/// Lists closed periods.
pub async fn list(args: &LedgerPeriodsArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let all: Vec<Record<ClosedPeriod<'static>>> = client.list("/v1/ledger/periods", args.limit as usize).await?;
    printer.rows(&all, "no period is closed");
    Ok(())
}
