//! The entries of a transaction by the accounts that they move, for questions to these accounts.
//!
//! Each entry is looked at once, at the first question after it. A transaction without
//! questions pays nothing.

use std::collections::HashMap;
use std::sync::Arc;

use tidemill_store::records::{FloorAccount, NewEntry, OwnEntries};

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
        for entry in unseen(layers, &mut self.seen) {
            for account in entry.floor_accounts() {
                self.accounts.entry((entry.currency.clone(), account)).or_default().push(Arc::clone(entry));
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
        let new = unseen(layers, self.seen_by_budgets.entry(account.clone()).or_default());
        let counted = new.filter(|entry| entry.currency == account.0 && entry.is_counted_in_budgets());
        counted.for_each(|entry| own.push(Arc::clone(entry)));
        own
    }

    /// Gives back the entries of an account.
    pub(super) fn give_back(&mut self, account: (String, FloorAccount), own: OwnEntries) {
        self.accounts.insert(account, own);
    }
}

/// Returns the entries of the layers after the first `seen`, and counts them.
fn unseen<'l>(
    layers: impl Iterator<Item = &'l EffectLayer>,
    seen: &mut usize,
) -> impl Iterator<Item = &'l Arc<NewEntry>> {
    let mut before = 0;
    layers.flat_map(move |layer| {
        let new = layer.entries.after(seen.saturating_sub(before));
        before += layer.entries.len();
        *seen += new.len();
        new
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemill_core::money::EntryKind;
    use tidemill_store::records::LedgerLeg;

    use super::*;
    use crate::golden::entry;
    use crate::transaction::Transaction;

    /// What happens to a transaction.
    #[derive(Debug, Clone)]
    enum TransactionEvent {
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

    fn events() -> impl Strategy<Value = Vec<TransactionEvent>> {
        let kinds = prop::sample::select(vec![EntryKind::Drawdown, EntryKind::Sale, EntryKind::Prepayment]);
        let event = prop_oneof![
            6 => (0u8..2, kinds).prop_map(|(customer, kind)| TransactionEvent::Add { customer, kind }),
            6 => (0u8..2).prop_map(|customer| TransactionEvent::Ask { customer }),
            2 => Just(TransactionEvent::Open),
            2 => any::<bool>().prop_map(TransactionEvent::Close),
            1 => Just(TransactionEvent::DropAttempt),
            1 => Just(TransactionEvent::Savepoint),
            1 => Just(TransactionEvent::Committed),
            1 => Just(TransactionEvent::Retry),
            1 => Just(TransactionEvent::Redo),
        ];
        prop::collection::vec(event, 0..40)
    }

    fn ids<'e>(entries: impl Iterator<Item = &'e NewEntry>) -> Vec<String> {
        entries.map(|entry| entry.external_id.clone()).collect()
    }

    proptest! {
        #[test]
        fn an_account_has_the_entries_of_the_layers_in_their_order(events in events()) {
            let mut transaction = Transaction::default();
            for (number, event) in events.into_iter().enumerate() {
                match event {
                    TransactionEvent::Add { customer, kind } => {
                        let legs = kind.legs(5).unwrap().map(LedgerLeg::from).to_vec();
                        let (kind, customer) = (kind.as_str().to_owned(), Some(format!("c{customer}")));
                        transaction.add_entry(NewEntry { kind, customer, legs, ..entry(&format!("e{number}")) });
                    }
                    TransactionEvent::Ask { customer } => {
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
                    TransactionEvent::Open => transaction.open(),
                    TransactionEvent::Close(good) => transaction.close(good),
                    TransactionEvent::DropAttempt => transaction.drop_attempt(),
                    TransactionEvent::Savepoint => transaction.savepoint(),
                    TransactionEvent::Committed => transaction.committed(),
                    TransactionEvent::Retry => transaction = transaction.after_retry(),
                    TransactionEvent::Redo => transaction = transaction.after_redo(),
                }
            }
        }
    }
}
