//! The recount of budgets for the check of the ledger: adds what each entry counts, and compares
//! the sums with the counters.

use std::collections::BTreeMap;

use tidemill_core::budget::{BudgetCounter, BudgetUnit};

use crate::embedded::budgets::count::{KnownBudgets, TakenBy};
use crate::embedded::budgets::keys;
use crate::embedded::codec::decode;
use crate::embedded::ledger::entries::EntryReader;
use crate::embedded::ledger::reservations;
use crate::embedded::ledger::sketch::Sketch;
use crate::embedded::tables::{BUDGET_COUNTERS, BUDGETS};
use crate::embedded::tx::{ReadTx, prefix_range};
use crate::error::Result;
use crate::records::{Budget, LedgerEntry};

/// The recount.
#[derive(Default)]
pub(crate) struct BudgetRecount {
    known: KnownBudgets,
    /// A sum over the counters of each budget, by the key of the budget.
    sums: BTreeMap<Vec<u8>, Sketch>,
}

impl BudgetRecount {
    /// Adds what an entry counts.
    pub(crate) fn count(&mut self, store: &impl ReadTx, entry: &LedgerEntry) -> Result<()> {
        let Self { known, sums } = self;
        known.each_change(
            store,
            entry,
            |store| taken_by(store, entry),
            |budget, start, customer, change| {
                let key = keys::budget(budget.deployment.as_str(), budget.name.as_str());
                let counter = keys::counter(budget, start, customer);
                sums.entry(key).or_default().add(&counter, [change.used, change.held]);
            },
        )
    }

    /// Compares the sums with the counters, and reports differences.
    pub(crate) fn compare(mut self, store: &impl ReadTx, problem: &mut dyn FnMut(String)) -> Result<()> {
        store.each(BUDGETS, prefix_range(&[]), |key, bytes| {
            let budget: Budget = decode(BUDGETS, bytes)?;
            if budget.unit == BudgetUnit::Fuel {
                return Ok(());
            }
            let mut stored = Sketch::default();
            store.each(BUDGET_COUNTERS, prefix_range(&keys::of(&budget)), |key, bytes| {
                let BudgetCounter { used, held } = decode(BUDGET_COUNTERS, bytes)?;
                stored.add(key, [used, held]);
                Ok(())
            })?;
            if stored != self.sums.remove(key).unwrap_or_default() {
                let Budget { deployment, name, .. } = budget;
                problem(format!("the counters of budget `{name}` of {deployment} differ from the entries"));
            }
            Ok(())
        })
    }
}

fn taken_by(store: &impl ReadTx, entry: &LedgerEntry) -> Result<TakenBy> {
    let reserved = entry.reservation.as_deref().map(|id| reservations::get(store, id)).transpose()?.flatten();
    let Some(record) = reserved else {
        return Ok(TakenBy { sequence: entry.sequence, occurred_at: entry.occurred_at });
    };
    let reserved = EntryReader::new(store).named(record.sequence)?;
    Ok(TakenBy { sequence: reserved.sequence, occurred_at: reserved.occurred_at })
}
