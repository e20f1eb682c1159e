//! The entries of a transaction by the accounts that they move, for questions to these accounts.
//!
//! Each entry is looked at once, at the first question after it. A transaction without
//! questions pays nothing.

use std::collections::HashMap;

use tidemill_store::records::{FloorAccount, OwnEntries};

use super::layer::EffectLayer;

/// The entries by currency and account. They are derived from the layers: a copy of the transaction
/// begins without them, and they are no part of what is stored or compared.
#[derive(Debug, Default)]
pub(super) struct OwnAccounts {
    /// The number of entries of the transaction that were looked at.
    seen: usize,
    accounts: HashMap<(String, FloorAccount), OwnEntries>,
    /// The number of entries that each budget with a question has looked at.
    seen_by_budgets: HashMap<(String, FloorAccount), usize>,
}

impl Clone for OwnAccounts {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for OwnAccounts {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for OwnAccounts {}

impl OwnAccounts {
    /// Takes out the entries of an account. They have to be given back with
    /// [`OwnAccounts::give_back`].
    pub(super) fn take<'l>(
        &mut self,
        layers: impl Iterator<Item = &'l EffectLayer>,
        account: &(String, FloorAccount),
    ) -> OwnEntries {
        if let FloorAccount::Budget { .. } = &account.1 {
            return self.take_of_budget(layers, account);
        }
        let mut before = 0;
        for layer in layers {
            let new = layer.entries.after(self.seen.saturating_sub(before));
            before += layer.entries.len();
            self.seen += new.len();
            for entry in new {
                for account in entry.floor_accounts() {
                    let own = self.accounts.entry((entry.currency.clone(), account)).or_default();
                    own.push(entry.clone());
                }
            }
        }
        self.accounts.remove(account).unwrap_or_default()
    }

    /// Takes out the entries that a budget counts. No entry names a budget, so each budget looks at
    /// the entries by itself.
    fn take_of_budget<'l>(
        &mut self,
        layers: impl Iterator<Item = &'l EffectLayer>,
        account: &(String, FloorAccount),
    ) -> OwnEntries {
        let mut own = self.accounts.remove(account).unwrap_or_default();
        let seen = self.seen_by_budgets.entry(account.clone()).or_default();
        let mut before = 0;
        for layer in layers {
            let new = layer.entries.after(seen.saturating_sub(before));
            before += layer.entries.len();
            *seen += new.len();
            let counted = new.iter().filter(|entry| entry.currency == account.0 && entry.is_counted_in_budgets());
            counted.for_each(|entry| own.push(entry.clone()));
        }
        own
    }

    /// Gives back the entries of an account.
    pub(super) fn give_back(&mut self, account: (String, FloorAccount), own: OwnEntries) {
        self.accounts.insert(account, own);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemill_core::money::EntryKind;
    use tidemill_store::records::{LedgerLeg, NewEntry};

    use super::*;
    use crate::golden::entry;
    use crate::transaction::Transaction;

    /// What happens to a transaction.
    #[derive(Debug, Clone)]
    enum Change {
        Add { customer: u8, kind: EntryKind },
        Ask { customer: u8 },
        Open,
        Close(bool),
        DropAttempt,
        Savepoint,
        Committed,
        Retry,
        Redo,
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let kinds = prop::sample::select(vec![EntryKind::Drawdown, EntryKind::Sale, EntryKind::Prepayment]);
        let change = prop_oneof![
            6 => (0u8..2, kinds).prop_map(|(customer, kind)| Change::Add { customer, kind }),
            6 => (0u8..2).prop_map(|customer| Change::Ask { customer }),
            2 => Just(Change::Open),
            2 => any::<bool>().prop_map(Change::Close),
            1 => Just(Change::DropAttempt),
            1 => Just(Change::Savepoint),
            1 => Just(Change::Committed),
            1 => Just(Change::Retry),
            1 => Just(Change::Redo),
        ];
        prop::collection::vec(change, 0..40)
    }

    fn ids<'e>(entries: impl Iterator<Item = &'e NewEntry>) -> Vec<String> {
        entries.map(|entry| entry.external_id.clone()).collect()
    }

    proptest! {
        #[test]
        fn an_account_has_the_entries_of_the_layers_in_their_order(changes in changes()) {
            let mut transaction = Transaction::default();
            for (number, change) in changes.into_iter().enumerate() {
                match change {
                    Change::Add { customer, kind } => {
                        let legs = kind.legs(5).unwrap().map(LedgerLeg::from).to_vec();
                        let (kind, customer) = (kind.as_str().to_owned(), Some(format!("c{customer}")));
                        transaction.add_entry(NewEntry { kind, customer, legs, ..entry(&format!("e{number}")) });
                    }
                    Change::Ask { customer } => {
                        let customer = FloorAccount::Customer(format!("c{customer}"));
                        let budget = FloorAccount::Budget { name: "cap".to_owned(), customer: String::new() };
                        for account in [customer, FloorAccount::Stream("receivable".to_owned()), budget] {
                            let key = ("EUR".to_owned(), account);
                            let own = transaction.take_own_entries(&key);
                            let of = |entry: &&NewEntry| match &key.1 {
                                FloorAccount::Budget { .. } => entry.is_counted_in_budgets(),
                                account => entry.floor_accounts().any(|of| of == *account),
                            };
                            let layers = transaction.layers().flat_map(|layer| layer.entries.iter());
                            let expected = ids(layers.filter(of));
                            prop_assert_eq!(ids(own.entries().iter().map(|entry| &**entry)), expected);
                            transaction.give_back_own_entries(key, own);
                        }
                    }
                    Change::Open => transaction.open(),
                    Change::Close(good) => transaction.close(good),
                    Change::DropAttempt => transaction.drop_attempt(),
                    Change::Savepoint => transaction.savepoint(),
                    Change::Committed => transaction.committed(),
                    Change::Retry => transaction = transaction.after_retry(),
                    Change::Redo => transaction = transaction.after_redo(),
                }
            }
        }
    }
}
