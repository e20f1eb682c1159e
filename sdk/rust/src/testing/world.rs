//! Everything outside the run: committed effects, visible values, sent requests, and the functions
//! that answer them. A crash does not change it.

use super::layer::Layer;
use super::ledger::LedgerEntry;
use super::web::{Answer, SentRequest};
use crate::operator::HealthStatus;
use crate::{Timestamp, log::Level};
use serde_json::Value;
use std::collections::BTreeMap;
use tidemill_core::Failure;

/// An event that was published.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedEvent {
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Value,
}

/// A signal that was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct SentSignal {
    /// The run's id, or `deployment/key`.
    pub to: String,
    /// The name.
    pub name: String,
    /// The payload.
    pub payload: Value,
}

/// A run that was started.
#[derive(Clone, Debug, PartialEq)]
pub struct StartedRun {
    /// The run's id.
    pub id: String,
    /// The deployment.
    pub deployment: String,
    /// The input.
    pub input: Value,
    /// Whether it continues after its parent ends.
    pub detached: bool,
    /// The labels.
    pub labels: Vec<(String, String)>,
    /// The start time.
    pub begins_at: Timestamp,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The severity.
    pub level: Level,
    /// The message.
    pub message: String,
    /// The named fields.
    pub fields: Vec<(String, String)>,
}

/// A metric sample.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSample {
    /// The name of the metric.
    pub name: String,
    /// The value.
    pub value: f64,
    /// The labels.
    pub labels: Vec<(String, String)>,
}

/// A deployment that a run can act on. At first it is in its first revision, has no parked runs,
/// and nothing is known about its health.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct OperatedDeployment {
    pub(super) revision: u64,
    pub(super) parked: u32,
    pub(super) paused: bool,
    /// What a person has decided about it, with the note.
    pub(super) decision: Option<(PersonDecision, String)>,
    pub(super) status: HealthStatus,
    pub(super) since: Option<Timestamp>,
    pub(super) reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PersonDecision {
    Paused,
    ForcedBreaker,
}

impl Default for OperatedDeployment {
    fn default() -> Self {
        Self::new()
    }
}

impl OperatedDeployment {
    /// Returns a deployment in its first revision.
    pub fn new() -> Self {
        let (status, since, reason) = (HealthStatus::default(), None, None);
        Self { revision: 1, parked: 0, paused: false, decision: None, status, since, reason }
    }

    /// Sets its present revision, which is at least 1.
    pub fn at_revision(mut self, revision: u64) -> Self {
        self.revision = revision.max(1);
        self
    }

    /// Sets the number of its parked runs.
    pub fn with_parked_runs(mut self, runs: u32) -> Self {
        self.parked = runs;
        self
    }

    /// Sets its health, with the reason if something is wrong.
    pub fn with_health(mut self, status: HealthStatus, since: Timestamp, reason: Option<&str>) -> Self {
        (self.status, self.since, self.reason) = (status, Some(since), reason.map(str::to_owned));
        self
    }

    /// Has a person pause it, with a note.
    pub fn paused_by_person(mut self, note: impl Into<String>) -> Self {
        (self.paused, self.decision) = (true, Some((PersonDecision::Paused, note.into())));
        self
    }

    /// Has a person force its circuit breaker, with a note.
    pub fn with_forced_breaker(mut self, note: impl Into<String>) -> Self {
        self.decision = Some((PersonDecision::ForcedBreaker, note.into()));
        self
    }

    /// Returns its present revision.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the number of its parked runs.
    #[must_use]
    pub const fn parked_runs(&self) -> u32 {
        self.parked
    }

    /// Whether it is paused, by a run or by a person.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }
}

/// An action on another deployment that took effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorCall {
    /// The action: `pause`, `resume`, `rollback`, `retry` or `recycle`.
    pub action: String,
    /// The deployment that the run acted on.
    pub deployment: String,
    /// The note.
    pub note: String,
}

/// How a child ended, and when.
#[derive(Clone, Debug)]
pub(super) struct ChildEnd {
    pub(super) at: u64,
    pub(super) outcome: ChildOutcome,
}

#[derive(Clone, Debug)]
pub(super) enum ChildOutcome {
    Succeeded(String),
    Failed(Failure),
    Cancelled,
    /// It waits for something that never arrives.
    Never,
}

#[derive(Clone, Debug)]
pub(super) struct Child {
    pub(super) started: StartedRun,
    pub(super) parent: String,
    pub(super) ended: Option<ChildEnd>,
    pub(super) cancelled: bool,
}

#[derive(Clone, Debug)]
pub(super) struct InInbox {
    pub(super) at: u64,
    pub(super) name: String,
    pub(super) payload: String,
    pub(super) taken: bool,
}

#[derive(Debug, Default)]
pub(super) struct World {
    /// By deployment.
    pub(super) state: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// By stream and external id.
    pub(super) ledger: BTreeMap<(String, String), LedgerEntry>,
    pub(super) sent: Vec<SentRequest>,
    /// Answers that the provider remembers, by key.
    pub(super) answered: BTreeMap<String, Answer>,
    /// By route.
    pub(super) asked: BTreeMap<usize, u32>,
    pub(super) events: Vec<PublishedEvent>,
    pub(super) signals: Vec<SentSignal>,
    pub(super) children: Vec<Child>,
    pub(super) cancels: Vec<String>,
    pub(super) metrics: Vec<MetricSample>,
    /// By run.
    pub(super) inboxes: BTreeMap<String, Vec<InInbox>>,
    pub(super) lines: Vec<Line>,
    /// The deployments that runs act on, by name.
    pub(super) operated: BTreeMap<String, OperatedDeployment>,
    pub(super) operator_calls: Vec<OperatorCall>,
    /// The answers of actions that took effect, by the key of the call.
    pub(super) operator_answers: BTreeMap<String, u64>,
    pub(super) progress: Option<(u64, Option<u64>, String)>,
    pub(super) status: Option<Value>,
}

impl World {
    /// Commits all effects of a layer.
    pub(super) fn commit(&mut self, run: &str, deployment: &str, now: u64, layer: Layer) {
        let state = self.state.entry(deployment.to_owned()).or_default();
        for (key, value) in layer.writes {
            match value {
                Some(value) => state.insert(key, value),
                None => state.remove(&key),
            };
        }
        for (external_id, posted) in layer.postings {
            self.ledger.insert((deployment.to_owned(), external_id), posted);
        }
        self.events.extend(layer.events);
        self.metrics.extend(layer.metrics);
        let inbox = self.inboxes.entry(run.to_owned()).or_default();
        for place in layer.taken {
            if let Some(signal) = inbox.get_mut(place) {
                signal.taken = true;
            }
        }
        for signal in layer.signals {
            let arrived =
                InInbox { at: now, name: signal.name.clone(), payload: signal.payload.to_string(), taken: false };
            self.inboxes.entry(signal.to.clone()).or_default().push(arrived);
            self.signals.push(signal);
        }
        for started in layer.starts {
            if !self.children.iter().any(|child| child.started.id == started.id) {
                self.children.push(Child { started, parent: run.to_owned(), ended: None, cancelled: false });
            }
        }
        for id in layer.cancels {
            if let Some(child) = self.children.iter_mut().find(|child| child.started.id == id) {
                match &mut child.ended {
                    None => child.cancelled = true,
                    // It would wait forever.
                    Some(ended) if matches!(ended.outcome, ChildOutcome::Never) => {
                        *ended = ChildEnd { at: now, outcome: ChildOutcome::Cancelled };
                    }
                    Some(_) => {}
                }
            }
            self.cancels.push(id);
        }
    }
}
