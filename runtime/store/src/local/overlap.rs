//! Carrying out firings one after the other, each by its overlap policy and by what goes on in this very commit.

use tidemill_core::schedule::Overlap;
use tidemill_core::schedule::policy::{OverlapDecision, UnendedCounts, overlap_decision};
use tidemill_core::{Code, DeploymentName, RunId, ScheduleName, Timestamp};

use super::commit::Commit;
use super::{places, runs, schedules, tree, turns, usage};
use crate::error::StoreError;
use crate::records::{Fate, FiringEntry, NewFiring, Requested};

type Result<T> = std::result::Result<T, StoreError>;

/// Runs that one firing cancels or ends at most.
const OTHERS: usize = 1_000;

/// Whose firings, and how they are carried out.
pub(super) struct Course<'a> {
    pub(super) deployment: &'a DeploymentName,
    pub(super) name: &'a ScheduleName,
    pub(super) overlap: Overlap,
    /// So many runs wait,
    pub(super) waiting: u64,
    /// and so many of the deployment's may be queued, where firings queue.
    pub(super) queue: u64,
    /// So many may make a run; the others are not carried out.
    pub(super) most: Option<u64>,
    /// The operation that asks for them, where that is a backfill.
    pub(super) operation: Option<&'a str>,
    pub(super) now: Timestamp,
}

/// What came of them.
#[derive(Default)]
pub(super) struct CarriedOut {
    /// Those that made a run: the nominal time and the run.
    pub(super) made: Vec<(Timestamp, RunId)>,
    /// How many were skipped,
    pub(super) skipped: u64,
    /// dropped,
    pub(super) dropped: u64,
    /// and made a run late.
    pub(super) late: u64,
    /// Whether the schedule's record was written on the way.
    pub(super) touched: bool,
    /// All of that, as it is listed.
    pub(super) entries: Vec<FiringEntry>,
}

/// Carries them out, as if each had come alone.
pub(super) fn carry_out(commit: &mut Commit<'_, '_>, course: &Course<'_>, firings: &[NewFiring]) -> Result<CarriedOut> {
    let mut done = CarriedOut::default();
    let mut going = Going::look(commit, course, course.waiting)?;
    for firing in firings {
        if course.most.is_some_and(|most| done.made.len() as u64 >= most) {
            break;
        }
        let full = course.overlap == Overlap::QueueAll && places::queued(commit, course.deployment)? >= course.queue;
        let decision = overlap_decision(course.overlap, UnendedCounts { full, ..going.unended });
        let nominal = firing.run.trigger.at.unwrap_or(firing.run.now);
        let passed = match decision {
            OverlapDecision::Skip => Some((Fate::Skipped, Code::OverlapSkipped)),
            OverlapDecision::Drop => Some((Fate::Dropped, Code::OverlapSkipped)),
            OverlapDecision::DropFull => Some((Fate::Dropped, Code::QueueFull)),
            _ => None,
        };
        let over = || usage::check_new_run(commit, course.deployment).err().map(|over| (Fate::Dropped, over.code()));
        if let Some((fate, code)) = passed.or_else(over) {
            match fate {
                Fate::Skipped => done.skipped += 1,
                _ => done.dropped += 1,
            }
            done.list(course, fate, code, nominal, going.first);
            continue;
        }
        match decision {
            OverlapDecision::CancelThenStart => going = Going::end_all(commit, course, false)?,
            OverlapDecision::TerminateThenStart => going = Going::end_all(commit, course, true)?,
            _ => {}
        }
        let waits = going.unended.started > 0 && course.overlap != Overlap::Allow;
        done.touched |= decision != OverlapDecision::Start;
        let Requested::Created(run) = runs::request_in_turn(commit, &firing.run, waits)? else { continue };
        going.comes(run.id, waits);
        done.made.push((nominal, run.id));
        if firing.late {
            done.late += 1;
            done.list(course, Fate::Late, Code::FiringLate, nominal, Some(run.id));
        }
    }
    Ok(done)
}

impl CarriedOut {
    /// Lists a firing, with the one before it where that met the same.
    fn list(&mut self, course: &Course<'_>, fate: Fate, code: Code, nominal: Timestamp, run: Option<RunId>) {
        if let Some(last) = self.entries.last_mut()
            && (last.fate, last.code.as_str()) == (fate, code.as_str())
            && (last.run == run || fate == Fate::Late)
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
struct Going {
    unended: UnendedCounts,
    /// The oldest of them, which is in the way.
    first: Option<RunId>,
}

impl Going {
    /// One look, however many firings there are.
    fn look(commit: &Commit<'_, '_>, course: &Course<'_>, waiting: u64) -> Result<Self> {
        if course.overlap == Overlap::Allow {
            return Ok(Self::default());
        }
        let first = turns::started(commit, course.deployment, course.name, 1)?.first().copied();
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
    fn end_all(commit: &mut Commit<'_, '_>, course: &Course<'_>, terminate: bool) -> Result<Self> {
        // Those that wait go first, so that none of them is started in between.
        let mut others = turns::waiting(commit, course.deployment, course.name, OTHERS)?;
        others.extend(turns::started(commit, course.deployment, course.name, OTHERS)?);
        for id in others {
            tree::cancel(commit, id, terminate, course.now)?;
        }
        let waiting = schedules::get(commit, course.deployment, course.name)?.map_or(0, |schedule| schedule.waiting);
        Self::look(commit, course, waiting)
    }
}
