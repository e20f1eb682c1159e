//! `tidemill ledger reservations`: lists open reservations.

use tidemill_api_types::LedgerEntry;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::money::shown;
use crate::printer::{Printer, Row};
use crate::text::time;

/// Arguments of `tidemill ledger reservations`.
#[derive(Debug, clap::Args)]
pub struct LedgerReservationsArgs {
    /// Maximum number of reservations
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
}

/// A reservation in a list.
#[derive(Debug, serde::Serialize)]
#[serde(transparent)]
struct ReservationRow(Record<LedgerEntry<'static>>);

impl Row for ReservationRow {
    const HEADS: &'static [&'static str] =
        &["RESERVED", "EXPIRES", "STREAM", "EXTERNAL ID", "KIND", "AMOUNT", "CUSTOMER"];

    fn cells(&self) -> Vec<String> {
        let Self(entry) = self;
        vec![
            entry.posted_at.to_string(),
            time(entry.expires_at),
            entry.stream.to_string(),
            entry.external_id.to_string(),
            entry.kind.to_string(),
            shown(&entry.amount, &entry.currency),
            entry.customer.as_deref().unwrap_or_default().to_owned(),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &LedgerReservationsArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let all: Vec<Record<LedgerEntry<'static>>> = client.list("/v1/ledger/reservations", args.limit as usize).await?;
    let rows: Vec<_> = all.into_iter().map(ReservationRow).collect();
    printer.rows(&rows, "no open reservations");
    Ok(())
}
