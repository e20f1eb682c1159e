//! `tidemill ledger accounts`: lists accounts with their balances.

use tidemill_api_types::Account;

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::{Printer, Row};

/// Arguments of `tidemill ledger accounts`.
#[derive(Debug, clap::Args)]
pub struct LedgerAccountsArgs {
    /// List only accounts of this stream
    #[arg(long, short, value_name = "NAME")]
    stream: Option<String>,
}

impl Row for Account<'_> {
    const HEADS: &'static [&'static str] = &["STREAM", "ACCOUNT", "BALANCE", "PENDING"];

    fn cells(&self) -> Vec<String> {
        let amount = |amount: &str| format!("{amount} {}", self.currency);
        let pending = if self.pending == 0 { String::new() } else { amount(&self.pending_amount) };
        vec![self.stream.to_string(), self.account.to_string(), amount(&self.amount), pending]
    }
}

/// Runs the command.
pub async fn run(args: &LedgerAccountsArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let filter = args.stream.as_ref().map(|stream| format!("?stream={}", encoded(stream))).unwrap_or_default();
    let all: Vec<Record<Account<'static>>> = client.all(&format!("/v1/ledger/accounts{filter}")).await?;
    printer.rows(&all, "no accounts: no run has posted to the ledger yet");
    Ok(())
}
