//! `tidemill budgets show`: shows a budget, or one customer's part of it.

use tidemill_api_types::Budget;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::{Printer, clean};
use crate::query::Query;

/// Arguments of `tidemill budgets show`.
#[derive(Debug, clap::Args)]
pub struct BudgetShowArgs {
    /// The deployment
    deployment: String,

    /// The budget's name
    name: String,

    /// Show this customer's part
    #[arg(long, short, value_name = "ID")]
    customer: Option<String>,

    /// Show the period that contains this time (RFC 3339) instead of the present one
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// Runs the command.
pub async fn run(args: &BudgetShowArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = super::path(&args.deployment, &args.name, args.customer.as_deref());
    let path = Query::default().with_each("at", args.at.as_deref()).of_path(&path);
    let budget: Record<Budget<'static>> = client.get(&path).await?;
    printer.record(&budget, &text(&budget));
    Ok(())
}

/// Returns a budget in sentences.
pub(super) fn text(budget: &Budget<'_>) -> String {
    let Budget { deployment, name, unit, per, period, time_zone, customer, limit, own_limit, .. } = budget;
    let whose = match customer {
        Some(customer) if customer.is_empty() => "what names no customer".to_owned(),
        Some(customer) => format!("customer {}", clean(customer)),
        None if per == "customer" => "each customer".to_owned(),
        None => "the deployment".to_owned(),
    };
    let own = if *own_limit { ", which is its own limit" } else { "" };
    let (name, unit, deployment) = (clean(name), clean(unit), clean(deployment));
    let mut text = format!("{name} of {deployment}: {} {unit} a {period} for {whose}{own}\n", limit.amount);
    if let (Some(used), Some(held), Some(left)) = (&budget.used, &budget.held, &budget.left) {
        text += &format!("used {}, held {}, left {}\n", used.amount, held.amount, left.amount);
    }
    text + &format!("this period: {} to {} ({})", budget.starts_at, budget.ends_at, clean(time_zone))
}
