//! Explains why a run is in its state: each stage of flow control in order, what the run waits for,
//! and what to do next. Every state has an explanation.

mod stages;
mod words;

use tidemill_core::run::{Run, RunState};
use tidemill_core::{RunId, Timestamp};
use tidemill_store::records::PageRequest;

use crate::error::ControlError;
use crate::state::ControlPlane;

/// Maximum number of runs before a run that are counted.
pub const COUNTED: usize = 1_000;

/// The explanation of a run's state.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The run in its present state.
    pub run: Run,
    /// Why the run is in its state, in one sentence.
    pub summary: String,
    /// What would let it continue; `None` if nothing is needed.
    pub next: Option<String>,
    /// The stages in order. Empty unless the run has yet to pass them: it is queued, or waits to
    /// resume.
    pub stages: Vec<Stage>,
}

/// One stage of flow control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The stage's name.
    pub name: StageName,
    /// Whether the run passes it.
    pub verdict: StageVerdict,
    /// The reason, in words.
    pub detail: String,
    /// The number of used slots, if the stage counts them.
    pub used: Option<u64>,
    /// The maximum number of slots, if the stage counts them.
    pub limit: Option<u64>,
    /// When the run can continue at the earliest, if known.
    pub until: Option<Timestamp>,
    /// Some of the runs that hold the slots.
    pub runs: Vec<RunId>,
}

/// The stages, in the order in which a run passes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StageName {
    /// Whether an earlier request had the same idempotency key.
    IdempotencyKey,
    /// Whether it is merged with other requests.
    Debounce,
    /// Whether the deployment's queue had room.
    Queue,
    /// Whether the deployment admits runs.
    Paused,
    /// Its turn among the runs of its schedule.
    Schedule,
    /// Whether it is due, after a delay or a retry's back-off.
    Time,
    /// The lane of its key.
    Key,
    /// The circuit breaker of the deployment.
    Breaker,
    /// Its position among the deployment's runs, by priority and then by age.
    Priority,
    /// The deployment's rate.
    Rate,
    /// The deployment's budgets of fuel.
    Budget,
    /// The deployment's concurrency.
    Concurrency,
    /// The node's concurrency.
    Node,
}

impl StageName {
    /// Every stage, in order.
    pub const ALL: [Self; 13] = [
        Self::IdempotencyKey,
        Self::Debounce,
        Self::Queue,
        Self::Paused,
        Self::Schedule,
        Self::Time,
        Self::Key,
        Self::Breaker,
        Self::Priority,
        Self::Rate,
        Self::Budget,
        Self::Concurrency,
        Self::Node,
    ];

    /// Returns the stage's name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IdempotencyKey => "idempotency-key",
            Self::Debounce => "debounce",
            Self::Queue => "queue",
            Self::Paused => "paused",
            Self::Time => "time",
            Self::Key => "key",
            Self::Breaker => "breaker",
            Self::Schedule => "schedule",
            Self::Priority => "priority",
            Self::Rate => "rate",
            Self::Budget => "budget",
            Self::Concurrency => "concurrency",
            Self::Node => "node",
        }
    }
}

/// The result of a stage for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StageVerdict {
    /// The run has passed it, or would.
    Passes,
    /// The run waits here, or would.
    Waits,
    /// The stage does not apply to the run.
    None,
}

impl StageVerdict {
    /// Returns the verdict's name in the API.
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
    /// Explains why a run is in its state.
    ///
    /// # Errors
    /// `host/run-not-found`; errors of the store.
    pub async fn explain(&self, id: RunId) -> Result<Explanation, ControlError> {
        let Some(position) = self.0.store.queue_position(id, COUNTED).await? else {
            return Err(ControlError::no_run(id));
        };
        let stages = stages::of(&self.0, &position);
        let waits = stages.iter().find(|stage| stage.verdict == StageVerdict::Waits);
        let run = position.run;
        let (summary, next) = match &run.state {
            RunState::Queued { .. } => words::queued(&run, waits),
            RunState::Suspended if !stages.is_empty() => words::woken(waits),
            RunState::Suspended => words::suspended(&*self.0.store, &run).await?,
            RunState::Cancelled => words::cancelled(&run, self.0.store.failure_of(&run).await?.as_ref()),
            _ => words::plain(&run),
        };
        let summary = match self.uncompensated_children(&run).await? {
            (Some(child), count) => format!("{summary}; {}", words::uncompensated_children(child, count)),
            (None, _) => summary,
        };
        Ok(Explanation { run, summary, next, stages })
    }

    /// Returns the first child of a settled run that was cancelled and could not undo all its
    /// effects, and the number of such children among the first [`COUNTED`] children.
    async fn uncompensated_children(&self, run: &Run) -> Result<(Option<RunId>, usize), ControlError> {
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
