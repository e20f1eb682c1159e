//! `tidemill ledger floor`: sets the floor of a customer's account, or removes it.

use reqwest::Method;
use tidemill_api_types::{CustomerFloor, FloorRequest};

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, clean};

/// Arguments of `tidemill ledger floor`.
#[derive(Debug, clap::Args)]
pub struct LedgerFloorArgs {
    /// The stream
    #[arg(long, short, value_name = "NAME")]
    stream: String,

    /// The customer
    #[arg(long, short, value_name = "ID")]
    customer: String,

    /// The currency
    #[arg(long, value_name = "CODE")]
    currency: String,

    /// The floor, such as -5.00 for a credit line
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true, required_unless_present = "remove")]
    amount: Option<String>,

    /// Remove the customer's own floor, so that the deployment's applies
    #[arg(long, conflicts_with = "amount")]
    remove: bool,
}

/// Runs the command.
pub async fn run(args: &LedgerFloorArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let request = FloorRequest {
        stream: (&args.stream).into(),
        customer: (&args.customer).into(),
        currency: (&args.currency).into(),
        floor: args.amount.as_deref().map(Into::into),
    };
    let body = serde_json::to_vec(&request).unwrap_or_default();
    let set: Record<CustomerFloor<'static>> = client.ask(Method::PUT, "/v1/ledger/floors", body, &[]).await?;
    let whose = if set.own_floor { "its own" } else { "the deployment's" };
    let line = format!(
        "customer {} of {} has {whose} floor of {} {}",
        clean(&set.customer),
        clean(&set.stream),
        set.floor.amount,
        clean(&set.floor.currency)
    );
    printer.record(&set, &line);
    Ok(())
}
