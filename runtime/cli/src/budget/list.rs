//! `tidemill budgets list`: lists budgets with what was used and is held.

use tidemill_api_types::{Amount, Budget};

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, Row};
use crate::query::Query;

/// Arguments of `tidemill budgets list`.
#[derive(Debug, clap::Args)]
pub struct BudgetListArgs {
    /// List only budgets of this deployment
    #[arg(long, short, value_name = "NAME")]
    deployment: Option<String>,

    /// List only what this customer has of budgets
    #[arg(long, short, value_name = "ID")]
    customer: Option<String>,

    /// Show the period that contains this time (RFC 3339) instead of the present one
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

impl Row for Budget<'_> {
    const HEADS: &'static [&'static str] =
        &["DEPLOYMENT", "BUDGET", "PERIOD", "CUSTOMER", "LIMIT", "USED", "HELD", "LEFT", "UNTIL"];

    fn cells(&self) -> Vec<String> {
        let amount = |amount: &Option<Amount>| amount.as_ref().map(|amount| amount.amount.clone()).unwrap_or_default();
        let customer = match (&*self.per, self.customer.as_deref()) {
            (_, Some("")) => "(none)".to_owned(),
            (_, Some(customer)) => customer.to_owned(),
            ("customer", None) => "(each)".to_owned(),
            (_, None) => String::new(),
        };
        vec![
            self.deployment.to_string(),
            self.name.to_string(),
            self.period.to_string(),
            customer,
            format!("{} {}{}", self.limit.amount, self.unit, if self.own_limit { " (own)" } else { "" }),
            amount(&self.used),
            amount(&self.held),
            amount(&self.left),
            self.ends_at.to_string(),
        ]
    }
}

/// Runs the command.
pub async fn run(args: &BudgetListArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let query = Query::default()
        .with_each("deployment", args.deployment.as_deref())
        .with_each("customer", args.customer.as_deref())
        .with_each("at", args.at.as_deref());
    let all: Vec<Record<Budget<'static>>> = client.all(&query.of_path("/v1/budgets")).await?;
    printer.rows(&all, "no budgets: add `[[budget]]` to a manifest");
    Ok(())
}
