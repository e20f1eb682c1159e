//! `tidemill ledger accounts`: lists accounts with their balances.

use tidemill_api_types::Account;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::money::shown;
use crate::printer::{Printer, Row};
use crate::query::Query;

/// Arguments of `tidemill ledger accounts`.
#[derive(Debug, clap::Args)]
pub struct LedgerAccountsArgs {
    /// List only accounts of this stream
    #[arg(long, short, value_name = "NAME")]
    stream: Option<String>,

    /// List accounts on paper instead
    #[arg(long)]
    paper: bool,
}

impl Row for Account<'_> {
    const HEADS: &'static [&'static str] = &["STREAM", "ACCOUNT", "BALANCE", "PENDING"];

    fn cells(&self) -> Vec<String> {
        let amount = |amount: &str| shown(amount, &self.currency);
        let pending = if self.pending == 0 { String::new() } else { amount(&self.pending_amount) };
        vec![self.stream.to_string(), self.account.to_string(), amount(&self.amount), pending]
    }
}

/// Runs the command.
pub async fn run(args: &LedgerAccountsArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let query = Query::of("paper", args.paper).with_each("stream", &args.stream);
    let all: Vec<Record<Account<'static>>> = client.all(&query.of_path("/v1/ledger/accounts")).await?;
    printer.rows(&all, "no accounts: no run has posted to the ledger yet");
    Ok(())
}
