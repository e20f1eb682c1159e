//! The JSON shapes of the ledger.

mod balance;
mod book;
mod entry;
mod finding;
mod report;

pub use balance::{CustomerBalance, CustomerFloor, CustomerGrant, FloorRequest, GrantRequest};
pub use book::{ClosedPeriod, CorrectionRequest, CorrectionResult, ExchangeRate, RateRequest, RightEntry};
pub use entry::{Account, EntryEvidence, LedgerCheck, LedgerEntry, LedgerEntryDetail, LedgerHead, LedgerLeg, Stream};
pub use finding::{Finding, FindingClosure, FindingCount};
pub use report::{
    Amount, ConvertedRevenue, CustomerCurrency, CustomerReport, CustomerRevenue, FuelReport, FuelRevenue, Growth,
    GrowthLine, PeriodRevenue, ReportBasis, ReportRange, Revenue, RevenueTotal, Statement, StatementAccount,
    StatementCurrency, StatementLine, StreamFuel,
};
