//! Carrying out firings one after the other, each by its overlap policy and by what goes on in this very commit.

use tidemill_core::schedule::Overlap;
use tidemill_core::schedule::policy::{OverlapDecision, UnendedCounts, overlap_decision};
use tidemill_core::{Code, DeploymentName, RunId, ScheduleName, Timestamp};

use crate::embedded::runs::{index, tree};
use crate::embedded::schedules::queue;
use crate::embedded::write_tx::WriteTx;
use crate::embedded::{runs, schedules, usage};
use crate::error::StoreError;
use crate::records::{FiringEntry, FiringFate, NewFiring, RunRequestResult};

type Result<T> = std::result::Result<T, StoreError>;

/// Runs that one firing cancels or ends at most.
const OTHERS: usize = 1_000;

/// Whose firings, and how they are carried out.
pub(crate) struct FiringContext<'a> {
    pub(crate) deployment: &'a DeploymentName,
    pub(crate) name: &'a ScheduleName,
    pub(crate) overlap: Overlap,
    /// So many runs wait,
    pub(crate) waiting: u64,
    /// and so many of the deployment's may be queued, where firings queue.
    pub(crate) queue: u64,
    /// So many may make a run; the others are not carried out.
    pub(crate) most: Option<u64>,
    /// The operation that asks for them, where that is a backfill.
    pub(crate) operation: Option<&'a str>,
    pub(crate) now: Timestamp,
}

/// What came of them.
#[derive(Default)]
pub(crate) struct FiringResult {
    /// Those that made a run: the nominal time and the run.
    pub(crate) made: Vec<(Timestamp, RunId)>,
    /// How many were skipped,
    pub(crate) skipped: u64,
    /// dropped,
    pub(crate) dropped: u64,
    /// and made a run late.
    pub(crate) late: u64,
    /// Whether the schedule's record was written on the way.
    pub(crate) touched: bool,
    /// All of that, as it is listed.
    pub(crate) entries: Vec<FiringEntry>,
}

/// Carries them out, as if each had come alone.
pub(crate) fn carry_out(
    commit: &mut WriteTx<'_, '_>,
    course: &FiringContext<'_>,
    firings: &[NewFiring],
) -> Result<FiringResult> {
    let mut done = FiringResult::default();
    let mut going = UnendedRuns::look(commit, course, course.waiting)?;
    for firing in firings {
        if course.most.is_some_and(|most| done.made.len() as u64 >= most) {
            break;
        }
        let full = course.overlap == Overlap::QueueAll && index::queued(commit, course.deployment)? >= course.queue;
        let decision = overlap_decision(course.overlap, UnendedCounts { full, ..going.unended });
        let nominal = firing.run.trigger.at.unwrap_or(firing.run.now);
        let passed = match decision {
            OverlapDecision::Skip => Some((FiringFate::Skipped, Code::OverlapSkipped)),
            OverlapDecision::Drop => Some((FiringFate::Dropped, Code::OverlapSkipped)),
            OverlapDecision::DropFull => Some((FiringFate::Dropped, Code::QueueFull)),
            _ => None,
        };
        let over =
            || usage::check_new_run(commit, course.deployment).err().map(|over| (FiringFate::Dropped, over.code()));
        if let Some((fate, code)) = passed.or_else(over) {
            match fate {
                FiringFate::Skipped => done.skipped += 1,
                _ => done.dropped += 1,
            }
            done.list(course, fate, code, nominal, going.first);
            continue;
        }
        match decision {
            OverlapDecision::CancelThenStart => going = UnendedRuns::end_all(commit, course, false)?,
            OverlapDecision::TerminateThenStart => going = UnendedRuns::end_all(commit, course, true)?,
            _ => {}
        }
        let waits = going.unended.started > 0 && course.overlap != Overlap::Allow;
        done.touched |= decision != OverlapDecision::Start;
        let RunRequestResult::Created(run) = runs::request_in_turn(commit, &firing.run, waits)? else { continue };
        going.comes(run.id, waits);
        done.made.push((nominal, run.id));
        if firing.late {
            done.late += 1;
            done.list(course, FiringFate::Late, Code::FiringLate, nominal, Some(run.id));
        }
    }
    Ok(done)
}

impl FiringResult {
    /// Lists a firing, with the one before it where that met the same.
    fn list(
        &mut self,
        course: &FiringContext<'_>,
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
            seen: course.now,
            run,
            operation: course.operation.map(str::to_owned),
            more: false,
        });
    }
}

/// The runs of the schedule that have not ended and are not parked, as far as the policy need know.
#[derive(Default)]
struct UnendedRuns {
    unended: UnendedCounts,
    /// The oldest of them, which is in the way.
    first: Option<RunId>,
}

impl UnendedRuns {
    /// One look, however many firings there are.
    fn look(commit: &WriteTx<'_, '_>, course: &FiringContext<'_>, waiting: u64) -> Result<Self> {
        if course.overlap == Overlap::Allow {
            return Ok(Self::default());
        }
        let first = queue::started(commit, course.deployment, course.name, 1)?.first().copied();
        Ok(Self { unended: UnendedCounts { started: u64::from(first.is_some()), waiting, full: false }, first })
    }

    /// One more.
    fn comes(&mut self, id: RunId, waits: bool) {
        if waits {
            self.unended.waiting += 1;
        } else {
            self.unended.started += 1;
        }
        self.first = self.first.or(Some(id));
    }

    /// Asks all of them to end; those that need not be told are gone.
    fn end_all(commit: &mut WriteTx<'_, '_>, course: &FiringContext<'_>, terminate: bool) -> Result<Self> {
        // Those that wait go first, so that none of them is started in between.
        let mut others = queue::waiting(commit, course.deployment, course.name, OTHERS)?;
        others.extend(queue::started(commit, course.deployment, course.name, OTHERS)?);
        for id in others {
            tree::cancel(commit, id, terminate, course.now)?;
        }
        let waiting = schedules::get(commit, course.deployment, course.name)?.map_or(0, |schedule| schedule.waiting);
        Self::look(commit, course, waiting)
    }
}
