//! The entries of a transaction on one account, and the account as they leave it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemill_core::Timestamp;
use tidemill_core::budget::BudgetCounter;
use tidemill_core::money::balance::AccountRows;

use super::NewEntry;

/// The entries of a transaction that may move one account, in order. The store keeps here what it
/// has derived from them, so that each question to the account applies only the entries since the
/// one before.
#[derive(Debug, Default)]
pub struct OwnEntries {
    entries: Vec<Arc<NewEntry>>,
    pub(crate) draft: AccountDraft,
}

/// An account after the first entries of a transaction.
#[derive(Debug, Default)]
pub(crate) struct AccountDraft {
    /// The number of these entries.
    pub(crate) applied: usize,
    /// The sequence number of the last committed entry of the account that they follow.
    pub(crate) follows: u64,
    /// The rows of a customer's account that they change.
    pub(crate) rows: AccountRows,
    /// When grants were reserved that are not granted yet, or what budgets count, by the ids of
    /// their reservations.
    pub(crate) reserved: BTreeMap<String, Timestamp>,
    /// What they count in a budget, by the starts of its periods.
    pub(crate) counted: BTreeMap<Timestamp, BudgetCounter>,
    /// What they add to an account of the stream, less what their reservations take from it.
    pub(crate) available: i128,
}

impl OwnEntries {
    /// Adds an entry.
    pub fn push(&mut self, entry: Arc<NewEntry>) {
        self.entries.push(entry);
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[Arc<NewEntry>] {
        &self.entries
    }
}

impl FromIterator<NewEntry> for OwnEntries {
    fn from_iter<I: IntoIterator<Item = NewEntry>>(entries: I) -> Self {
        Self { entries: entries.into_iter().map(Arc::new).collect(), draft: AccountDraft::default() }
    }
}
