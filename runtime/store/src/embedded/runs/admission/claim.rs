//! Claims waiting runs: selects the next runs of a deployment, within its rate.
//!
//! Runs that have started before come first and count under no rate. Of the others the highest
//! priority comes first, then the oldest. Each pass over a priority level raises it by one
//! sixteenth of a step until one of its runs is chosen. For a rate, the start of each run is
//! stored, so the limit holds in every interval of its length, also across restarts. A run without
//! room in a budget of fuel leaves the list until there is room. If a maximum of unprivileged runs
//! is given, privileged runs pass the others.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tidemill_core::flow::Rate;
use tidemill_core::ids::Owner;
use tidemill_core::run::{Run, RunEvent};
use tidemill_core::{DeploymentName, RunId, Timestamp};

use crate::embedded::budgets::fuel;
use crate::embedded::runs::admission::lanes;
use crate::embedded::runs::{self, record, transition};
use crate::embedded::tables::{self, DELAYED, READY, STARTS, TURNS, name_key, time_key, time_of};
use crate::embedded::tx::{Key, ReadTx, WriteTx, prefix_range};
use crate::embedded::value::ValueRef;
use crate::error::Result;
use crate::records::AdmissionLimits;

/// Maximum number of delayed runs that one commit moves to the ready list.
pub(crate) const PROMOTE: usize = 1_000;

/// A claimed run, with its input.
type ClaimedRow = (Run, ValueRef);

/// Number of passes over a priority level that raise it by one step.
const PASSED_A_STEP: u16 = 16;
/// Number of priority levels.
const LEVELS: usize = 9;
/// Maximum number of runs that are searched for privileged ones.
const SEARCHED: usize = 256;
/// Maximum number of expired starts that one commit deletes per range.
const FORGET: usize = 10_000;

/// The effect of a deployment's admissions on the next one. Written only if there are several
/// priorities to choose from, or a rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct AdmissionHistory {
    /// The number of passes over each priority, from 1 to 9.
    passed: [u16; LEVELS],
    /// The number of rows in [`STARTS`].
    starts: u32,
}

pub(crate) fn admit(
    commit: &mut WriteTx<'_, '_>,
    owner: &Owner,
    deployment: &DeploymentName,
    limit: usize,
    limits: AdmissionLimits,
    now: Timestamp,
) -> Result<(Vec<ClaimedRow>, Option<Timestamp>)> {
    promote(commit, now)?;
    let mut admission =
        Admission { owner, deployment, limits, now, claimed: Vec::new(), unprivileged: 0, next: None, short: 0 };
    loop {
        let short = admission.short;
        admission.pass(commit, limit)?;
        // Runs without room in a budget have left the list, so others may start in their place.
        if admission.short == short || admission.claimed.len() >= limit {
            break;
        }
        if admission.short >= fuel::REFUSED {
            admission.note_next(now.plus_millis(1));
            break;
        }
    }
    Ok((admission.claimed, admission.next))
}

/// The admission of runs of one deployment.
struct Admission<'a> {
    owner: &'a Owner,
    deployment: &'a DeploymentName,
    limits: AdmissionLimits,
    now: Timestamp,
    claimed: Vec<ClaimedRow>,
    /// The number of claimed runs that are not privileged.
    unprivileged: usize,
    /// When the next run may start.
    next: Option<Timestamp>,
    /// The number of runs that a budget had no room for.
    short: usize,
}

impl Admission<'_> {
    /// Claims ready runs until there are `limit`, each at most once.
    fn pass(&mut self, commit: &mut WriteTx<'_, '_>, limit: usize) -> Result<()> {
        let (deployment, now) = (self.deployment, self.now);
        let wanted = limit - self.claimed.len();
        let searched = if self.limits.unprivileged.is_some() { SEARCHED.max(wanted) } else { wanted };
        let begun = commit.scan_prefix(READY, &name_key(deployment.as_str(), &[0]), searched)?;
        for (key, _) in begun {
            let id = runs::run_in_key(READY, &key)?;
            if self.claimed.len() < limit && (self.unprivileged_room() > 0 || is_privileged(commit, id)?) {
                self.take(commit, id)?;
            }
        }
        let wanted = (limit - self.claimed.len()).min(self.unprivileged_room());
        if wanted == 0 {
            return Ok(());
        }
        let rate = self.limits.rate;
        let before = turns(commit, deployment, rate.is_some())?;
        let mut after = before;
        let (room, oldest) = match rate {
            Some(rate) => room(commit, deployment, rate, &mut after, now)?,
            None => (wanted, None),
        };
        let fresh = choose(commit, deployment, wanted.min(room), &mut after)?;
        if let Some(rate) = rate
            && room < wanted
            && is_more(commit, deployment, fresh.len())?
        {
            let first = oldest.unwrap_or(now);
            self.note_next(first.plus_millis(rate.per_millis).max(now.plus_millis(1)));
        }
        for key in fresh {
            let id = runs::run_in_key(READY, &key)?;
            if self.take(commit, id)? && rate.is_some() {
                commit.put(STARTS, &started(deployment, now, id), &[]);
                after.starts = after.starts.saturating_add(1);
            }
        }
        if after != before {
            commit.put_record(TURNS, deployment.as_str().as_bytes(), &after)?;
        }
        Ok(())
    }

    /// Returns how many more unprivileged runs may be claimed.
    fn unprivileged_room(&self) -> usize {
        self.limits.unprivileged.map_or(usize::MAX, |most| most.saturating_sub(self.unprivileged))
    }

    fn note_next(&mut self, at: Timestamp) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// Claims a run, unless it must wait for a budget. Returns whether it was claimed.
    fn take(&mut self, commit: &mut WriteTx<'_, '_>, id: RunId) -> Result<bool> {
        let mut before = record::get(commit, id)?;
        if let Some(amount) = self.limits.fuel
            && let Some(end) = fuel::begin(commit, &mut before, amount, self.now)?
        {
            self.short += 1;
            self.note_next(end);
            return Ok(false);
        }
        self.unprivileged += usize::from(!before.run.is_privileged());
        let mut after = before.after(RunEvent::Claimed(self.owner.clone()))?;
        after.run.started_at = after.run.started_at.or(Some(self.now));
        after.run.waiting_for = None;
        transition::write(commit, Some(&before.run), &after, self.now)?;
        let input = runs::input(commit, id)?.unwrap_or(ValueRef::EMPTY);
        // Return what the run waited for, which its record no longer contains.
        self.claimed.push((Run { waiting_for: before.run.waiting_for, ..after.run }, input));
        Ok(true)
    }
}

/// Returns whether a ready run may pass runs that a maximum holds back.
fn is_privileged(commit: &WriteTx<'_, '_>, id: RunId) -> Result<bool> {
    Ok(record::get(commit, id)?.run.is_privileged())
}

/// Moves due delayed runs to the ready list, or into their lanes.
fn promote(commit: &mut WriteTx<'_, '_>, now: Timestamp) -> Result<()> {
    let range = Vec::new()..time_key(now.plus_millis(1), &[]);
    for (key, ready) in commit.range(DELAYED, range, false, PROMOTE)? {
        commit.delete(DELAYED, &key);
        if tables::is_lane_request(&ready) {
            lanes::try_enter(commit, record::get(commit, runs::run_in_key(DELAYED, &key)?)?)?;
        } else {
            commit.put(READY, &ready, &[]);
        }
    }
    Ok(())
}

/// Chooses the runs that start next, at most `limit`.
fn choose(
    commit: &WriteTx<'_, '_>,
    deployment: &DeploymentName,
    limit: usize,
    turns: &mut AdmissionHistory,
) -> Result<Vec<Key>> {
    let prefix = name_key(deployment.as_str(), &[1]);
    let first: Vec<Key> = commit.scan_prefix(READY, &prefix, limit)?.into_iter().map(|(key, _)| key).collect();
    let level = |key: &Key| key.get(prefix.len()).map_or(0, |byte| usize::from(*byte).min(LEVELS - 1));
    // If all runs are chosen or all have one priority, no level is passed over.
    if first.len() < limit {
        return Ok(first);
    }
    let last = commit.range(READY, prefix_range(&prefix), true, 1)?;
    match (first.first(), last.first()) {
        (Some(first), Some((last, _))) if level(first) != level(last) => {}
        _ => return Ok(first),
    }
    *turns = self::turns(commit, deployment, true)?.with_starts(turns.starts);
    let mut levels: [VecDeque<Key>; LEVELS] = Default::default();
    for (below, level) in levels.iter_mut().enumerate() {
        let prefix = name_key(deployment.as_str(), &[1, u8::try_from(below).unwrap_or(u8::MAX)]);
        *level = commit.scan_prefix(READY, &prefix, limit)?.into_iter().map(|(key, _)| key).collect();
    }
    let mut chosen = Vec::with_capacity(limit);
    while chosen.len() < limit {
        // Rows are sorted by the distance from the highest priority.
        let rank = |below: usize| LEVELS - 1 - below + usize::from(turns.passed[LEVELS - 1 - below] / PASSED_A_STEP);
        let waiting = (0..LEVELS).filter(|below| !levels[*below].is_empty());
        let Some(next) = waiting.max_by_key(|below| (rank(*below), LEVELS - *below)) else { break };
        for (below, level) in levels.iter().enumerate() {
            let passed = &mut turns.passed[LEVELS - 1 - below];
            *passed = if below == next || level.is_empty() { 0 } else { passed.saturating_add(1) };
        }
        chosen.extend(levels[next].pop_front());
    }
    Ok(chosen)
}

impl AdmissionHistory {
    const fn with_starts(mut self, starts: u32) -> Self {
        self.starts = starts;
        self
    }
}

fn turns(store: &impl ReadTx, deployment: &DeploymentName, wanted: bool) -> Result<AdmissionHistory> {
    let known = if wanted { store.record(TURNS, deployment.as_str().as_bytes())? } else { None };
    Ok(known.unwrap_or_default())
}

/// Returns how many more runs may start now, and the time of the oldest start that still counts.
/// Deletes starts that no longer count.
fn room(
    commit: &mut WriteTx<'_, '_>,
    deployment: &DeploymentName,
    rate: Rate,
    turns: &mut AdmissionHistory,
    now: Timestamp,
) -> Result<(usize, Option<Timestamp>)> {
    let all = prefix_range(&name_key(deployment.as_str(), &[]));
    let edge = |time: Timestamp| name_key(deployment.as_str(), &time_key(time, &[]));
    let over = Timestamp::from_millis(now.as_millis().saturating_sub(rate.per_millis));
    // If the clock was set back far, starts are in the future. They must not block new starts until
    // then.
    let beyond = edge(now.plus_millis(rate.per_millis).plus_millis(1));
    let past = if now.as_millis() >= rate.per_millis { edge(over.plus_millis(1)) } else { all.start.clone() };
    for range in [all.start.clone()..past, beyond..all.end.clone()] {
        if range.start >= range.end {
            continue;
        }
        for (key, _) in commit.range(STARTS, range, false, FORGET)? {
            commit.delete(STARTS, &key);
            turns.starts = turns.starts.saturating_sub(1);
        }
    }
    let oldest = commit.range(STARTS, all, false, 1)?;
    let skip = deployment.as_str().len() + 1;
    let oldest = oldest.first().and_then(|(key, _)| time_of(key.get(skip..)?));
    Ok((rate.runs.saturating_sub(turns.starts) as usize, oldest))
}

fn started(deployment: &DeploymentName, at_time: Timestamp, id: RunId) -> Vec<u8> {
    name_key(deployment.as_str(), &time_key(at_time, &id.to_bytes()))
}

fn is_more(store: &impl ReadTx, deployment: &DeploymentName, than: usize) -> Result<bool> {
    Ok(store.scan_prefix(READY, &name_key(deployment.as_str(), &[1]), than.saturating_add(1))?.len() > than)
}

/// Returns how many starts a rate may still count, and the time of the first.
pub(crate) fn starts(store: &impl ReadTx, deployment: &DeploymentName) -> Result<(u32, Option<Timestamp>)> {
    let counted = turns(store, deployment, true)?.starts;
    let first = store.scan_prefix(STARTS, &name_key(deployment.as_str(), &[]), 1)?;
    let skip = deployment.as_str().len() + 1;
    Ok((counted, first.first().and_then(|(key, _)| time_of(key.get(skip..)?))))
}
