//! The states of a run, and the events that lead from one state to the next.
//!
//! The store, the dispatcher and recovery change a run's state only through [`RunState::next`], so
//! the same rules reject damaged and duplicated events.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::ids::{ComponentDigest, DeploymentName, Epoch, Fuel, NodeId, Owner, Revision, RunId, Timestamp};
use crate::lane::Lane;

/// The export of a component that a run executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Export {
    /// `workflow.run`.
    Workflow,
    /// `revenue-stream.collect`.
    RevenueStream,
    /// `webhook.receive`.
    Webhook,
    /// `health.check`.
    Health,
}

impl Export {
    /// Every export, in the order of the WIT.
    pub const ALL: [Self; 4] = [Self::Workflow, Self::RevenueStream, Self::Webhook, Self::Health];

    /// The name of the WIT interface.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Workflow => "workflow",
            Self::RevenueStream => "revenue-stream",
            Self::Webhook => "webhook",
            Self::Health => "health",
        }
    }

    /// The export with that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|export| export.as_str() == text)
    }
}

/// What started a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// The kind of trigger.
    pub kind: TriggerKind,
    /// Name of the schedule, the webhook or the topic.
    pub name: Option<String>,
    /// Id of the delivery or the event.
    pub id: Option<String>,
    /// Nominal time of a firing.
    pub at: Option<Timestamp>,
    /// The run that started this one.
    pub parent: Option<RunId>,
    /// Further details: the text of a JSON value.
    pub details: Option<String>,
}

impl Trigger {
    /// Details of a run that a backfill started; the trigger's id is the id of the operation.
    pub const BACKFILL: &'static str = r#"{"backfill":true}"#;

    /// Whether a backfill started the run.
    #[must_use]
    pub fn is_backfill(&self) -> bool {
        self.kind == TriggerKind::Schedule && self.details.as_deref() == Some(Self::BACKFILL)
    }
}

/// The kinds of trigger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TriggerKind {
    /// A call of the API.
    #[default]
    Manual,
    /// A firing of a schedule.
    Schedule,
    /// A delivery to a webhook.
    Webhook,
    /// An event of a topic.
    Event,
    /// Another run.
    Parent,
    /// The health check interval.
    HealthCheck,
}

impl TriggerKind {
    /// Its name in the WIT and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Schedule => "schedule",
            Self::Webhook => "webhook",
            Self::Event => "event",
            Self::Parent => "parent",
            Self::HealthCheck => "health-check",
        }
    }
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunState {
    /// Waits to be admitted, at `not_before` at the earliest.
    Queued {
        /// Earliest admission time, set by a retry's back-off or by a delay.
        not_before: Timestamp,
    },
    /// Executes on a node.
    Running {
        /// The node that executes it.
        node: NodeId,
        /// The epoch of that node. Recovery resumes a run of an earlier epoch.
        epoch: Epoch,
    },
    /// Waits for a timer, a signal or another run. It needs no memory.
    Suspended,
    /// Ended with success. Its output is stored separately.
    Succeeded,
    /// Ended with this failure.
    Failed(Failure),
    /// Ended because of a cancellation.
    Cancelled,
    /// Waits for an operator. Holds the failure that parked it.
    Parked(Failure),
}

/// An event in the life cycle of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunEvent {
    /// A node claims the run.
    Claimed(Owner),
    /// A later epoch resumes a run that an earlier one left.
    TakenOver(Owner),
    /// The run gave its slot back, or is retried later.
    Requeued {
        /// Earliest admission time.
        not_before: Timestamp,
    },
    /// An operator, a runbook or a retry of its parent retries the run, which was parked or had
    /// failed.
    Retried {
        /// Earliest admission time.
        not_before: Timestamp,
    },
    /// The run starts to wait.
    Suspended,
    /// The run ended with success.
    Succeeded,
    /// The run ended with a failure.
    Failed(Failure),
    /// The run is parked for an operator.
    Parked(Failure),
    /// The run ended because of a cancellation.
    Cancelled,
}

/// An event that is illegal in the state in which it arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {state} cannot be {event}")]
pub struct IllegalTransition {
    /// Name of the state.
    pub state: &'static str,
    /// Name of the event.
    pub event: &'static str,
}

impl RunState {
    /// Names of all states, which are the values of the API's state filter.
    pub const NAMES: [&'static str; 7] =
        ["queued", "running", "suspended", "succeeded", "failed", "cancelled", "parked"];

    /// Name of the state.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Running { .. } => "running",
            Self::Suspended => "suspended",
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
            Self::Parked(_) => "parked",
        }
    }

    /// Whether the state is final. The only event that a final state accepts is the retry of a
    /// failed run.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed(_) | Self::Cancelled)
    }

    /// Whether a caller that waits for the outcome can stop: the run has ended or is parked.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.has_ended() || matches!(self, Self::Parked(_))
    }

    /// The failure with which the run ended or was parked.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) | Self::Parked(failure) => Some(failure),
            _ => None,
        }
    }

    /// Returns the state after `event`.
    ///
    /// # Errors
    /// If the event is illegal in this state. A run that has ended accepts nothing, except that a
    /// failed run can be retried.
    pub fn next(&self, event: RunEvent) -> Result<Self, IllegalTransition> {
        use RunEvent as E;
        match (self, event) {
            (Self::Queued { .. } | Self::Suspended, E::Claimed(Owner { node, epoch })) => {
                Ok(Self::Running { node, epoch })
            }
            (Self::Running { node: old, epoch: dead }, E::TakenOver(Owner { node, epoch }))
                if *old != node || *dead < epoch =>
            {
                Ok(Self::Running { node, epoch })
            }
            (Self::Running { .. } | Self::Suspended, E::Requeued { not_before })
            | (Self::Parked(_) | Self::Failed(_), E::Retried { not_before }) => Ok(Self::Queued { not_before }),
            (Self::Running { .. }, E::Suspended) => Ok(Self::Suspended),
            (Self::Running { .. }, E::Succeeded) => Ok(Self::Succeeded),
            (Self::Running { .. }, E::Failed(failure)) => Ok(Self::Failed(failure)),
            (Self::Queued { .. } | Self::Running { .. } | Self::Suspended, E::Parked(failure)) => {
                Ok(Self::Parked(failure))
            }
            (Self::Queued { .. } | Self::Running { .. } | Self::Suspended | Self::Parked(_), E::Cancelled) => {
                Ok(Self::Cancelled)
            }
            (state, event) => Err(IllegalTransition { state: state.name(), event: event.name() }),
        }
    }
}

impl RunEvent {
    const fn name(&self) -> &'static str {
        match self {
            Self::Claimed(_) => "claimed",
            Self::TakenOver(_) => "taken over",
            Self::Requeued { .. } => "queued again",
            Self::Retried { .. } => "tried again",
            Self::Suspended => "suspended",
            Self::Succeeded => "marked succeeded",
            Self::Failed(_) => "marked failed",
            Self::Parked(_) => "parked",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One execution of one export. Its input, output and log lines are stored separately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Unique for ever.
    pub id: RunId,
    /// The deployment to which it belongs.
    pub deployment: DeploymentName,
    /// The revision of the deployment.
    pub revision: Revision,
    /// The component that it executes.
    pub component: ComponentDigest,
    /// The export that it executes.
    pub export: Export,
    /// Its current state.
    pub state: RunState,
    /// What started it.
    pub trigger: Trigger,
    /// Idempotency key of the caller, at most 255 bytes.
    pub key: Option<String>,
    /// Retention of that key after the end of the run, in milliseconds; 0 without a key.
    pub key_millis: u64,
    /// Names and values for filters.
    pub labels: Vec<(String, String)>,
    /// Priority from 1 (lowest) to 9 (highest).
    pub priority: u8,
    /// Number of the attempt, from 1. Each retry of the run increments it.
    pub attempt: u32,
    /// Number of the generation, from 1. Each continue-as-new increments it.
    pub generation: u32,
    /// When it was requested.
    pub created_at: Timestamp,
    /// When it was first claimed.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Fuel used, failed attempts included. It never decreases.
    pub fuel: Fuel,
    /// Peak memory of an attempt, in bytes.
    pub peak_memory: u64,
    /// The progress that the guest last reported.
    pub progress: Option<Progress>,
    /// The status that the guest last reported: the text of a JSON value.
    pub status: Option<String>,
    /// Number of takeovers from a dead process since the run last made progress.
    pub takeovers: u32,
    /// Seed of its randomness.
    pub seed: Seed,
    /// What it waits for while it is suspended.
    pub waiting_for: Option<Wait>,
    /// Number of entries in its stored journal; 0 without a journal.
    pub journal_entries: u64,
    /// Set by a request to cancel the run.
    pub cancel: Option<CancelRequest>,
    /// Whether it continues after its parent has ended.
    pub detached: bool,
    /// Its lanes, in the order in which it enters them.
    pub lanes: Vec<Lane>,
}

impl Run {
    /// Returns whether the run may continue while new ones are held back to test whether the
    /// deployment works again: it resumes after a wait, or its cancellation was requested, so that
    /// it may have something to finish or to undo.
    #[must_use]
    pub const fn is_privileged(&self) -> bool {
        self.waiting_for.is_some() || self.cancel.is_some()
    }
}

/// What a suspended run waits for: the first of several conditions or all of them, at most until
/// `until`. A wait without conditions and with an end is a sleep. A wait with neither would never
/// end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The conditions, in the guest's order.
    pub any_of: Vec<WaitCondition>,
    /// Whether all conditions must hold rather than the first.
    pub all: bool,
    /// When the wait ends regardless of its conditions.
    pub until: Option<Timestamp>,
}

impl Wait {
    /// A sleep.
    #[must_use]
    pub const fn until(at: Timestamp) -> Self {
        Self { any_of: Vec::new(), all: false, until: Some(at) }
    }
}

/// A condition for which a run can wait.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WaitCondition {
    /// The next signal with that name.
    Signal(String),
    /// The end of a run that this run started.
    Run(RunId),
}

/// A request to cancel a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// When the request was made.
    pub at: Timestamp,
    /// Whether to terminate at once, without a grace period in which the run can compensate.
    pub terminate: bool,
    /// Whether the run was notified, which happens once.
    pub notified: bool,
}

/// Thirty-two random bytes, made with the run and never shown: they predict the guest's random
/// numbers.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed(pub [u8; 32]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(hidden)")
    }
}

/// Progress of a run, in units that the guest chooses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Total number of units, if known.
    pub total: Option<u64>,
    /// A sentence for people.
    pub note: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn owner() -> impl Strategy<Value = Owner> {
        ("[ab]", 1u64..5).prop_map(|(node, epoch)| Owner { node: node.parse().unwrap(), epoch: Epoch::new(epoch) })
    }

    fn event() -> impl Strategy<Value = RunEvent> {
        prop_oneof![
            owner().prop_map(RunEvent::Claimed),
            owner().prop_map(RunEvent::TakenOver),
            any::<u32>().prop_map(|t| RunEvent::Requeued { not_before: Timestamp::from_millis(t.into()) }),
            any::<u32>().prop_map(|t| RunEvent::Retried { not_before: Timestamp::from_millis(t.into()) }),
            Just(RunEvent::Suspended),
            Just(RunEvent::Succeeded),
            Just(RunEvent::Failed(Failure::new("x", "y"))),
            Just(RunEvent::Parked(Failure::new("x", "y"))),
            Just(RunEvent::Cancelled),
        ]
    }

    fn fold(events: &[RunEvent]) -> RunState {
        let start = RunState::Queued { not_before: Timestamp::default() };
        events.iter().fold(start, |state, event| state.next(event.clone()).unwrap_or(state))
    }

    proptest! {
        #[test]
        fn an_ended_run_accepts_nothing_but_a_failed_one_another_try(
            events in prop::collection::vec(event(), 0..20), more in event(),
        ) {
            let state = fold(&events);
            if state.has_ended() {
                let again = matches!((&state, &more), (RunState::Failed(_), RunEvent::Retried { .. }));
                prop_assert_eq!(state.next(more).is_ok(), again);
            }
        }

        #[test]
        fn only_a_parked_or_failed_run_can_be_retried(
            events in prop::collection::vec(event(), 0..20), at in any::<u32>(),
        ) {
            let (state, not_before) = (fold(&events), Timestamp::from_millis(at.into()));
            let waits = matches!(state, RunState::Parked(_) | RunState::Failed(_));
            let tried = state.next(RunEvent::Retried { not_before });
            prop_assert_eq!(tried.ok(), waits.then_some(RunState::Queued { not_before }));
            let requeued = state.next(RunEvent::Requeued { not_before });
            prop_assert!(!waits || requeued.is_err());
        }

        #[test]
        fn every_other_state_has_a_way_out(events in prop::collection::vec(event(), 0..20)) {
            let state = fold(&events);
            if !state.has_ended() { prop_assert_eq!(state.next(RunEvent::Cancelled).unwrap(), RunState::Cancelled); }
        }

        #[test]
        fn folding_the_events_again_gives_the_same_state(events in prop::collection::vec(event(), 0..20)) {
            prop_assert_eq!(fold(&events), fold(&events));
        }

        #[test]
        fn an_epoch_never_takes_over_its_own_run(owner in owner()) {
            let state = RunState::Running { node: owner.node.clone(), epoch: owner.epoch };
            prop_assert!(state.next(RunEvent::TakenOver(owner)).is_err());
        }
    }
}
