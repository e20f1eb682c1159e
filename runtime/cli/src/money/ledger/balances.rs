//! `tidemill ledger balances`: lists balances of customers.

use tidemill_api_types::CustomerBalance;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::query::Query;

/// Arguments of `tidemill ledger balances`.
#[derive(Debug, clap::Args)]
pub struct LedgerBalancesArgs {
    /// List only balances of this customer
    #[arg(long, short, value_name = "ID")]
    customer: Option<String>,

    /// List only balances of this stream
    #[arg(long, short, value_name = "NAME")]
    stream: Option<String>,

    /// Show them as they were after this sequence number, or at this time (RFC 3339)
    #[arg(long, value_name = "NUMBER|TIME")]
    as_of: Option<String>,
}

impl Row for CustomerBalance<'_> {
    const HEADS: &'static [&'static str] =
        &["STREAM", "CUSTOMER", "AVAILABLE", "HELD", "DEBT", "FLOOR", "GRANTS", "NEXT EXPIRY"];

    fn cells(&self) -> Vec<String> {
        let amount = |amount: &tidemill_api_types::Amount| match amount.minor_units {
            0 => String::new(),
            _ => amount.amount.clone(),
        };
        vec![
            self.stream.to_string(),
            self.customer.to_string(),
            format!("{} {}", self.available.amount, self.currency),
            amount(&self.held),
            amount(&self.debt),
            self.floor.amount.clone(),
            self.grants.len().to_string(),
            self.next_expiry.map(|time| time.to_string()).unwrap_or_default(),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &LedgerBalancesArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let query = Query::default()
        .with_each("customer", args.customer.as_deref())
        .with_each("stream", args.stream.as_deref())
        .with_each("as_of", args.as_of.as_deref());
    let all: Vec<Record<CustomerBalance<'static>>> = client.all(&query.of_path("/v1/ledger/balances")).await?;
    printer.rows(&all, "no balances: no customer has credit");
    Ok(())
}
