//! The accounts that the entries of one commit change. Each record is written once per commit.

use std::collections::BTreeMap;

use tidemill_core::Timestamp;
use tidemill_core::money::balance::{AccountEdit, AccountReader as _, AccountRows, CreditUse, GrantPart};

use crate::embedded::ledger::credit::account::{self, CreditAccountRecord, StoredAccount};
use crate::embedded::ledger::credit::entry::CreditEntry;
use crate::embedded::ledger::credit::{keys, past};
use crate::embedded::ledger::findings::floors::{FloorRecord, MovedAccount};
use crate::embedded::tables::{CREDIT_ACCOUNTS, CREDIT_ENTRIES};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;

/// Changes by the keys of the accounts.
#[derive(Default)]
pub(crate) struct AccountChanges(BTreeMap<Vec<u8>, ChangedAccount>);

#[derive(Default)]
struct ChangedAccount {
    record: CreditAccountRecord,
    rows: AccountRows,
    /// The sequence numbers of the entries.
    entries: Vec<u64>,
    /// The floor, if an entry may have passed it.
    floor: Option<FloorRecord>,
}

impl AccountChanges {
    /// Lets the rules act on an account.
    pub(crate) fn edit<R: ReadTx, T>(
        &mut self,
        store: &R,
        key: &[u8],
        act: impl FnOnce(&mut AccountEdit<'_, StoredAccount<'_, R>>) -> Result<T>,
    ) -> Result<T> {
        if !self.0.contains_key(key) {
            let record = store.record(CREDIT_ACCOUNTS, key)?.unwrap_or_default();
            self.0.insert(key.to_vec(), ChangedAccount { record, ..ChangedAccount::default() });
        }
        let changed = self.0.entry(key.to_vec()).or_default();
        let stored = StoredAccount::new(store, changed.record);
        let mut edit = AccountEdit::resume(&stored, std::mem::take(&mut changed.rows));
        let done = act(&mut edit)?;
        changed.rows = edit.into_changes();
        Ok(done)
    }

    /// Applies an entry, and returns the parts that are written on it.
    pub(crate) fn apply(
        &mut self,
        store: &impl ReadTx,
        entry: &CreditEntry<'_>,
        (sequence, reserved_at, late_usage_millis): (u64, Option<Timestamp>, u64),
        now: Timestamp,
    ) -> Result<Vec<GrantPart>> {
        let key = entry.account();
        let change = entry.change(sequence, reserved_at, late_usage_millis);
        let parts = self.edit(store, &key, |edit| edit.apply(&change, now))?;
        let changed = self.0.entry(key).or_default();
        if changed.record.number == 0 {
            changed.record.number = sequence;
            changed.record.until_checkpoint = past::CHECKPOINT_ENTRIES;
        }
        changed.entries.push(sequence);
        Ok(parts)
    }

    /// Returns what a reservation of an account holds although its time is over at `now`.
    pub(crate) fn due(&mut self, store: &impl ReadTx, key: &[u8], now: Timestamp) -> Result<Option<CreditUse>> {
        self.edit(store, key, |edit| if edit.sums()?.held == 0 { Ok(None) } else { edit.next_due(None, now) })
    }

    /// Notes an entry that may have taken its account below the floor.
    pub(crate) fn note_floor(&mut self, key: &[u8], floor: FloorRecord) {
        if let Some(changed) = self.0.get_mut(key) {
            changed.floor = Some(floor);
        }
    }

    /// Writes the changed rows, and returns the accounts that entries have moved.
    pub(crate) fn write(self, commit: &mut WriteTx<'_, '_>) -> Result<Vec<MovedAccount>> {
        let mut moved = Vec::new();
        for (key, changed) in self.0 {
            let ChangedAccount { mut record, rows, entries, floor } = changed;
            if entries.is_empty() {
                continue;
            }
            record.sums = rows.changed_sums().unwrap_or(record.sums);
            entries.iter().for_each(|sequence| commit.put(CREDIT_ENTRIES, &keys::entry(record.number, *sequence), &[]));
            account::write(commit, record.number, &rows)?;
            for sequence in entries {
                record.until_checkpoint = record.until_checkpoint.saturating_sub(1);
                if record.until_checkpoint == 0 {
                    record.until_checkpoint = past::write(commit, record.number, sequence)?;
                }
            }
            commit.put_record(CREDIT_ACCOUNTS, &key, &record)?;
            moved.push(MovedAccount { key, floor });
        }
        Ok(moved)
    }
}
