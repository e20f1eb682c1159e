//! The commands about budgets. Manifests define them.

mod list;
mod set;
mod show;

use clap::Subcommand;

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::Printer;

/// The commands about budgets.
#[derive(Debug, Subcommand)]
pub enum BudgetCommand {
    /// List budgets with what was used and is held in the present period
    List(list::BudgetListArgs),
    /// Show a budget, or one customer's part of it
    Show(show::BudgetShowArgs),
    /// Set the limit of one customer, or remove it
    Set(set::BudgetSetArgs),
}

/// Returns the path of a budget, or of a customer's part of it.
fn path(deployment: &str, name: &str, customer: Option<&str>) -> String {
    let budget = format!("/v1/budgets/{}/{}", encoded(deployment), encoded(name));
    match customer {
        Some(customer) => format!("{budget}/{}", encoded(customer)),
        None => budget,
    }
}

/// Runs the command.
pub async fn run(command: BudgetCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        BudgetCommand::List(args) => list::run(&args, client, printer).await,
        BudgetCommand::Show(args) => show::run(&args, client, printer).await,
        BudgetCommand::Set(args) => set::run(&args, client, printer).await,
    }
}
