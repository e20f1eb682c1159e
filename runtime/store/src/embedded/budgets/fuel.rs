//! Budgets of fuel. A generation of a run holds all that it may use before it begins; its end
//! counts what it used, and returns the rest. So no race and no crash exceeds a budget.
//!
//! # Example (a budget of 100 for each day; a run holds 40)
//! | what happens | used | held | waits |
//! | --- | --- | --- | --- |
//! | A and B begin | 0 | 80 | |
//! | C would exceed the budget | 0 | 80 | C, until the day ends |
//! | A ends with 10 used; C begins | 10 | 80 | |
//! | the host is killed and starts again; B and C continue | 10 | 80 | |
//!
//! Invariants:
//! - A run executes only if it holds fuel of every budget of fuel that its deployment had when its
//!   generation began.
//! - `held` of a counter is the sum of the holds of runs. Used and held never exceed the limit in
//!   force at the beginning of a run.
//! - A run without a budget has no row here, which [`RunCounters::fuel`] tells without a read.
//!
//! [`RunCounters::fuel`]: crate::embedded::runs::record::RunCounters

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tidemill_core::budget::{BudgetCounter, BudgetUnit, OverBudget};
use tidemill_core::run::{Run, RunState};
use tidemill_core::{Code, DeploymentName, Timestamp};
use xxhash_rust::xxh3::xxh3_128;

use crate::embedded::budgets::{self, keys, limit_of};
use crate::embedded::codec::decode;
use crate::embedded::ledger::findings::due_change::DueChange;
use crate::embedded::ledger::findings::keys::due_fuel_waits;
use crate::embedded::runs::record::{self, RunRecord};
use crate::embedded::tables::{
    BUDGET_COUNTERS, DELAYED, FUEL_RUNS, FUEL_WAITS, LEDGER_FINDINGS, READY, RUNS, ready, run_at_end, time_key,
};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::{Budget, BudgetWait, NewRun};

/// Maximum number of waiting runs that one commit wakes. The timer of findings wakes the others.
const WAKE: usize = 1_000;
/// Maximum number of runs that one admission finds without room.
pub(crate) const REFUSED: usize = 256;
/// How long counters are kept after the start of their period, in milliseconds: 400 days.
const KEEP_MILLIS: u64 = 400 * 24 * 3_600_000;
/// Maximum number of old counters that the first use in a period removes.
const FORGET: usize = 64;

/// What a run has to do with budgets of fuel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FuelRun {
    /// The customer of its input; empty if it names none.
    pub(crate) customer: String,
    /// What it holds.
    pub(crate) holds: Vec<FuelHold>,
    /// The budget for which it waits, and its key in the table of waiting runs.
    pub(crate) waits: Option<(FuelCounter, Vec<u8>)>,
}

/// A counter of a budget of fuel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FuelCounter {
    /// The budget.
    pub(crate) budget: String,
    /// The budget's number.
    pub(crate) number: u64,
    /// The start of the period.
    pub(crate) start: Timestamp,
    /// Whose it is; empty for the deployment and for what names no customer.
    pub(crate) customer: String,
}

/// What a run holds in a counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FuelHold {
    /// The counter.
    pub(crate) counter: FuelCounter,
    /// How much.
    pub(crate) amount: u64,
    /// What the run had used before.
    pub(crate) used_before: u64,
}

impl FuelCounter {
    fn of(budget: &Budget, start: Timestamp, customer: &str) -> Self {
        let (number, customer) = (budget.number, budget.counter_of(Some(customer)).to_owned());
        Self { budget: budget.name.as_str().to_owned(), number, start, customer }
    }

    /// Returns its budget, if it still counts.
    fn budget(&self, store: &impl ReadTx, deployment: &DeploymentName) -> Result<Option<Budget>> {
        let budget = budgets::get(store, deployment.as_str(), &self.budget)?;
        Ok(budget.filter(|budget| budget.number == self.number && budget.unit == BudgetUnit::Fuel))
    }

    fn key(&self, budget: &Budget) -> Vec<u8> {
        keys::counter(budget, self.start, &self.customer)
    }

    /// The prefix of the runs that wait for it. The customer may contain any byte, so its hash is
    /// in the key.
    fn waits(&self, budget: &Budget) -> Vec<u8> {
        [&keys::period(budget, self.start)[..], &xxh3_128(self.customer.as_bytes()).to_be_bytes()].concat()
    }
}

/// Returns the budgets of fuel of a deployment.
fn of(store: &impl ReadTx, deployment: &DeploymentName) -> Result<Vec<Budget>> {
    let mut all = budgets::of(store, deployment.as_str())?;
    all.retain(|budget| budget.unit == BudgetUnit::Fuel);
    Ok(all)
}

fn row(store: &impl ReadTx, run: &Run) -> Result<FuelRun> {
    Ok(store.record(FUEL_RUNS, &run.id.to_bytes())?.unwrap_or_default())
}

/// Notes the customer of a new or replaced request. A request that must not wait is refused if
/// there is no room, and otherwise holds its fuel from now on.
pub(crate) fn request(commit: &mut WriteTx<'_, '_>, record: &mut RunRecord, new: &NewRun) -> Result<()> {
    let Some(customer) = &new.terms.customer else { return Ok(()) };
    record.counters.fuel = true;
    let mut fuel = row(commit, &record.run)?;
    let is_new = fuel.holds.is_empty();
    fuel.customer.clone_from(customer);
    if let Some(amount) = new.terms.fuel.filter(|_| is_new) {
        for budget in of(commit, &new.deployment)?.iter().filter(|budget| budget.over == OverBudget::Refuse) {
            hold(commit, budget, &mut fuel, &record.run, amount, new.now)?.map_err(|short| short.refusal(budget))?;
        }
    }
    commit.put_record(FUEL_RUNS, &record.run.id.to_bytes(), &fuel)
}

/// Sets the customer of a run's next generation.
pub(crate) fn continue_as(commit: &mut WriteTx<'_, '_>, run: &Run, customer: &str) -> Result<()> {
    let fuel = FuelRun { customer: customer.to_owned(), ..row(commit, run)? };
    commit.put_record(FUEL_RUNS, &run.id.to_bytes(), &fuel)
}

/// A budget without room for a hold.
struct FuelShortage {
    counter: FuelCounter,
    counted: BudgetCounter,
    limit: i64,
    amount: u64,
    /// When the period ends.
    end: Timestamp,
}

impl FuelShortage {
    fn refusal(&self, budget: &Budget) -> StoreError {
        let Self { counted: BudgetCounter { used, held }, limit, amount, end, .. } = self;
        let detail = format!(
            "a run holds {amount} units of fuel, but of the {limit} of budget `{}` {used} are used and {held} held until {end}",
            budget.name
        );
        StoreError::EffectImpossible { code: Code::BudgetExceeded, detail }
    }
}

/// Holds fuel of a budget for a run, unless the run holds it already.
fn hold(
    commit: &mut WriteTx<'_, '_>,
    budget: &Budget,
    fuel: &mut FuelRun,
    run: &Run,
    amount: u64,
    now: Timestamp,
) -> Result<std::result::Result<(), Box<FuelShortage>>> {
    let holds = |hold: &FuelHold| hold.counter.budget == budget.name.as_str() && hold.counter.number == budget.number;
    if fuel.holds.iter().any(holds) {
        return Ok(Ok(()));
    }
    let period = budget.period_at(now);
    let counter = FuelCounter::of(budget, period.start, &fuel.customer);
    let key = counter.key(budget);
    let stored: Option<BudgetCounter> = commit.record(BUDGET_COUNTERS, &key)?;
    let limit = limit_of(commit, budget, &counter.customer)?;
    let mut counted = stored.unwrap_or_default();
    if counted.left(limit) < amount.into() {
        return Ok(Err(Box::new(FuelShortage { counter, counted, limit, amount, end: period.end })));
    }
    if stored.is_none() {
        forget(commit, budget, now)?;
    }
    counted.held += i128::from(amount);
    commit.put_record(BUDGET_COUNTERS, &key, &counted)?;
    fuel.holds.push(FuelHold { counter, amount, used_before: run.fuel.get() });
    Ok(Ok(()))
}

/// Removes counters of periods that ended long ago.
fn forget(commit: &mut WriteTx<'_, '_>, budget: &Budget, now: Timestamp) -> Result<()> {
    let until = Timestamp::from_millis(now.as_millis().saturating_sub(KEEP_MILLIS));
    let range = keys::of(budget)..keys::period(budget, until);
    for (key, bytes) in commit.range(BUDGET_COUNTERS, range, false, FORGET)? {
        let counter: BudgetCounter = decode(BUDGET_COUNTERS, &bytes)?;
        if counter.held == 0 {
            commit.delete(BUDGET_COUNTERS, &key);
        }
    }
    Ok(())
}

/// Decides whether a queued run may begin. If a budget has no room, the run leaves the list of
/// ready runs until the period ends or fuel returns, and the end of the period is returned.
pub(crate) fn begin(
    commit: &mut WriteTx<'_, '_>,
    record: &mut RunRecord,
    amount: u64,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    // A suspended run has begun.
    if !matches!(record.run.state, RunState::Queued { .. }) {
        return Ok(None);
    }
    let budgets = of(commit, &record.run.deployment)?;
    if budgets.is_empty() && !record.counters.fuel {
        return Ok(None);
    }
    let mut fuel = row(commit, &record.run)?;
    stop_waiting(commit, &mut fuel);
    let held = fuel.holds.len();
    let mut short = None;
    for budget in &budgets {
        if let Err(lacks) = hold(commit, budget, &mut fuel, &record.run, amount, now)? {
            short = Some((budget, lacks));
            break;
        }
    }
    record.counters.fuel = true;
    let Some((budget, short)) = short else {
        commit.put_record(FUEL_RUNS, &record.run.id.to_bytes(), &fuel)?;
        return Ok(None);
    };
    // What it could have held of other budgets is for runs that can begin.
    for hold in fuel.holds.split_off(held) {
        give_back(commit, &record.run, &hold, 0)?;
    }
    commit.delete(READY, &ready(&record.run));
    let mut key = short.counter.waits(budget);
    key.push(9_u8.saturating_sub(record.run.priority));
    key.extend_from_slice(&record.run.id.to_bytes());
    commit.put(FUEL_WAITS, &key, &[]);
    fuel.waits = Some((short.counter, key));
    commit.put_record(FUEL_RUNS, &record.run.id.to_bytes(), &fuel)?;
    record.run.state = RunState::Queued { not_before: short.end };
    commit.put_record(RUNS, &record.run.id.to_bytes(), record)?;
    commit.put(DELAYED, &time_key(short.end, &record.run.id.to_bytes()), &ready(&record.run));
    Ok(Some(short.end))
}

fn stop_waiting(commit: &mut WriteTx<'_, '_>, fuel: &mut FuelRun) {
    if let Some((_, key)) = fuel.waits.take() {
        commit.delete(FUEL_WAITS, &key);
    }
}

/// Returns what a hold does not need, and counts what the run used, at most what it held.
fn give_back(commit: &mut WriteTx<'_, '_>, run: &Run, hold: &FuelHold, used: u64) -> Result<Option<Budget>> {
    let Some(budget) = hold.counter.budget(commit, &run.deployment)? else { return Ok(None) };
    let key = hold.counter.key(&budget);
    let Some(mut counted) = commit.record::<BudgetCounter>(BUDGET_COUNTERS, &key)? else { return Ok(None) };
    counted.add(BudgetCounter { used: used.min(hold.amount).into(), held: -i128::from(hold.amount) });
    commit.put_record(BUDGET_COUNTERS, &key, &counted)?;
    Ok(Some(budget))
}

/// Ends the part of a run in budgets of fuel: it has ended, is parked, or begins its next
/// generation. Counts what it used in the period in which it began.
pub(crate) fn end(commit: &mut WriteTx<'_, '_>, run: &Run) -> Result<()> {
    let mut fuel = row(commit, run)?;
    stop_waiting(commit, &mut fuel);
    for hold in std::mem::take(&mut fuel.holds) {
        let used = run.fuel.get().saturating_sub(hold.used_before);
        if let Some(budget) = give_back(commit, run, &hold, used)? {
            wake_as_far_as_fits(commit, &budget, &hold.counter, hold.amount)?;
        }
    }
    // A failed run may be tried again.
    match run.state {
        RunState::Succeeded | RunState::Cancelled => commit.delete(FUEL_RUNS, &run.id.to_bytes()),
        _ => commit.put_record(FUEL_RUNS, &run.id.to_bytes(), &fuel)?,
    }
    Ok(())
}

/// Wakes the runs that wait for a counter, as many as it has room for.
fn wake_as_far_as_fits(
    commit: &mut WriteTx<'_, '_>,
    budget: &Budget,
    counter: &FuelCounter,
    amount: u64,
) -> Result<()> {
    let counted: BudgetCounter = commit.record(BUDGET_COUNTERS, &counter.key(budget))?.unwrap_or_default();
    let room = counted.left(limit_of(commit, budget, &counter.customer)?) / i128::from(amount.max(1));
    let room = usize::try_from(room.max(0)).unwrap_or(WAKE).min(WAKE);
    wake(commit, prefix_range(&counter.waits(budget)), room).map(drop)
}

/// Wakes the runs that wait for a budget which changed or is gone, whatever period and customer
/// they wait for.
pub(crate) fn wake_all(commit: &mut WriteTx<'_, '_>, budget: &Budget, now: Timestamp) -> Result<()> {
    if budget.unit != BudgetUnit::Fuel {
        return Ok(());
    }
    let range = prefix_range(&keys::numbers(budget.deployment.as_str(), budget.name.as_str()));
    wake_in_parts(commit, range, now)
}

/// Wakes the runs that wait for a customer's part of a budget in the present period.
pub(crate) fn wake_customer(
    commit: &mut WriteTx<'_, '_>,
    budget: &Budget,
    customer: &str,
    now: Timestamp,
) -> Result<()> {
    if budget.unit != BudgetUnit::Fuel {
        return Ok(());
    }
    let counter = FuelCounter::of(budget, budget.period_at(now).start, customer);
    wake_in_parts(commit, prefix_range(&counter.waits(budget)), now)
}

/// Wakes the first of the waiting runs of a range, and has the timer of findings wake the others.
fn wake_in_parts(commit: &mut WriteTx<'_, '_>, range: Range<Vec<u8>>, now: Timestamp) -> Result<()> {
    match wake(commit, range, WAKE)? {
        (_, Some(rest)) => wake_later(commit, rest, now),
        (_, None) => Ok(()),
    }
}

/// Has the timer of findings wake the waiting runs of a range.
pub(crate) fn wake_later(commit: &mut WriteTx<'_, '_>, range: Range<Vec<u8>>, now: Timestamp) -> Result<()> {
    let key = due_fuel_waits(now, &range);
    commit.put_record(LEDGER_FINDINGS, &key, &DueChange::FuelWaits { start: range.start, end: range.end })
}

/// Wakes at most `limit` of the runs whose rows are in a range. Returns their number, and the rest
/// of the range if it may have more. A run that waits again gets its former row, which the rest
/// does not contain.
pub(crate) fn wake(
    commit: &mut WriteTx<'_, '_>,
    mut range: Range<Vec<u8>>,
    limit: usize,
) -> Result<(usize, Option<Range<Vec<u8>>>)> {
    let rows = commit.range(FUEL_WAITS, range.clone(), false, limit)?;
    for (key, _) in &rows {
        commit.delete(FUEL_WAITS, key);
        let Some(record) = run_at_end(key).map(|id| record::find(commit, id)).transpose()?.flatten() else { continue };
        let mut fuel = row(commit, &record.run)?;
        if fuel.waits.as_ref().is_none_or(|(_, waits)| waits[..] != key[..]) {
            continue;
        }
        fuel.waits = None;
        commit.put_record(FUEL_RUNS, &record.run.id.to_bytes(), &fuel)?;
        let RunState::Queued { not_before } = record.run.state else { continue };
        let delayed = time_key(not_before, &record.run.id.to_bytes());
        if commit.bytes(DELAYED, &delayed)?.is_some() {
            commit.delete(DELAYED, &delayed);
            commit.put(READY, &ready(&record.run), &[]);
            commit.ready(&record.run.deployment);
        }
    }
    if let Some((last, _)) = rows.last() {
        range.start = [last.as_ref(), &[0]].concat();
    }
    Ok((rows.len(), (rows.len() == limit).then_some(range)))
}

/// Visits what each run holds: the budget, the key of the counter, and the amount.
pub(crate) fn each_hold(store: &impl ReadTx, mut visit: impl FnMut(&Budget, &[u8], u64)) -> Result<()> {
    store.each(FUEL_RUNS, prefix_range(&[]), |key, bytes| {
        let fuel: FuelRun = decode(FUEL_RUNS, bytes)?;
        // Most rows are of runs that ended or have not begun.
        if fuel.holds.is_empty() {
            return Ok(());
        }
        let Some(record) = run_at_end(key).map(|id| record::find(store, id)).transpose()?.flatten() else {
            return Ok(());
        };
        for hold in &fuel.holds {
            if let Some(budget) = hold.counter.budget(store, &record.run.deployment)? {
                visit(&budget, &hold.counter.key(&budget), hold.amount);
            }
        }
        Ok(())
    })
}

/// Returns the budget for which a run waits.
pub(crate) fn waits(store: &impl ReadTx, record: &RunRecord) -> Result<Option<BudgetWait>> {
    if !record.counters.fuel {
        return Ok(None);
    }
    let Some((counter, _)) = row(store, &record.run)?.waits else { return Ok(None) };
    let Some(budget) = counter.budget(store, &record.run.deployment)? else { return Ok(None) };
    let counted = store.record(BUDGET_COUNTERS, &counter.key(&budget))?.unwrap_or_default();
    let limit = limit_of(store, &budget, &counter.customer)?;
    let FuelCounter { budget: name, customer, .. } = counter;
    Ok(Some(BudgetWait { budget: name, customer, limit, counted }))
}
