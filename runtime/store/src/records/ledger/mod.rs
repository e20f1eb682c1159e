//! The stored ledger: entries, what they add up to, and the answers of its checks.

mod append;
mod balance;
mod canonical;
mod check;
mod due;
mod entry;
mod finding;
mod own;
mod period;
mod rate;
mod report;
mod reservation;
mod totals;

pub use append::{AppendedEntry, NewEntry};
pub use balance::{
    BalanceCheck, BalanceDecision, BalanceFilter, BalanceQuestion, CustomerAccount, CustomerBalance, CustomerFloor,
    FloorAccount,
};
pub use check::{LedgerCheck, LedgerHead, LedgerUnit, UnitConflict};
pub use due::DueBatch;
pub use entry::{Evidence, ExternalId, HandEntry, LedgerEntry, LedgerLeg};
pub use finding::{Finding, FindingClosure, FindingCount, FindingFilter};
pub(crate) use own::AccountDraft;
pub use own::OwnEntries;
pub use period::ClosedPeriod;
pub use rate::RateRecord;
pub use report::{
    AsOf, CustomerQuery, CustomerReport, CustomerSum, CustomerTotal, FuelSum, FuelTotal, KindSum, ReportScope,
    ReportSums,
};
pub use reservation::StoredReservation;
pub use totals::{AccountTotal, Bucket, BucketAxis, StreamTotal};
