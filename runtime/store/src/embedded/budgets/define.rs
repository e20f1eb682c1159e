//! Writes the budgets that a revision of a deployment defines, and customers' own limits.
//!
//! A changed limit applies at once, to what was used before, too. A budget whose unit, scope,
//! period or time zone changes is another one: it counts from that revision on, and customers' own
//! limits are gone. So does a budget that was removed and comes back.

use tidemill_core::budget::BudgetScope;
use tidemill_core::{BudgetName, DeploymentName, Timestamp};

use crate::embedded::budgets::{self, fuel, is_named, judge, keys};
use crate::embedded::ledger::entries;
use crate::embedded::tables::{BUDGET_LIMITS, BUDGETS};
use crate::embedded::tx::WriteTx;
use crate::error::{Result, StoreError};
use crate::records::{Budget, BudgetLimit, Deployment, NewBudget};

/// Replaces the budgets of a deployment by those of its new revision.
pub(crate) fn replace(
    commit: &mut WriteTx<'_, '_>,
    deployment: &Deployment,
    new: &[NewBudget],
    now: Timestamp,
) -> Result<()> {
    let stored = budgets::of(commit, deployment.name.as_str())?;
    for old in &stored {
        if !new.iter().any(|new| new.name == old.name) {
            remove(commit, old, now)?;
        }
    }
    for new in new {
        let old = stored.iter().find(|old| is_named(old, &deployment.name, new.name.as_str()));
        let NewBudget { name, unit, limit, scope, period, time_zone, over } = new.clone();
        let mut budget = Budget {
            deployment: deployment.name.clone(),
            name,
            number: deployment.revision.get(),
            unit,
            limit,
            scope,
            period,
            time_zone,
            since: entries::head(commit)?.head.sequence,
            over,
        };
        if let Some(old) = old
            && (&old.unit, old.scope, old.period, &old.time_zone)
                == (&budget.unit, budget.scope, budget.period, &budget.time_zone)
        {
            (budget.number, budget.since) = (old.number, old.since);
        }
        if old != Some(&budget) {
            commit.put_record(BUDGETS, &keys::budget(budget.deployment.as_str(), budget.name.as_str()), &budget)?;
            if old.is_some() {
                judge::judge_later(commit, &budget, now)?;
            }
        }
        // Another limit, or another limit of each run, may make room.
        fuel::wake_all(commit, &budget, now)?;
    }
    Ok(())
}

fn remove(commit: &mut WriteTx<'_, '_>, budget: &Budget, now: Timestamp) -> Result<()> {
    commit.delete(BUDGETS, &keys::budget(budget.deployment.as_str(), budget.name.as_str()));
    fuel::wake_all(commit, budget, now)?;
    judge::judge_later(commit, budget, now)
}

/// Removes the budgets of a deleted deployment. Their counters are removed with its state.
pub(crate) fn remove_all(commit: &mut WriteTx<'_, '_>, deployment: &DeploymentName, now: Timestamp) -> Result<()> {
    for budget in budgets::of(commit, deployment.as_str())? {
        remove(commit, &budget, now)?;
    }
    Ok(())
}

/// Sets the limit of one customer; `None` removes it.
pub(crate) fn set_limit(
    commit: &mut WriteTx<'_, '_>,
    deployment: &DeploymentName,
    name: &BudgetName,
    customer: &str,
    limit: Option<&BudgetLimit>,
    now: Timestamp,
) -> Result<()> {
    let budget = budgets::get(commit, deployment.as_str(), name.as_str())?;
    let budget = budget.filter(|budget| budget.scope == BudgetScope::Customer);
    let missing = || StoreError::NotFound { kind: "budget of each customer", name: format!("{deployment}/{name}") };
    let budget = budget.ok_or_else(missing)?;
    match limit {
        Some(limit) => commit.put_record(BUDGET_LIMITS, &keys::limit(&budget, customer), limit)?,
        None => commit.delete(BUDGET_LIMITS, &keys::limit(&budget, customer)),
    }
    fuel::wake_customer(commit, &budget, customer, now)?;
    judge::judge_later(commit, &budget, now)
}
