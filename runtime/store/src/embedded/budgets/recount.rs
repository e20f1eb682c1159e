//! The recount of budgets for the check of the ledger: adds what each entry counts and what each
//! run holds, and compares the sums with the counters. The fuel that runs used cannot be counted
//! again, because retention removes runs.

use std::collections::BTreeMap;

use tidemill_core::budget::{BudgetCounter, BudgetUnit};

use crate::embedded::budgets::count::{KnownBudgets, TakenBy};
use crate::embedded::budgets::{fuel, keys};
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
        let sums = &mut self.sums;
        fuel::each_hold(store, |budget, counter, amount| {
            let key = keys::budget(budget.deployment.as_str(), budget.name.as_str());
            sums.entry(key).or_default().add(counter, [0, amount.into()]);
        })?;
        store.each(BUDGETS, prefix_range(&[]), |key, bytes| {
            let budget: Budget = decode(BUDGETS, bytes)?;
            let is_fuel = budget.unit == BudgetUnit::Fuel;
            let mut stored = Sketch::default();
            store.each(BUDGET_COUNTERS, prefix_range(&keys::of(&budget)), |key, bytes| {
                let BudgetCounter { used, held } = decode(BUDGET_COUNTERS, bytes)?;
                stored.add(key, [if is_fuel { 0 } else { used }, held]);
                Ok(())
            })?;
            if stored != sums.remove(key).unwrap_or_default() {
                let Budget { deployment, name, .. } = budget;
                let from = if is_fuel { "what its runs hold" } else { "the entries" };
                problem(format!("the counters of budget `{name}` of {deployment} differ from {from}"));
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
