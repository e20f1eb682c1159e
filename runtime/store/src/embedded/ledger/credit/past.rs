//! Accounts of customers as they were after an earlier entry, from checkpoints and the entries
//! since.
//!
//! Every [`CHECKPOINT_ENTRIES`] entries of an account, their commit writes a checkpoint: the sums,
//! and the grants and open reservations with something left or held. So a read of the past reads
//! one checkpoint and few entries, however many the account has. An account with more of these rows
//! has a checkpoint after as many entries, so that checkpoints cost no more than the entries do.
//!
//! A grant that has nothing left is in no checkpoint. If something returns to it, its terms are
//! read from its own row, which keeps them for ever.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidemill_core::money::balance::{AccountRows, AccountSums, CreditGrant, CreditUse};

use crate::embedded::codec::decode;
use crate::embedded::ledger::credit::deltas::{CreditDelta, OpenHolds};
use crate::embedded::ledger::credit::entry::CreditEntry;
use crate::embedded::ledger::credit::{deltas, keys};
use crate::embedded::ledger::entries::EntryReader;
use crate::embedded::ledger::keys::sequence_at_end;
use crate::embedded::tables::{CREDIT_CHECKPOINTS, CREDIT_ENTRIES, CREDIT_GRANTS};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::{Result, StoreError};
use crate::records::LedgerEntry;

/// The least number of entries of an account between two checkpoints.
pub(crate) const CHECKPOINT_ENTRIES: u64 = 32;

/// An account after one of its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckpointRecord {
    /// What each grant has left and what is held of it, by external id; none with neither.
    pub(crate) grants: BTreeMap<String, (i64, i64)>,
    /// What open reservations hold.
    pub(crate) holds: Vec<CreditUse>,
    /// Debt and holds.
    pub(crate) sums: AccountSums,
}

/// An account, as entries have left it.
#[derive(Default)]
pub(crate) struct PastAccount {
    sums: AccountSums,
    grants: BTreeMap<String, CreditGrant>,
    holds: OpenHolds,
}

/// Returns an account as it was after the entries up to a sequence number. Of what entries have
/// used, only what is held is among the rows.
pub(crate) fn rows_through(store: &impl ReadTx, account: u64, through: u64) -> Result<AccountRows> {
    Ok(past(store, account, through)?.into_rows())
}

/// As [`rows_through`] for all entries, from the entries alone.
pub(crate) fn recounted_rows(store: &impl ReadTx, account: u64) -> Result<AccountRows> {
    let mut past = PastAccount::default();
    past.add_entries(store, account, 0, u64::MAX - 1)?;
    Ok(past.into_rows())
}

/// Writes the checkpoint after an entry of an account, and returns the number of entries until the
/// next one.
pub(crate) fn write(commit: &mut WriteTx<'_, '_>, account: u64, sequence: u64) -> Result<u64> {
    let PastAccount { sums, grants, holds } = past(commit, account, sequence)?;
    let grants: BTreeMap<_, _> = grants.into_iter().map(|(id, grant)| (id, (grant.left, grant.held))).collect();
    let grants: BTreeMap<_, _> = grants.into_iter().filter(|(_, amounts)| *amounts != (0, 0)).collect();
    let record = CheckpointRecord { grants, holds: holds.0.into_values().collect(), sums };
    commit.put_record(CREDIT_CHECKPOINTS, &keys::entry(account, sequence), &record)?;
    let rows = record.grants.len() + record.holds.len();
    Ok(CHECKPOINT_ENTRIES.max(rows as u64))
}

fn past(store: &impl ReadTx, account: u64, through: u64) -> Result<PastAccount> {
    let range = keys::entry(account, 0)..keys::entry(account, through.saturating_add(1));
    let found = store.range(CREDIT_CHECKPOINTS, range, true, 1)?;
    let (mut past, first) = match found.first() {
        Some((key, bytes)) => {
            let record = decode(CREDIT_CHECKPOINTS, bytes)?;
            (PastAccount::of(store, account, record)?, sequence_at_end(key)?.saturating_add(1))
        }
        None => (PastAccount::default(), 0),
    };
    past.add_entries(store, account, first, through)?;
    Ok(past)
}

impl PastAccount {
    fn of(store: &impl ReadTx, account: u64, record: CheckpointRecord) -> Result<Self> {
        let CheckpointRecord { grants, holds, sums } = record;
        let mut past = Self { sums, ..Self::default() };
        for (id, (left, held)) in grants {
            let grant = terms_of(store, account, &id)?;
            past.grants.insert(id, CreditGrant { left, held, ..grant });
        }
        past.holds.0.extend(holds.into_iter().map(|held| ((account, held.id.clone()), held)));
        Ok(past)
    }

    /// Adds the entries of an account in a range of sequence numbers, both inclusive.
    fn add_entries(&mut self, store: &impl ReadTx, account: u64, first: u64, last: u64) -> Result<()> {
        let mut reader = EntryReader::new(store);
        let range = keys::entry(account, first)..keys::entry(account, last.saturating_add(1));
        store.each(CREDIT_ENTRIES, range, |key, _| {
            let stored = reader.named(sequence_at_end(key)?)?;
            self.add(store, account, &stored)
        })
    }

    fn add(&mut self, store: &impl ReadTx, account: u64, stored: &LedgerEntry) -> Result<()> {
        let Some(entry) = CreditEntry::of_stored(stored) else { return Ok(()) };
        let change = entry.stored_change(store, stored)?;
        let Self { sums, grants, holds } = self;
        let mut added = Ok(());
        holds.visit(account, &change, &stored.parts, &mut |delta| match delta {
            CreditDelta::NewGrant(entry, kind, granted) => {
                let grant = CreditGrant { left: 0, ..deltas::new_grant(entry, kind, granted) };
                grants.insert(grant.id.clone(), grant);
            }
            CreditDelta::Grant { id, left, held } => {
                if !grants.contains_key(id) {
                    match terms_of(store, account, id) {
                        Ok(grant) => drop(grants.insert(id.to_owned(), grant)),
                        Err(error) => added = Err(error),
                    }
                }
                if let Some(grant) = grants.get_mut(id) {
                    grant.left += left;
                    grant.held += held;
                }
            }
            CreditDelta::Sums { debt, held } => {
                sums.debt += i128::from(debt);
                sums.held += i128::from(held);
            }
            CreditDelta::Use { .. } | CreditDelta::Part { .. } => {}
        });
        // No entry has the time until which late usage is covered.
        if let Some(grant) = grants.get_mut(entry.id())
            && grant.expires_at.is_some()
        {
            let made: Option<CreditGrant> = store.record(CREDIT_GRANTS, &keys::named(account, entry.id()))?;
            grant.closes_at = made.map_or(grant.closes_at, |made| made.closes_at);
        }
        added
    }

    fn into_rows(self) -> AccountRows {
        let mut rows = AccountRows::default();
        rows.put_sums(self.sums);
        self.grants.into_values().for_each(|grant| rows.put_grant(grant));
        self.holds.0.into_iter().for_each(|((_, id), held)| rows.put_use(id, Some(held)));
        rows
    }
}

/// Returns a grant of which nothing is left or held.
fn terms_of(store: &impl ReadTx, account: u64, id: &str) -> Result<CreditGrant> {
    let grant: Option<CreditGrant> = store.record(CREDIT_GRANTS, &keys::named(account, id))?;
    let missing = || StoreError::Damaged { what: format!("the grant `{id}` is missing") };
    grant.map(|grant| CreditGrant { left: 0, held: 0, ..grant }).ok_or_else(missing)
}
