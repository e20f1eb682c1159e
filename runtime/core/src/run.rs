//! A run and its states: which there are, and which event may lead from one to another.
//!
//! Store, dispatcher and recovery all move a run through [`RunState::next`] and nothing else, so a damaged
//! or doubled event is caught by the rule that made the good ones.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::ids::{ComponentDigest, DeploymentName, Epoch, Fuel, NodeId, Owner, Revision, RunId, Timestamp};
use crate::lane::Lane;

/// Which export of a component a run executes.
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

    /// The export of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|export| export.as_str() == text)
    }
}

/// What started a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// What kind of thing it was.
    pub kind: TriggerKind,
    /// The name of the schedule, the hook or the topic.
    pub name: Option<String>,
    /// The id of the delivery or the event.
    pub id: Option<String>,
    /// The nominal time of a firing.
    pub at: Option<Timestamp>,
    /// The run that started this one.
    pub parent: Option<RunId>,
    /// The text of a JSON value: anything more.
    pub details: Option<String>,
}

impl Trigger {
    /// The details of a run that a backfill made; its operation is the trigger's id.
    pub const BACKFILL: &'static str = r#"{"backfill":true}"#;

    /// Whether a backfill made it.
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
    /// A delivery to a hook.
    Webhook,
    /// An event of a topic.
    Event,
    /// Another run.
    Parent,
    /// The health interval.
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

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunState {
    /// Waits to be admitted, until `not_before` at the earliest.
    Queued {
        /// Set by a retry's back-off or a delay.
        not_before: Timestamp,
    },
    /// Executes on a node.
    Running {
        /// Where,
        node: NodeId,
        /// and in which life of that node; a run of an earlier one is taken up again.
        epoch: Epoch,
    },
    /// Waits for a timer, a signal or another run; nothing of it need be in memory.
    Suspended,
    /// Ended well; its output is kept beside it.
    Succeeded,
    /// Ended with this failure.
    Failed(Failure),
    /// Ended because it was told to.
    Cancelled,
    /// Waits for a person, with the failure that brought it here.
    Parked(Failure),
}

/// What can happen to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunEvent {
    /// A node takes it up.
    Claimed(Owner),
    /// A later life takes up what a dead one left.
    TakenOver(Owner),
    /// It gave its place back, or is tried again later.
    Requeued {
        /// When at the earliest.
        not_before: Timestamp,
    },
    /// A person or a runbook has it tried again, or its parent is: what was set aside or had failed goes on.
    Retried {
        /// When at the earliest.
        not_before: Timestamp,
    },
    /// It waits.
    Suspended,
    /// It ended well.
    Succeeded,
    /// It ended with a failure.
    Failed(Failure),
    /// It is set aside for a person.
    Parked(Failure),
    /// It ended by being told to.
    Cancelled,
}

/// An event that has no meaning in the state that it met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {state} cannot be {event}")]
pub struct IllegalTransition {
    /// The name of the state.
    pub state: &'static str,
    /// The name of the event.
    pub event: &'static str,
}

impl RunState {
    /// The names of all states, as the API filters by them.
    pub const NAMES: [&'static str; 7] =
        ["queued", "running", "suspended", "succeeded", "failed", "cancelled", "parked"];

    /// The state's name.
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

    /// Whether nothing happens to it any more, unless a failed one is tried again.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed(_) | Self::Cancelled)
    }

    /// Whether somebody who waits for its outcome need wait no longer: it has ended, or is parked.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.has_ended() || matches!(self, Self::Parked(_))
    }

    /// The failure that it ended or was parked with.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) | Self::Parked(failure) => Some(failure),
            _ => None,
        }
    }

    /// The state after `event`.
    ///
    /// # Errors
    /// Where the event has no meaning in this state. A run that has ended accepts nothing, but that a failed one may be
    /// tried again.
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

/// One execution of one export. Input, output and log lines are kept beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its name for ever.
    pub id: RunId,
    /// What it belongs to,
    pub deployment: DeploymentName,
    /// in which revision,
    pub revision: Revision,
    /// with which component.
    pub component: ComponentDigest,
    /// Which export it executes.
    pub export: Export,
    /// Where it stands.
    pub state: RunState,
    /// What started it.
    pub trigger: Trigger,
    /// The caller's idempotency key, of at most 255 bytes.
    pub key: Option<String>,
    /// How long that key is kept beyond the end of the run, in milliseconds; 0 where there is none.
    pub key_millis: u64,
    /// Names and values to find it by.
    pub labels: Vec<(String, String)>,
    /// 1 (last) to 9 (first).
    pub priority: u8,
    /// Counts from 1 each time the run is tried again.
    pub attempt: u32,
    /// Counts from 1 each time the run continues as new.
    pub generation: u32,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was first taken up.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Work done, failed attempts included; never falls.
    pub fuel: Fuel,
    /// The most memory that an attempt held, in bytes.
    pub peak_memory: u64,
    /// What the guest last said of its progress.
    pub progress: Option<Progress>,
    /// What the guest last said of itself: the text of a JSON value.
    pub status: Option<String>,
    /// How often a dead node had it in hands, without it getting any further.
    pub takeovers: u32,
    /// What its randomness comes from.
    pub seed: Seed,
    /// What it waits for while it is suspended.
    pub waiting_for: Option<Wait>,
    /// How many entries its stored journal has; 0 where there is none to read.
    pub journal_entries: u64,
    /// Set once it was asked to end.
    pub cancel: Option<CancelRequest>,
    /// It goes on when its parent ends.
    pub detached: bool,
    /// The lanes that it goes in, in the order in which it enters them.
    pub lanes: Vec<Lane>,
}

/// What a suspended run waits for: any one of several things or all of them, and no longer than `until`. With neither it
/// would wait for ever; a sleep is one without things and with an end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// In the order in which the guest named them.
    pub any_of: Vec<WaitCondition>,
    /// Whether every one of them must have come, not the first alone.
    pub all: bool,
    /// When the wait ends whatever has come.
    pub until: Option<Timestamp>,
}

impl Wait {
    /// A sleep.
    #[must_use]
    pub const fn until(at: Timestamp) -> Self {
        Self { any_of: Vec::new(), all: false, until: Some(at) }
    }
}

/// One thing that a run can wait for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WaitCondition {
    /// The next signal of that name.
    Signal(String),
    /// The end of a run that this run started.
    Run(RunId),
}

/// Somebody wants the run to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// Since when.
    pub at: Timestamp,
    /// At once, rather than after a grace period in which it may compensate.
    pub terminate: bool,
    /// Whether the run has been told; that happens once.
    pub told: bool,
}

/// Thirty-two random bytes made with the run and never shown: who knows them can guess what the guest draws.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed(pub [u8; 32]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(hidden)")
    }
}

/// How far a run has come, in units of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Of how many, where that is known.
    pub total: Option<u64>,
    /// A sentence for a person.
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
        fn what_is_set_aside_or_failed_waits_to_be_retried_and_nothing_else_does(
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
        fn nobody_takes_over_a_run_of_his_own_life(owner in owner()) {
            let state = RunState::Running { node: owner.node.clone(), epoch: owner.epoch };
            prop_assert!(state.next(RunEvent::TakenOver(owner)).is_err());
        }
    }
}
