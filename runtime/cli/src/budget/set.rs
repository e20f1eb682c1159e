//! `tidemill budgets set`: sets the limit of one customer, or removes it.

use reqwest::Method;
use tidemill_api_types::{Budget, BudgetLimitRequest};

use super::show::text;
use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill budgets set`.
#[derive(Debug, clap::Args)]
pub struct BudgetSetArgs {
    /// The deployment
    deployment: String,

    /// The budget's name
    name: String,

    /// The customer
    customer: String,

    /// The limit, such as 250.00
    #[arg(value_name = "AMOUNT", required_unless_present = "remove")]
    limit: Option<String>,

    /// Remove the customer's own limit, so that the budget's applies
    #[arg(long, conflicts_with = "limit")]
    remove: bool,
}

/// Runs the command.
pub async fn run(args: &BudgetSetArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = super::path(&args.deployment, &args.name, Some(&args.customer));
    let request = BudgetLimitRequest { limit: args.limit.as_deref().map(Into::into) };
    let body = serde_json::to_vec(&request).unwrap_or_default();
    let budget: Record<Budget<'static>> = client.ask(Method::PUT, &path, body, &[]).await?;
    printer.record(&budget, &text(&budget));
    Ok(())
}
