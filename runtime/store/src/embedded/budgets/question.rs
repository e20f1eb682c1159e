//! Questions to budgets: what a `reserve` or `draw` may take, as the entries of its transaction
//! leave it.

use tidemill_core::Timestamp;
use tidemill_core::budget::BudgetCounter;
use tidemill_core::money::{EntryCall, EntryKind};

use crate::embedded::budgets::count::change_of;
use crate::embedded::budgets::{self, keys, limit_of};
use crate::embedded::ledger::reservations;
use crate::embedded::tables::BUDGET_COUNTERS;
use crate::embedded::tx::ReadTx;
use crate::error::Result;
use crate::records::{AccountDraft, BalanceDecision, BalanceQuestion, Budget, NewEntry};

/// Answers a question to the budget `name`. `new` are the entries of the transaction that follow
/// those in the draft. A budget that is gone refuses nothing.
pub(crate) fn decide<'e>(
    store: &impl ReadTx,
    question: &BalanceQuestion,
    (name, customer): (&str, &str),
    draft: &mut AccountDraft,
    new: impl Iterator<Item = &'e NewEntry>,
    now: Timestamp,
) -> Result<BalanceDecision> {
    let BalanceQuestion { stream, currency, minor_units: needed, .. } = question;
    let takes = EntryKind::parse(&question.kind).is_some_and(BudgetCounter::limits);
    let budget = budgets::get(store, stream.deployment(), name)?;
    let budget = budget.filter(|budget| takes && budget.unit.is_currency(currency));
    let Some(budget) = budget else { return Ok(BalanceDecision::Covered(*needed)) };
    let customer = budget.counter_of(Some(customer));
    for entry in new {
        draft.applied += 1;
        count(store, &budget, customer, draft, entry)?;
    }
    let period = budget.period_at(question.occurred_at);
    let mut counter: BudgetCounter =
        store.record(BUDGET_COUNTERS, &keys::counter(&budget, period.start, customer))?.unwrap_or_default();
    counter.add(draft.counted.get(&period.start).copied().unwrap_or_default());
    // What is over is not held, whether or not a timer has returned it.
    reservations::each_due(store, now, |entry| {
        if entry.stream.deployment() == stream.deployment()
            && entry.currency == *currency
            && entry.sequence > budget.since
            && (period.start..period.end).contains(&entry.occurred_at)
            && budget.counter_of(entry.customer.as_deref()) == customer
            && let Some(change) = change_of(&entry.kind, entry.minor_units, &entry.legs, &entry.pending)
        {
            counter.held -= change.held;
        }
        Ok(true)
    })?;
    let limit = limit_of(store, &budget, customer)?;
    Ok(match counter.allowed(limit, *needed, question.partial) {
        Some(minor_units) => BalanceDecision::Covered(minor_units),
        None => BalanceDecision::OverBudget { limit, used: counter.used, held: counter.held, needed: *needed },
    })
}

/// Adds an entry of a transaction to what its draft counts for one customer.
fn count(
    store: &impl ReadTx,
    budget: &Budget,
    customer: &str,
    draft: &mut AccountDraft,
    entry: &NewEntry,
) -> Result<()> {
    let Some(change) = change_of(&entry.kind, entry.minor_units, &entry.legs, &entry.pending) else { return Ok(()) };
    if !budget.unit.is_currency(&entry.currency) || budget.counter_of(entry.customer.as_deref()) != customer {
        return Ok(());
    }
    let taken_at = match entry.reservation.as_deref() {
        None => entry.occurred_at,
        Some(id) => match draft.reserved.get(id) {
            Some(own) => *own,
            None => match reservations::reservation(store, id)?.filter(|stored| stored.entry.sequence > budget.since) {
                Some(stored) => stored.entry.occurred_at,
                None => return Ok(()),
            },
        },
    };
    if entry.call == EntryCall::Reserve {
        draft.reserved.insert(entry.id.clone(), entry.occurred_at);
    }
    draft.counted.entry(budget.period_at(taken_at).start).or_default().add(change);
    Ok(())
}
