//! Executes the firings of one tick, one after the other, by the overlap policy. Does not decide
//! which firings are due.
//!
//! Example: run A of the 00:00 firing is still executing. The host was down, and one commit at
//! 03:00 executes the firings of 01:00, 02:00 and 03:00:
//!
//! - `skip`: none creates a run. The list gets one entry: skipped, 01:00 to 03:00, count 3, run A.
//! - `queue-one`: 01:00 waits for its turn after A. 02:00 and 03:00 are dropped.
//! - `queue-all`: all three wait and start one after the other, unless the queue of the deployment
//!   is full.
//! - `cancel-other`: 01:00 cancels A and waits, because A ends only when its guest returns. 02:00
//!   cancels A and the waiting run, and 03:00 does so again. Only the run of 03:00 is left; it
//!   starts when A has ended.
//! - `terminate-other`: the same, but the owner of A ends it without notifying the guest. If A were
//!   suspended, this commit would end it, and the run of 03:00 would be ready at once.
//! - `allow`: all three are ready at once.
//!
//! Invariants:
//! - A firing sees the effects of the firings before it in the same commit, as if each had a commit
//!   of its own.
//! - Under every policy except `allow`, a firing never starts while a started run of the schedule
//!   is left; its run waits for its turn instead.
//! - Every skipped, dropped or late firing is in the list with its reason.

use tidemill_core::schedule::Overlap;
use tidemill_core::schedule::policy::{OverlapDecision, UnendedCounts, overlap_decision};
use tidemill_core::{Code, DeploymentName, RunId, ScheduleName, Timestamp};

use crate::embedded::runs::{index, tree};
use crate::embedded::schedules::queue;
use crate::embedded::tx::WriteTx;
use crate::embedded::{runs, schedules, usage};
use crate::error::Result;
use crate::records::{FiringEntry, FiringFate, NewFiring, RunRequestResult};

/// Maximum number of started runs, and of waiting runs, that one firing cancels or terminates.
const UNENDED_MAX: usize = 1_000;

/// The schedule whose firings are executed, and the conditions for them.
pub(crate) struct FiringContext<'a> {
    pub(crate) deployment: &'a DeploymentName,
    pub(crate) name: &'a ScheduleName,
    pub(crate) overlap: Overlap,
    /// The number of runs of the schedule that wait for their turn.
    pub(crate) waiting: u64,
    /// Maximum number of queued runs of the deployment, under [`Overlap::QueueAll`].
    pub(crate) queue: u64,
    /// Maximum number of firings that create a run. Further firings are not executed.
    pub(crate) max_runs: Option<u64>,
    /// The operation, if the firings belong to a backfill.
    pub(crate) operation: Option<&'a str>,
    pub(crate) now: Timestamp,
}

/// The results of the firings.
#[derive(Default)]
pub(crate) struct FiringResult {
    /// Nominal time and run of each firing that created a run.
    pub(crate) made: Vec<(Timestamp, RunId)>,
    /// The number of skipped firings.
    pub(crate) skipped: u64,
    /// The number of dropped firings.
    pub(crate) dropped: u64,
    /// The number of firings that created a run late.
    pub(crate) late: u64,
    /// Whether the schedule's record may have been written in between.
    pub(crate) touched: bool,
    /// The entries for the firing list.
    pub(crate) entries: Vec<FiringEntry>,
}

/// Executes firings in order, each as if it were alone.
pub(crate) fn execute_firings(
    commit: &mut WriteTx<'_, '_>,
    context: &FiringContext<'_>,
    firings: &[NewFiring],
) -> Result<FiringResult> {
    let mut done = FiringResult::default();
    let mut unended = UnendedRuns::read(commit, context, context.waiting)?;
    for firing in firings {
        if context.max_runs.is_some_and(|max| done.made.len() as u64 >= max) {
            break;
        }
        let full = context.overlap == Overlap::QueueAll && index::queued(commit, context.deployment)? >= context.queue;
        let decision = overlap_decision(context.overlap, UnendedCounts { full, ..unended.counts });
        let nominal = firing.run.trigger.at.unwrap_or(firing.run.now);
        let passed = match decision {
            OverlapDecision::Skip => Some((FiringFate::Skipped, Code::OverlapSkipped)),
            OverlapDecision::Drop => Some((FiringFate::Dropped, Code::OverlapSkipped)),
            OverlapDecision::DropFull => Some((FiringFate::Dropped, Code::QueueFull)),
            _ => None,
        };
        let over =
            || usage::check_new_run(commit, context.deployment).err().map(|over| (FiringFate::Dropped, over.code()));
        if let Some((fate, code)) = passed.or_else(over) {
            match fate {
                FiringFate::Skipped => done.skipped += 1,
                _ => done.dropped += 1,
            }
            done.list(context, fate, code, nominal, unended.first);
            continue;
        }
        match decision {
            OverlapDecision::CancelThenStart => unended = UnendedRuns::end_all(commit, context, false)?,
            OverlapDecision::TerminateThenStart => unended = UnendedRuns::end_all(commit, context, true)?,
            _ => {}
        }
        let waits = unended.counts.started > 0 && context.overlap != Overlap::Allow;
        done.touched |= decision != OverlapDecision::Start;
        let RunRequestResult::Created(run) = runs::request_in_turn(commit, &firing.run, waits)? else { continue };
        unended.add(run.id, waits);
        done.made.push((nominal, run.id));
        if firing.late {
            done.late += 1;
            done.list(context, FiringFate::Late, Code::FiringLate, nominal, Some(run.id));
        }
    }
    Ok(done)
}

impl FiringResult {
    /// Adds a firing to the list. Extends the last entry if fate and reason are the same, and,
    /// unless the firings are late, the run.
    fn list(
        &mut self,
        context: &FiringContext<'_>,
        fate: FiringFate,
        code: Code,
        nominal: Timestamp,
        run: Option<RunId>,
    ) {
        if let Some(last) = self.entries.last_mut()
            && (last.fate, last.code.as_str()) == (fate, code.as_str())
            && (last.run == run || fate == FiringFate::Late)
        {
            (last.last, last.count, last.run) = (nominal, last.count + 1, run);
            return;
        }
        self.entries.push(FiringEntry {
            fate,
            code: code.as_str().to_owned(),
            first: nominal,
            last: nominal,
            count: 1,
            seen: context.now,
            run,
            operation: context.operation.map(str::to_owned),
            more: false,
        });
    }
}

/// The runs of the schedule that have not ended and are not parked, as far as the policy needs
/// them.
#[derive(Default)]
struct UnendedRuns {
    counts: UnendedCounts,
    /// The oldest of them, which blocks the firing.
    first: Option<RunId>,
}

impl UnendedRuns {
    /// Reads the counts once, regardless of the number of firings.
    fn read(commit: &WriteTx<'_, '_>, context: &FiringContext<'_>, waiting: u64) -> Result<Self> {
        if context.overlap == Overlap::Allow {
            return Ok(Self::default());
        }
        let first = queue::started(commit, context.deployment, context.name, 1)?.first().copied();
        Ok(Self { counts: UnendedCounts { started: u64::from(first.is_some()), waiting, full: false }, first })
    }

    /// Adds a run that this commit created.
    fn add(&mut self, id: RunId, waits: bool) {
        if waits {
            self.counts.waiting += 1;
        } else {
            self.counts.started += 1;
        }
        self.first = self.first.or(Some(id));
    }

    /// Cancels or terminates all of them. Returns the runs that have not ended by that.
    fn end_all(commit: &mut WriteTx<'_, '_>, context: &FiringContext<'_>, terminate: bool) -> Result<Self> {
        // Waiting runs first, so that none of them starts when a started run ends.
        let mut ids = queue::waiting(commit, context.deployment, context.name, UNENDED_MAX)?;
        ids.extend(queue::started(commit, context.deployment, context.name, UNENDED_MAX)?);
        for id in ids {
            tree::cancel(commit, id, terminate, context.now)?;
        }
        let waiting = schedules::get(commit, context.deployment, context.name)?.map_or(0, |schedule| schedule.waiting);
        Self::read(commit, context, waiting)
    }
}
