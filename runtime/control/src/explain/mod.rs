//! Why a run is where it is: each stage of flow control in the order in which they are gone through, what the run waits for, and what
//! to do next. Every state of a run has an answer.

mod stages;
mod words;

use tidemill_core::run::{Run, RunState};
use tidemill_core::{RunId, Timestamp};
use tidemill_store::records::PageRequest;

use crate::control_plane::ControlPlane;
use crate::error::ControlError;

/// What comes before a run is counted up to this.
pub const COUNTED: usize = 1_000;

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The run as it stands.
    pub run: Run,
    /// Why it is where it is, in a sentence.
    pub summary: String,
    /// What would bring it on; none where nothing need be done.
    pub next: Option<String>,
    /// Each stage in order. None but of runs that are yet to go through them: queued ones, and those that wait to go on.
    pub stages: Vec<Stage>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Which.
    pub name: StageName,
    /// Whether the run is through.
    pub verdict: StageVerdict,
    /// Why, in words.
    pub detail: String,
    /// How many places are taken, where they are counted,
    pub used: Option<u64>,
    /// and how many there are.
    pub limit: Option<u64>,
    /// When it can go on at the earliest, where that is known.
    pub until: Option<Timestamp>,
    /// The runs that have the places, as far as they are few.
    pub runs: Vec<RunId>,
}

/// The stages, in the order in which they are gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StageName {
    /// Whether an earlier request had the same idempotency key.
    IdempotencyKey,
    /// Whether it becomes one with other requests.
    Debounce,
    /// Whether the deployment's queue had room.
    Queue,
    /// Whether the deployment admits anything.
    Paused,
    /// Its turn among the runs of its schedule.
    Schedule,
    /// Whether its time has come: a delay, a retry's back-off.
    Time,
    /// The lane of its key.
    Key,
    /// Its place among the deployment's runs: priority, then age.
    Priority,
    /// The deployment's rate.
    Rate,
    /// The deployment's concurrency.
    Concurrency,
    /// The node's.
    Node,
}

impl StageName {
    /// All, in order.
    pub const ALL: [Self; 11] = [
        Self::IdempotencyKey,
        Self::Debounce,
        Self::Queue,
        Self::Paused,
        Self::Schedule,
        Self::Time,
        Self::Key,
        Self::Priority,
        Self::Rate,
        Self::Concurrency,
        Self::Node,
    ];

    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IdempotencyKey => "idempotency-key",
            Self::Debounce => "debounce",
            Self::Queue => "queue",
            Self::Paused => "paused",
            Self::Time => "time",
            Self::Key => "key",
            Self::Schedule => "schedule",
            Self::Priority => "priority",
            Self::Rate => "rate",
            Self::Concurrency => "concurrency",
            Self::Node => "node",
        }
    }
}

/// How a run stands with a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StageVerdict {
    /// It is through, or would be.
    Passes,
    /// It waits here, or would.
    Waits,
    /// The stage is not its own: its deployment has no such thing.
    None,
}

impl StageVerdict {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::Waits => "waits",
            Self::None => "none",
        }
    }
}

impl ControlPlane {
    /// Why a run is where it is.
    ///
    /// # Errors
    /// `host/run-not-found`; the store's own.
    pub async fn explain(&self, id: RunId) -> Result<Explanation, ControlError> {
        let Some(standing) = self.0.store.standing(id, COUNTED).await? else {
            return Err(ControlError::no_run(id));
        };
        let stages = stages::of(&self.0, &standing);
        let waits = stages.iter().find(|stage| stage.verdict == StageVerdict::Waits);
        let run = standing.run;
        let (summary, next) = match &run.state {
            RunState::Queued { .. } => words::queued(&run, waits),
            RunState::Suspended if !stages.is_empty() => words::woken(waits),
            RunState::Suspended => words::suspended(&*self.0.store, &run).await?,
            RunState::Cancelled => words::cancelled(&run, self.0.store.failure_of(&run).await?.as_ref()),
            _ => words::plain(&run),
        };
        let summary = match self.not_undone(&run).await? {
            (Some(child), count) => format!("{summary}; {}", words::not_undone(child, count)),
            (None, _) => summary,
        };
        Ok(Explanation { run, summary, next, stages })
    }

    /// Children of a settled run that were cancelled and could not undo all that they did: the first of them, and how many there are
    /// among its first [`COUNTED`] children.
    async fn not_undone(&self, run: &Run) -> Result<(Option<RunId>, usize), ControlError> {
        let (mut first, mut count) = (None, 0);
        if !run.state.is_settled() {
            return Ok((first, count));
        }
        for child in self.0.store.children(run.id, PageRequest::first(COUNTED)).await?.items {
            if child.state == RunState::Cancelled && self.0.store.failure_of(&child).await?.is_some() {
                first = first.or(Some(child.id));
                count += 1;
            }
        }
        Ok((first, count))
    }
}
