//! Lists budgets with what was used of them in one period.

use std::collections::BTreeSet;

use tidemill_core::Timestamp;
use tidemill_core::budget::{BudgetCounter, BudgetScope};
use tidemill_core::money::report::CalendarPeriod;

use crate::embedded::budgets::keys;
use crate::embedded::codec::decode;
use crate::embedded::ledger::keys::text;
use crate::embedded::tables::{BUDGET_COUNTERS, BUDGET_LIMITS, BUDGETS};
use crate::embedded::tx::{ReadTx, prefix_range};
use crate::error::Result;
use crate::records::{Budget, BudgetFilter, BudgetLimit, BudgetLine, Page, PageRequest};

/// What precedes a customer in the order of the lines of a budget. The budget itself is first.
const CUSTOMER: u8 = 1;

/// Returns a page of lines in the period of each budget that contains `at`.
pub(crate) fn page(
    store: &impl ReadTx,
    filter: &BudgetFilter,
    page: &PageRequest,
    at: Timestamp,
) -> Result<Page<BudgetLine>> {
    let wanted = page.limit.max(1);
    let prefix = filter.deployment.as_ref().map(|name| keys::budget(name.as_str(), "")).unwrap_or_default();
    let mut lines: Vec<(Vec<u8>, BudgetLine)> = Vec::new();
    store.each_while(BUDGETS, prefix_range(&prefix), |_, bytes| {
        let budget: Budget = decode(BUDGETS, bytes)?;
        if filter.name.as_ref().is_some_and(|name| *name != budget.name) {
            return Ok(true);
        }
        let first = keys::numbers(budget.deployment.as_str(), budget.name.as_str());
        let after = match page.cursor.as_deref() {
            Some(cursor) => match cursor.strip_prefix(&first[..]) {
                Some(rest) => Some(rest),
                // A cursor is in another budget: before it everything was listed.
                None if cursor > first.as_slice() => return Ok(true),
                None => None,
            },
            None => None,
        };
        let budget_lines = BudgetLines { store, budget: &budget, period: budget.period_at(at) };
        for (rest, line) in budget_lines.after(after, filter.customer.as_deref(), wanted + 1 - lines.len())? {
            lines.push(([&first[..], &rest].concat(), line));
        }
        Ok(lines.len() <= wanted)
    })?;
    let more = lines.len() > wanted;
    lines.truncate(wanted);
    let next = if more { lines.last().map(|(key, _)| key.clone()) } else { None };
    Ok(Page { items: lines.into_iter().map(|(_, line)| line).collect(), next })
}

/// The lines of one budget.
struct BudgetLines<'s, R> {
    store: &'s R,
    budget: &'s Budget,
    period: CalendarPeriod,
}

impl<R: ReadTx> BudgetLines<'_, R> {
    /// Returns at most `limit` lines after a position, each with its position.
    fn after(&self, after: Option<&[u8]>, customer: Option<&str>, limit: usize) -> Result<Vec<(Vec<u8>, BudgetLine)>> {
        let of_customers = self.budget.scope == BudgetScope::Customer;
        let position = |customer: &str| [&[CUSTOMER], customer.as_bytes()].concat();
        if let Some(customer) = customer {
            let wanted = of_customers && after.is_none();
            let line = wanted.then(|| Ok((position(customer), self.of_customer(customer)?)));
            return line.into_iter().collect();
        }
        let mut lines = Vec::new();
        if after.is_none() {
            lines.push((Vec::new(), self.whole()?));
        }
        if of_customers && lines.len() < limit {
            let after = after.and_then(|position| position.strip_prefix(&[CUSTOMER])).map(text).transpose()?;
            for customer in self.customers(after, limit - lines.len())? {
                lines.push((position(&customer), self.of_customer(&customer)?));
            }
        }
        Ok(lines)
    }

    /// Returns the first customers after one that used the budget in the period or have a limit of
    /// their own.
    fn customers(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        let mut found = BTreeSet::new();
        for (table, prefix) in
            [(BUDGET_COUNTERS, keys::period(self.budget, self.period.start)), (BUDGET_LIMITS, keys::of(self.budget))]
        {
            let mut range = prefix_range(&prefix);
            if let Some(after) = after {
                range.start = [&prefix[..], after.as_bytes(), &[0]].concat();
            }
            for (key, _) in self.store.range(table, range, false, limit)? {
                found.insert(text(&key[prefix.len()..])?.to_owned());
            }
        }
        Ok(found.into_iter().take(limit).collect())
    }

    fn whole(&self) -> Result<BudgetLine> {
        let counter = match self.budget.scope {
            BudgetScope::Deployment => Some(self.counter("")?),
            BudgetScope::Customer => None,
        };
        Ok(self.line(None, None, counter))
    }

    fn of_customer(&self, customer: &str) -> Result<BudgetLine> {
        let own: Option<BudgetLimit> = self.store.record(BUDGET_LIMITS, &keys::limit(self.budget, customer))?;
        Ok(self.line(Some(customer.to_owned()), own, Some(self.counter(customer)?)))
    }

    fn counter(&self, customer: &str) -> Result<BudgetCounter> {
        let key = keys::counter(self.budget, self.period.start, customer);
        Ok(self.store.record(BUDGET_COUNTERS, &key)?.unwrap_or_default())
    }

    fn line(&self, customer: Option<String>, own: Option<BudgetLimit>, counter: Option<BudgetCounter>) -> BudgetLine {
        BudgetLine {
            budget: self.budget.clone(),
            customer,
            limit: own.as_ref().map_or(self.budget.limit, |own| own.limit),
            own_limit: own.is_some(),
            period: self.period.clone(),
            counter,
        }
    }
}
