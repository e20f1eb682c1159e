//! What entries add up to: balances of accounts, totals of streams, and buckets of time.

use serde::{Deserialize, Serialize};
use tidemill_core::money::LedgerStream;

/// The balance of one account of a stream in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountTotal {
    /// The stream.
    pub stream: LedgerStream,
    /// The account.
    pub account: String,
    /// The currency.
    pub currency: String,
    /// The sum of its posted legs, in minor units.
    pub minor_units: i128,
    /// The sum of its pending legs, in minor units.
    pub pending: i128,
    /// Whether the stream is on paper.
    pub paper: bool,
}

/// The net revenue of a stream in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamTotal {
    /// The stream.
    pub stream: LedgerStream,
    /// The currency.
    pub currency: String,
    /// Net revenue in minor units.
    pub net_revenue: i128,
    /// The number of entries in the sum.
    pub entries: u64,
    /// Whether the stream is on paper.
    pub paper: bool,
}

/// The time by which a bucket collects entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BucketAxis {
    /// The time at which they are booked: when they occurred, or when they were posted if they are
    /// late.
    Occurred,
    /// The time at which they were posted.
    Posted,
}

/// The sums of the entries of one stream, kind and currency in one bucket of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// The sum of the posted amounts, in minor units.
    pub posted: i128,
    /// The change of the pending amount, in minor units.
    pub pending: i128,
    /// The change of net revenue, in minor units.
    pub net_revenue: i128,
    /// The number of entries with posted legs.
    pub entries: u64,
    /// The number of entries with pending legs only.
    pub pending_entries: u64,
}

impl Bucket {
    /// Adds another bucket.
    pub const fn add(&mut self, other: &Self) {
        self.posted = self.posted.saturating_add(other.posted);
        self.pending = self.pending.saturating_add(other.pending);
        self.net_revenue = self.net_revenue.saturating_add(other.net_revenue);
        self.entries = self.entries.saturating_add(other.entries);
        self.pending_entries = self.pending_entries.saturating_add(other.pending_entries);
    }
}
