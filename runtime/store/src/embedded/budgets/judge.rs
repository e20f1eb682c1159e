//! The finding `over-budget`: what was posted beyond a limit. It opens and closes with the entries
//! that count, and with the limit.

use tidemill_core::Timestamp;
use tidemill_core::budget::BudgetCounter;
use tidemill_core::money::LedgerStream;
use tidemill_core::money::report::FindingKind;

use crate::embedded::budgets::{self, keys, limit_of};
use crate::embedded::ledger::entries;
use crate::embedded::ledger::findings::book::{self, FindingBook};
use crate::embedded::ledger::findings::due_change::DueChange;
use crate::embedded::ledger::findings::keys::FindingSubject;
use crate::embedded::tables::{BUDGET_COUNTERS, BUDGET_LIMITS, LEDGER_FINDINGS};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::Result;
use crate::records::{Budget, Finding};

/// The subject of the finding about a counter: the budget, the start of the period, and the
/// customer if there is one.
pub(crate) fn subject(budget: &Budget, start: Timestamp, customer: &str, paper: bool) -> FindingSubject {
    let mut name = format!("{}/{start}", budget.name);
    if !customer.is_empty() {
        name.push('/');
        name.push_str(customer);
    }
    FindingSubject {
        kind: FindingKind::OverBudget,
        paper,
        stream: Some(LedgerStream::of(&budget.deployment)),
        name,
        currency: Some(budget.unit.as_str().to_owned()),
    }
}

/// Reads the start of the period and the customer of a subject made by [`subject`].
fn counter_in<'s>(subject: &'s str, budget: &str) -> Option<(Timestamp, &'s str)> {
    let rest = subject.strip_prefix(budget)?.strip_prefix('/')?;
    // A customer may contain slashes; a time does not.
    let (start, customer) = rest.split_once('/').unwrap_or((rest, ""));
    Some((Timestamp::parse_rfc3339(start)?, customer))
}

/// Opens, updates or explains the finding about a counter.
pub(crate) fn judge(
    commit: &mut WriteTx<'_, '_>,
    book: &mut FindingBook,
    subject: &FindingSubject,
    sequence: u64,
    excess: Option<i128>,
) -> Result<()> {
    match excess {
        Some(excess) => drop(book.raise(commit, subject, sequence, Some(excess))?),
        None => drop(book.explain(commit, subject)?),
    }
    Ok(())
}

/// Has the findings about a budget judged again soon, because its limit changed or it is gone. They
/// can be many, so a timer does it in parts.
pub(crate) fn judge_later(commit: &mut WriteTx<'_, '_>, budget: &Budget, now: Timestamp) -> Result<()> {
    for paper in [false, true] {
        let (stream, name) = (LedgerStream::of(&budget.deployment), budget.name.as_str().to_owned());
        let kind = FindingKind::OverBudget;
        let subject = FindingSubject { kind, paper, stream: Some(stream.clone()), name: name.clone(), currency: None };
        let change = DueChange::Budget { paper, stream, budget: name, after: None };
        commit.put_record(LEDGER_FINDINGS, &subject.due(now), &change)?;
    }
    Ok(())
}

/// Judges at most `limit` findings about a budget again, from the one after the key `after`, and
/// removes at most `limit` rows of its earlier numbers. Returns where to continue if there are
/// more.
pub(crate) fn judge_again(
    commit: &mut WriteTx<'_, '_>,
    book: &mut FindingBook,
    (paper, stream, name): (bool, &LedgerStream, &str),
    after: Option<Vec<u8>>,
    limit: usize,
) -> Result<Option<Vec<u8>>> {
    let budget = budgets::get(commit, stream.deployment(), name)?;
    let removed = remove_earlier(commit, stream.deployment(), name, budget.as_ref(), limit)?;
    let kind = FindingKind::OverBudget;
    let of_stream =
        FindingSubject { kind, paper, stream: Some(stream.clone()), name: format!("{name}/"), currency: None };
    let mut prefix = of_stream.key();
    // The last NUL ends the name, which continues here.
    prefix.pop();
    let mut range = prefix_range(&prefix);
    if let Some(after) = &after {
        range.start = [after.as_slice(), &[0]].concat();
    }
    let rows = commit.range(LEDGER_FINDINGS, range, false, limit)?;
    let sequence = entries::head(commit)?.head.sequence;
    for (_, bytes) in &rows {
        let number: u64 = crate::embedded::codec::decode(LEDGER_FINDINGS, bytes)?;
        let Some(found) = book::find(commit, number)? else { continue };
        let Finding { subject: name_of, currency, .. } = found;
        let subject = FindingSubject { kind, paper, stream: Some(stream.clone()), name: name_of, currency };
        let excess = match (&budget, counter_in(&subject.name, name)) {
            (Some(budget), Some((start, customer))) if subject.currency.as_deref() == Some(budget.unit.as_str()) => {
                let counter: Option<BudgetCounter> =
                    commit.record(BUDGET_COUNTERS, &keys::counter(budget, start, customer))?;
                counter.unwrap_or_default().excess(limit_of(commit, budget, customer)?)
            }
            _ => None,
        };
        judge(commit, book, &subject, sequence, excess)?;
    }
    let last = rows.last().map(|(key, _)| key.to_vec());
    Ok(match (rows.len() == limit, removed == limit) {
        (true, _) => last,
        (false, true) => last.or(after).or(Some(prefix)),
        (false, false) => None,
    })
}

/// Removes counters and limits of a budget that is gone, or of its earlier numbers.
fn remove_earlier(
    commit: &mut WriteTx<'_, '_>,
    deployment: &str,
    name: &str,
    budget: Option<&Budget>,
    limit: usize,
) -> Result<usize> {
    let all = prefix_range(&keys::numbers(deployment, name));
    let present = budget.map(|budget| prefix_range(&keys::of(budget)));
    let mut removed = 0;
    for table in [BUDGET_COUNTERS, BUDGET_LIMITS] {
        // Numbers only increase, so what precedes the present one is obsolete.
        let end = present.as_ref().map_or(&all.end, |present| &present.start);
        for (key, _) in commit.range(table, all.start.clone()..end.clone(), false, limit - removed)? {
            commit.delete(table, &key);
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_names_its_counter() {
        let start = Timestamp::from_millis(1_700_000_000_000);
        for customer in ["", "c", "a/b/", "with\0nul"] {
            let budget = crate::embedded::fixture::budget("shop", "cap");
            let subject = subject(&budget, start, customer, false);
            assert_eq!(counter_in(&subject.name, "cap"), Some((start, customer)), "{}", subject.name);
        }
        assert_eq!(counter_in("cap/never", "cap"), None);
        assert_eq!(counter_in("other/2026-01-01T00:00:00Z", "cap"), None);
    }
}
