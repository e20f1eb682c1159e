//! Accounts of customers below their floors.
//!
//! `reserve` and `draw` leave an account at its floor at least. What was posted has happened, and
//! may take it below. Then a finding is open until `available` is back, by entries, by a lower
//! floor, or because a grant begins.
//!
//! Only an account that an entry took from without asking, or that has a record here, is judged.

use serde::{Deserialize, Serialize};
use tidemill_core::Timestamp;
use tidemill_core::money::balance::AccountEdit;
use tidemill_core::money::report::FindingKind;

use super::book::FindingBook;
use super::due_change::DueChange;
use super::keys::{self, FindingSubject};
use crate::embedded::ledger::credit::account::{CreditAccountRecord, StoredAccount};
use crate::embedded::ledger::credit::{floors, keys as credit_keys};
use crate::embedded::tables::{CREDIT_ACCOUNTS, LEDGER_FINDING_SUMS, LEDGER_FINDINGS};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::CustomerAccount;

/// The last entry that may have taken an account below its floor. It is stored while the account is
/// below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FloorRecord {
    /// The floor of the manifest, in minor units.
    pub(crate) floor: i64,
    /// Whether the stream is on paper.
    pub(crate) paper: bool,
    /// The sequence number of the entry.
    pub(crate) sequence: u64,
}

/// An account that was moved, or whose floor was.
pub(crate) struct MovedAccount {
    /// The key of the account.
    pub(crate) key: Vec<u8>,
    /// `Some` if an entry may have taken it below its floor.
    pub(crate) floor: Option<FloorRecord>,
}

impl MovedAccount {
    /// Whether the account may be below its floor, or was.
    pub(crate) fn is_judged(&self, store: &impl ReadTx) -> Result<bool> {
        Ok(self.floor.is_some() || store.bytes(LEDGER_FINDING_SUMS, &keys::floor(&self.key))?.is_some())
    }

    /// Opens the finding about an account that is below its floor, or explains it.
    pub(crate) fn judge(self, commit: &mut WriteTx<'_, '_>, book: &mut FindingBook, now: Timestamp) -> Result<()> {
        let row = keys::floor(&self.key);
        let known: Option<FloorRecord> = commit.record(LEDGER_FINDING_SUMS, &row)?;
        let Some(record) = self.floor.or(known) else { return Ok(()) };
        let account = credit_keys::account_of(&self.key)?;
        let floor = floors::get(commit, &account)?.map_or(record.floor, |own| own.minor_units);
        let (available, next_start) = {
            let stored: CreditAccountRecord = commit.record(CREDIT_ACCOUNTS, &self.key)?.unwrap_or_default();
            let rows = StoredAccount::new(&*commit, stored);
            let mut edit = AccountEdit::new(&rows);
            let available = edit.available(now, now, floor.into())?;
            let is_below = available < i128::from(floor);
            (available, if is_below { edit.next_start(now)? } else { None })
        };
        let missing = i128::from(floor) - available;
        let subject = subject(account, record.paper);
        if missing <= 0 {
            if known.is_some() {
                commit.delete(LEDGER_FINDING_SUMS, &row);
                book.explain(commit, &subject)?;
            }
            return Ok(());
        }
        if known != Some(record) {
            commit.put_record(LEDGER_FINDING_SUMS, &row, &record)?;
        }
        book.raise(commit, &subject, record.sequence, Some(missing))?;
        if let Some(start) = next_start {
            commit.put_record(LEDGER_FINDINGS, &subject.due(start), &DueChange::Floor { account: self.key })?;
        }
        Ok(())
    }
}

fn subject(account: CustomerAccount, paper: bool) -> FindingSubject {
    let CustomerAccount { stream, currency, customer } = account;
    let kind = FindingKind::BelowFloor;
    FindingSubject { kind, paper, stream: Some(stream), name: customer, currency: Some(currency) }
}
