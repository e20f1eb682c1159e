//! What a report adds up, and the sums that it reads from buckets.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;
use tidemill_core::money::LedgerStream;

use super::{Bucket, BucketAxis};

/// The entries that a report adds up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportScope {
    /// The stream; `None` for all streams.
    pub stream: Option<LedgerStream>,
    /// Whether it is about streams on paper; they are never added to others.
    pub paper: bool,
    /// The time by which entries belong to a range.
    pub axis: BucketAxis,
    /// Up to which entry it counts; `None` for the last one.
    pub as_of: Option<AsOf>,
}

/// Up to which entry a report counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// The entry with this sequence number.
    Sequence(u64),
    /// The last entry that was posted at this time or before.
    Time(Timestamp),
}

/// The sums of the entries of one stream, kind and currency in a range of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindSum {
    /// The stream.
    pub stream: LedgerStream,
    /// The kind.
    pub kind: String,
    /// The currency.
    pub currency: String,
    /// Whether the entries belong to a period that was closed before they were posted.
    pub late: bool,
    /// The sums.
    pub sum: Bucket,
}

/// The sums of several series of ranges, all of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportSums {
    /// The sums of each range of each series, in the order of the request.
    pub series: Vec<Vec<Vec<KindSum>>>,
    /// The sequence number of the last entry that counts; 0 if none does.
    pub sequence: u64,
    /// The end of the last closed period; 1970 if none is closed.
    pub closed_until: Timestamp,
}

/// Selects the customers of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerQuery {
    /// The entries.
    pub scope: ReportScope,
    /// The range of time.
    pub range: Range<Timestamp>,
    /// Maximum number of customers for each currency.
    pub top: usize,
}

/// What customers brought, and up to which entry it counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomerReport {
    /// The totals, by currency.
    pub totals: Vec<CustomerTotal>,
    /// The sequence number of the last entry that counts; 0 if none does.
    pub sequence: u64,
}

/// What customers brought in one currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CustomerTotal {
    /// The currency.
    pub currency: String,
    /// The number of customers with entries.
    pub customers: u64,
    /// The net revenue of all customers, in minor units.
    pub net_revenue: i128,
    /// The entries without a customer.
    pub without_customer: CustomerSum,
    /// The customers with the highest net revenue, highest first; equal ones by their ids.
    pub top: Vec<(String, CustomerSum)>,
}

/// The entries of one customer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerSum {
    /// Their number.
    pub entries: u64,
    /// Their net revenue, in minor units.
    pub net_revenue: i128,
}

/// The fuel of the runs of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FuelTotal {
    /// The stream.
    pub stream: LedgerStream,
    /// Whether it is on paper; one that has posted nothing is not.
    pub paper: bool,
    /// The sum.
    pub sum: FuelSum,
}

/// Fuel of runs that have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FuelSum {
    /// The fuel.
    pub fuel: u128,
    /// The number of runs.
    pub runs: u64,
}
