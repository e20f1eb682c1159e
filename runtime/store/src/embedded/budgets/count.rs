//! Counts entries in budgets, in the commit that appends them. Each counter is written once per
//! commit.

use std::collections::BTreeMap;

use tidemill_core::Timestamp;
use tidemill_core::budget::BudgetCounter;
use tidemill_core::money::EntryKind;

use crate::embedded::budgets::{self, judge, keys, limit_of};
use crate::embedded::ledger::findings::book::FindingBook;
use crate::embedded::tables::BUDGET_COUNTERS;
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::error::Result;
use crate::records::{Budget, LedgerEntry, LedgerLeg};

/// Returns what an entry of a kind changes; `None` if no budget counts it.
pub(crate) fn change_of(
    kind: &str,
    minor_units: i64,
    legs: &[LedgerLeg],
    pending: &[LedgerLeg],
) -> Option<BudgetCounter> {
    let posted = if legs.is_empty() { 0 } else { minor_units };
    // The second leg is the side that receives.
    let pending = pending.get(1).map_or(0, |leg| leg.minor_units);
    BudgetCounter::of_entry(EntryKind::parse(kind)?, posted, pending)
}

/// The entry that took what an entry counts: itself, or the reservation that it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TakenBy {
    pub(crate) sequence: u64,
    pub(crate) occurred_at: Timestamp,
}

/// The budgets that count an entry of a stream in a currency, by the deployment that was looked up
/// last.
#[derive(Default)]
pub(crate) struct KnownBudgets(Option<(String, Vec<Budget>)>);

impl KnownBudgets {
    /// Calls `count` for each counter that an entry changes, with the budget, the start of the
    /// period, the customer and the change. `taken_by` is called only if a budget counts the entry.
    pub(crate) fn each_change<R: ReadTx>(
        &mut self,
        store: &R,
        entry: &LedgerEntry,
        taken_by: impl FnOnce(&R) -> Result<TakenBy>,
        mut count: impl FnMut(&Budget, Timestamp, &str, BudgetCounter),
    ) -> Result<()> {
        let Some(change) = change_of(&entry.kind, entry.minor_units, &entry.legs, &entry.pending) else {
            return Ok(());
        };
        let mut budgets = self.of_entry(store, entry)?.peekable();
        if budgets.peek().is_none() {
            return Ok(());
        }
        let taken_by = taken_by(store)?;
        for budget in budgets.filter(|budget| budget.since < taken_by.sequence) {
            let start = budget.period_at(taken_by.occurred_at).start;
            count(budget, start, budget.counter_of(entry.customer.as_deref()), change);
        }
        Ok(())
    }

    /// Returns the budgets of the deployment of an entry in its currency.
    fn of_entry(&mut self, store: &impl ReadTx, entry: &LedgerEntry) -> Result<impl Iterator<Item = &Budget>> {
        let deployment = entry.stream.deployment();
        if self.0.as_ref().is_none_or(|(known, _)| known != deployment) {
            self.0 = Some((deployment.to_owned(), budgets::of(store, deployment)?));
        }
        let known = self.0.iter().flat_map(|(_, budgets)| budgets);
        Ok(known.filter(|budget| budget.unit.is_currency(&entry.currency)))
    }
}

/// The counters that the entries of one commit change, by their keys.
#[derive(Default)]
pub(crate) struct BudgetChanges {
    known: KnownBudgets,
    counters: BTreeMap<Vec<u8>, ChangedCounter>,
}

struct ChangedCounter {
    budget: Budget,
    start: Timestamp,
    customer: String,
    paper: bool,
    /// The sequence number of the last entry.
    sequence: u64,
    change: BudgetCounter,
}

impl BudgetChanges {
    /// Adds an entry. `taken_by` is called only if a budget counts the entry.
    pub(crate) fn add<R: ReadTx>(
        &mut self,
        store: &R,
        entry: &LedgerEntry,
        taken_by: impl FnOnce(&R) -> Result<TakenBy>,
    ) -> Result<()> {
        let Self { known, counters } = self;
        known.each_change(store, entry, taken_by, |budget, start, customer, change| {
            let changed = counters.entry(keys::counter(budget, start, customer)).or_insert_with(|| ChangedCounter {
                budget: budget.clone(),
                start,
                customer: customer.to_owned(),
                paper: entry.paper,
                sequence: entry.sequence,
                change: BudgetCounter::default(),
            });
            changed.sequence = entry.sequence;
            changed.change.add(change);
        })
    }

    /// Writes the counters, and opens and explains findings about them.
    pub(crate) fn write(self, commit: &mut WriteTx<'_, '_>, now: Timestamp) -> Result<()> {
        if self.counters.is_empty() {
            return Ok(());
        }
        let mut book = FindingBook::open(commit, now)?;
        for (key, ChangedCounter { budget, start, customer, paper, sequence, change }) in self.counters {
            let mut counter: BudgetCounter = commit.record(BUDGET_COUNTERS, &key)?.unwrap_or_default();
            counter.add(change);
            commit.put_record(BUDGET_COUNTERS, &key, &counter)?;
            let excess = counter.excess(limit_of(commit, &budget, &customer)?);
            let subject = judge::subject(&budget, start, &customer, paper);
            judge::judge(commit, &mut book, &subject, sequence, excess)?;
        }
        book.finish(commit)
    }
}
