//! The commands about the ledger.

mod accounts;
mod balances;
mod check;
mod correct;
mod entries;
mod export;
mod findings;
mod floor;
mod grant;
mod head;
mod periods;
mod report;
mod reservations;
mod show;

use clap::Subcommand;

use crate::client::Client;
use crate::error::CliError;
use crate::printer::Printer;

/// The commands about the ledger.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// List entries, newest first
    Entries(entries::LedgerEntriesArgs),
    /// Show an entry with its evidence and the entries that it is related to
    Show(show::LedgerShowArgs),
    /// List accounts with their balances
    Accounts(accounts::LedgerAccountsArgs),
    /// List balances of customers
    Balances(balances::LedgerBalancesArgs),
    /// Grant a customer credit by hand
    Grant(grant::LedgerGrantArgs),
    /// Set the floor of a customer's account, or remove it
    Floor(floor::LedgerFloorArgs),
    /// List open reservations, the oldest first
    Reservations(reservations::LedgerReservationsArgs),
    /// List what is odd about entries, the latest first, or close a finding
    Findings(findings::LedgerFindingsArgs),
    /// Show a statement: each account at the start and at the end, and what moved
    Statement(report::statement::LedgerStatementArgs),
    /// Sum net revenue
    Revenue(report::revenue::LedgerRevenueArgs),
    /// Compare net revenue with that of the period before
    Growth(report::growth::LedgerGrowthArgs),
    /// List the customers with the highest net revenue
    Customers(report::customers::LedgerCustomersArgs),
    /// Sum the fuel of streams, and show net revenue per million fuel
    Fuel(report::fuel::LedgerFuelArgs),
    /// Correct an entry: post its reversal, and the right entry
    Correct(correct::LedgerCorrectArgs),
    /// Close a period, so that its statement does not change any more
    Close(periods::LedgerCloseArgs),
    /// List closed periods, the latest first
    Periods(periods::LedgerPeriodsArgs),
    /// Write all entries as JSON Lines, CSV or Beancount
    Export(export::LedgerExportArgs),
    /// Recompute every total and compare; exit code 1 if anything differs
    Check,
    /// Show the number and hash of the last entry, to note them in another place
    Head,
}

/// Runs the command.
pub async fn run(command: LedgerCommand, client: &Client, printer: &Printer) -> Result<(), CliError> {
    match command {
        LedgerCommand::Entries(args) => entries::run(&args, client, printer).await,
        LedgerCommand::Show(args) => show::run(&args, client, printer).await,
        LedgerCommand::Accounts(args) => accounts::run(&args, client, printer).await,
        LedgerCommand::Balances(args) => balances::run(&args, client, printer).await,
        LedgerCommand::Grant(args) => grant::run(&args, client, printer).await,
        LedgerCommand::Floor(args) => floor::run(&args, client, printer).await,
        LedgerCommand::Reservations(args) => reservations::run(&args, client, printer).await,
        LedgerCommand::Findings(args) => findings::run(&args, client, printer).await,
        LedgerCommand::Statement(args) => report::statement::run(&args, client, printer).await,
        LedgerCommand::Revenue(args) => report::revenue::run(&args, client, printer).await,
        LedgerCommand::Growth(args) => report::growth::run(&args, client, printer).await,
        LedgerCommand::Customers(args) => report::customers::run(&args, client, printer).await,
        LedgerCommand::Fuel(args) => report::fuel::run(&args, client, printer).await,
        LedgerCommand::Correct(args) => correct::run(&args, client, printer).await,
        LedgerCommand::Close(args) => periods::close(&args, client, printer).await,
        LedgerCommand::Periods(args) => periods::list(&args, client, printer).await,
        LedgerCommand::Export(args) => export::run(&args, client, printer).await,
        LedgerCommand::Check => check::run(client, printer).await,
        LedgerCommand::Head => head::run(client, printer).await,
    }
}
