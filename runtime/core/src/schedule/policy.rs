//! Decides about overlapping and missed firings. Pure; the scheduler carries the decisions out.

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
    /// It waits for them, unless another firing waits already; then it is dropped.
    QueueOne,
    /// It waits for them, in order.
    QueueAll,
    /// They are cancelled, and it starts after they have ended.
    CancelOther,
    /// They are terminated, and it starts.
    TerminateOther,
    /// It starts and runs concurrently with them.
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
    /// Number of started runs.
    pub started: u64,
    /// Number of runs that wait for the started ones by an earlier decision.
    pub waiting: u64,
    /// Whether no more runs can wait because the deployment's queue is full.
    pub full: bool,
}

/// The decision for a firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverlapDecision {
    /// Start a run.
    Start,
    /// Start no run; count and list the firing as skipped.
    Skip,
    /// Start no run because another firing waits; count and list this one as dropped.
    Drop,
    /// Start no run because the queue is full; count and list the firing as dropped.
    DropFull,
    /// Create a run that starts after the earlier ones have ended.
    Wait,
    /// Cancel the others, and start after they have ended.
    CancelThenStart,
    /// Terminate the others, and start after they have ended.
    TerminateThenStart,
}

/// Decides what a firing does under `policy` while its schedule has these runs.
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

/// Which of the missed firings inside the window are made up for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CatchUp {
    /// All of them.
    All,
    /// The latest one.
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

/// Delay up to which a firing is on time rather than missed, in milliseconds. It then fires under
/// every policy.
pub const ON_TIME_MILLIS: u64 = 5_000;
/// Maximum number of firings of one pass; the next pass continues where it ended.
pub const CATCH_UP_FIRINGS: usize = 1_000;
/// Maximum number of firings that one pass counts; the next pass continues where it ended.
pub const COUNTED_FIRINGS: u64 = 2_000;

/// The firings that are due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DueFirings {
    /// Nominal times to fire, in order, each with the earliest time at which it could be carried
    /// out.
    pub fire: Vec<(Timestamp, Timestamp)>,
    /// No later firing is carried out before this time: firings keep their order, regardless of
    /// their jitter.
    pub held: Timestamp,
    /// Number of firings that the window or the policy dropped (`host/firing-missed`). All of them
    /// precede the firings to carry out.
    pub missed: u64,
    /// The first missed firing.
    pub first_missed: Option<Timestamp>,
    /// The last missed firing.
    pub last_missed: Option<Timestamp>,
    /// The last nominal time of this pass; the next pass begins after it. It equals `last_nominal`
    /// if nothing was due.
    pub through: Timestamp,
    /// Whether one pass was not enough: run the next pass at once.
    pub more: bool,
}

/// Returns the firings of `deployment`'s `schedule` that are due at `now`, if the nominal times up
/// to and including `last_nominal` are done.
///
/// Firings are carried out in the order of their nominal times, each when its jitter is over and
/// the firing before it is done. The first is not carried out before `held`. Inside the window the
/// schedule's catch-up policy decides; older firings are dropped and counted. The work of one pass
/// is bounded, regardless of the host's downtime; `more` reports that another pass is needed.
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
            // Only the latest is made up for. Drop the firing that it replaces.
            if let Some((earlier, _)) = held_back.replace((nominal, due_at)) {
                due.miss(earlier);
            }
        } else {
            due.miss(nominal);
        }
    }
    match held_back {
        // The next pass may find a later firing, which is then the one to make up for.
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
