//! What to do about firings that overlap and firings that were missed. Pure decisions; the scheduler carries them out.

use serde::{Deserialize, Serialize};

use super::Schedule;
use crate::ids::{DeploymentName, Timestamp};

/// What a firing does while runs of its schedule have not ended and are not parked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// It is skipped, counted and listed (`host/overlap-skipped`).
    #[default]
    Skip,
    /// It waits for them, unless one waits already; then it is dropped.
    QueueOne,
    /// It waits for them, in order.
    QueueAll,
    /// They are cancelled, and it starts when they have ended.
    CancelOther,
    /// They are ended at once, and it starts.
    TerminateOther,
    /// It starts beside them.
    Allow,
}

impl Overlap {
    /// Every policy.
    pub const ALL: [Self; 6] =
        [Self::Skip, Self::QueueOne, Self::QueueAll, Self::CancelOther, Self::TerminateOther, Self::Allow];

    /// Its name in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::QueueOne => "queue-one",
            Self::QueueAll => "queue-all",
            Self::CancelOther => "cancel-other",
            Self::TerminateOther => "terminate-other",
            Self::Allow => "allow",
        }
    }
}

/// The runs of one schedule that have not ended and are not parked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnendedCounts {
    /// Those that were started.
    pub started: u64,
    /// Those that wait for the started ones, by an earlier decision.
    pub waiting: u64,
    /// Whether no more may wait, because the deployment's queue has no room.
    pub full: bool,
}

/// What a firing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverlapDecision {
    /// Start a run.
    Start,
    /// No run; count and list the firing as skipped.
    Skip,
    /// No run, because one waits already; count and list the firing as dropped.
    Drop,
    /// No run, because the queue has no room; count and list the firing as dropped.
    DropFull,
    /// Make a run that starts when those before it have ended.
    Wait,
    /// Cancel the others, and start when they have ended.
    CancelThenStart,
    /// End the others at once, and start when they have.
    TerminateThenStart,
}

/// What a firing does under `policy`, where its schedule has these runs.
#[must_use]
pub const fn overlap_decision(policy: Overlap, unended: UnendedCounts) -> OverlapDecision {
    if unended.started == 0 && unended.waiting == 0 {
        return OverlapDecision::Start;
    }
    match policy {
        Overlap::Skip => OverlapDecision::Skip,
        Overlap::QueueOne if unended.waiting > 0 => OverlapDecision::Drop,
        Overlap::QueueAll if unended.full => OverlapDecision::DropFull,
        Overlap::QueueOne | Overlap::QueueAll => OverlapDecision::Wait,
        Overlap::CancelOther => OverlapDecision::CancelThenStart,
        Overlap::TerminateOther => OverlapDecision::TerminateThenStart,
        Overlap::Allow => OverlapDecision::Start,
    }
}

/// Which of the firings missed inside the window are made up for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CatchUp {
    /// Every one.
    All,
    /// The latest.
    #[default]
    Last,
    /// None.
    None,
}

impl CatchUp {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::All, Self::Last, Self::None];

    /// Its name in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Last => "last",
            Self::None => "none",
        }
    }
}

/// A firing no later than this, in milliseconds, was not missed: it fires whatever the policy.
pub const ON_TIME_MILLIS: u64 = 5_000;
/// The most firings that one look makes up for; the next look goes on where it ended.
pub const CATCH_UP_FIRINGS: usize = 1_000;
/// The most missed firings that one look counts; the next goes on where it ended.
pub const COUNTED_FIRINGS: u64 = 2_000;

/// What is due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DueFirings {
    /// Nominal times to fire, in order, each with the time from which it could be carried out.
    pub fire: Vec<(Timestamp, Timestamp)>,
    /// No later firing is carried out before this: firings keep their order, whatever their jitter.
    pub held: Timestamp,
    /// How many were left out, by the window or by the policy (`host/firing-missed`): all of them before those to fire.
    pub missed: u64,
    /// The first of those,
    pub first_missed: Option<Timestamp>,
    /// and the last.
    pub last_missed: Option<Timestamp>,
    /// The last nominal time that this look has dealt with; the next look begins after it. `last_nominal` again where
    /// nothing was due.
    pub through: Timestamp,
    /// Whether more is due than one look may deal with: look again at once.
    pub more: bool,
}

/// What is due of `deployment`'s `schedule` at `now`, where every nominal time up to and with `last_nominal` has been dealt with.
///
/// Firings are carried out in the order of their nominal times, each when its jitter is over and the one before it has been dealt
/// with; `held` is when the first of them can be carried out at the earliest. Inside the window the schedule's catch-up policy decides; what is older is dropped and counted. One look does a
/// bounded amount of work however long the host was down; `more` says that there is more to do.
#[must_use]
pub fn due_firings(
    schedule: &Schedule,
    deployment: &DeploymentName,
    last_nominal: Timestamp,
    held: Timestamp,
    now: Timestamp,
) -> DueFirings {
    let spec = schedule.spec();
    let mut due = DueFirings { through: last_nominal, held, ..DueFirings::default() };
    let mut held_back: Option<(Timestamp, Timestamp)> = None;
    let mut counted = 0;
    while let Some(nominal) = schedule.next_after(due.through).filter(|nominal| *nominal <= now) {
        let due_at = schedule.due_at(deployment, nominal).max(due.held);
        if due_at > now {
            break;
        }
        if counted == COUNTED_FIRINGS || due.fire.len() == CATCH_UP_FIRINGS {
            due.more = true;
            break;
        }
        counted += 1;
        (due.through, due.held) = (nominal, due_at);
        let late = now.millis_since(due_at);
        let inside = late <= spec.catch_up_window_millis;
        if late <= ON_TIME_MILLIS || (inside && spec.catch_up == CatchUp::All) {
            due.fire.push((nominal, due_at));
        } else if inside && spec.catch_up == CatchUp::Last {
            // Only the latest; whatever it replaces is dropped.
            if let Some((earlier, _)) = held_back.replace((nominal, due_at)) {
                due.miss(earlier);
            }
        } else {
            due.miss(nominal);
        }
    }
    match held_back {
        // Another look may find a later one, which would be the one to fire.
        Some((nominal, _)) if due.more && due.fire.is_empty() => due.miss(nominal),
        Some(firing) => due.fire.insert(0, firing),
        None => {}
    }
    due
}

impl DueFirings {
    fn miss(&mut self, nominal: Timestamp) {
        self.missed += 1;
        self.first_missed = self.first_missed.or(Some(nominal)).min(Some(nominal));
        self.last_missed = self.last_missed.max(Some(nominal));
    }
}
