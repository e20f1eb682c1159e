//! The records of the ledger's tables that are not exchanged with callers.

use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;
use tidemill_core::money::LedgerStream;

use crate::records::{Bucket, LedgerEntry, LedgerHead};

/// The end of the chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeadRecord {
    /// The last entry.
    pub(crate) head: LedgerHead,
    /// The number of open reservations.
    pub(crate) open_reservations: u64,
}

/// The entry of a stream at a time: what a report needs of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TimeRecord<'a> {
    #[serde(borrow)]
    pub(crate) kind: &'a str,
    #[serde(borrow)]
    pub(crate) currency: &'a str,
    /// The posted amount, in minor units; 0 if the entry changes pending amounts only.
    pub(crate) posted: i64,
    /// The change of the pending amount.
    pub(crate) pending: i64,
    /// The change of net revenue.
    pub(crate) net_revenue: i64,
    /// Whether the entry has posted legs.
    pub(crate) is_posted: bool,
    /// Whether the entry is late.
    pub(crate) late: bool,
}

impl<'a> TimeRecord<'a> {
    /// Returns the record of an entry.
    pub(crate) fn of(entry: &'a LedgerEntry) -> Self {
        Self {
            kind: &entry.kind,
            currency: &entry.currency,
            posted: entry.posted_units(),
            pending: entry.pending_units(),
            net_revenue: entry.net_revenue,
            is_posted: !entry.legs.is_empty(),
            late: entry.late,
        }
    }

    /// Returns what the entry adds to each of its buckets.
    pub(crate) fn bucket(&self) -> Bucket {
        Bucket {
            posted: self.posted.into(),
            pending: self.pending.into(),
            net_revenue: self.net_revenue.into(),
            entries: u64::from(self.is_posted),
            pending_entries: u64::from(!self.is_posted),
        }
    }
}

/// The balance of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountRecord {
    /// The sum of the posted legs.
    pub(crate) posted: i128,
    /// The sum of the pending legs.
    pub(crate) pending: i128,
}

/// The total of a stream in one currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamRecord {
    /// Net revenue in minor units.
    pub(crate) net_revenue: i128,
    /// The number of entries.
    pub(crate) entries: u64,
    /// Whether the stream is on paper.
    pub(crate) paper: bool,
}

/// A reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReservationRecord {
    /// The sequence number of its entry.
    pub(crate) sequence: u64,
    /// The stream of its entry.
    pub(crate) stream: LedgerStream,
    /// The currency of its entry.
    pub(crate) currency: String,
    /// The reserved amount, in minor units.
    pub(crate) minor_units: i64,
    /// When it expires.
    pub(crate) expires_at: Option<Timestamp>,
    /// The sequence number of the entry that ended it; 0 while it is open.
    pub(crate) closed_by: u64,
    /// Whether entries answered it before it ended.
    pub(crate) answered: bool,
}
