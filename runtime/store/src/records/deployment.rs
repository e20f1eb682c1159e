//! Deployments, their revisions, and the actions of runs on them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemill_core::breaker::BreakerMode;
use tidemill_core::operator::OperatorAction;
use tidemill_core::{ComponentDigest, DeploymentName, Revision, RunId, Timestamp};

use super::{CommitEffects, IncidentUpdate, NewBudget, ScheduleChange, SubscriptionChange};

/// A deployment in one revision, with its current pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its name.
    pub name: DeploymentName,
    /// The revision.
    pub revision: Revision,
    /// The component to execute.
    pub component: ComponentDigest,
    /// The manifest as JSON text that the parser of `core` has accepted.
    pub manifest: Arc<str>,
    /// The pause, while the deployment admits nothing.
    pub paused: Option<Pause>,
    /// When the first revision was created.
    pub created_at: Timestamp,
    /// When this revision was created.
    pub updated_at: Timestamp,
}

/// A pause of a deployment, schedule or subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// When the pause started.
    pub since: Timestamp,
    /// The note of the pause, at most 1 KiB.
    pub note: String,
}

/// An operator's decision about the breaker of a deployment. It holds until the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerDecision {
    /// Who decides about the state of the breaker from here on.
    pub mode: BreakerMode,
    /// When it was made.
    pub since: Timestamp,
    /// The reason, at most 1 KiB.
    pub note: String,
}

/// A change of a deployment: creates a revision and updates its schedules, subscriptions and
/// budgets.
#[derive(Debug, Clone)]
pub struct PutDeployment {
    /// The deployment.
    pub name: DeploymentName,
    /// The required current revision; `Some(None)` requires that there is none yet, and `None`
    /// accepts any.
    pub expected: Option<Option<Revision>>,
    /// The component to execute.
    pub component: ComponentDigest,
    /// The manifest as JSON text.
    pub manifest: Arc<str>,
    /// Every schedule of the manifest. All other schedules are removed with their counters.
    pub schedules: Vec<ScheduleChange>,
    /// Every subscription of the manifest. All other subscriptions are removed with their
    /// positions.
    pub subscriptions: Vec<SubscriptionChange>,
    /// Every budget of the manifest. All other budgets are removed with their counters.
    pub budgets: Vec<NewBudget>,
    /// The change of an incident whose repair this is. It is committed with this one, and only if
    /// this one makes a revision.
    pub incident: Option<Box<IncidentUpdate>>,
    /// The time of the change.
    pub now: Timestamp,
}

/// A call of a run that acts on another deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorCall {
    /// The run.
    pub run: RunId,
    /// Its generation.
    pub generation: u32,
    /// The key of the call, which is the same in each recovery of the run.
    pub key: [u8; 16],
    /// The deployment of the run.
    pub by: DeploymentName,
    /// The deployment that the run acts on.
    pub deployment: DeploymentName,
    /// The action.
    pub action: OperatorAction,
    /// Its reason, at most 1 KiB.
    pub note: String,
}

/// What a call changes.
#[derive(Debug, Clone)]
pub enum OperatorChange {
    /// Pauses the deployment.
    Pause,
    /// Resumes it.
    Resume,
    /// Creates a revision.
    Put(Box<PutDeployment>),
    /// Retries these runs, as far as they are parked runs of the deployment.
    Retry(Vec<RunId>),
    /// Nothing in the store: only the call is recorded.
    Nothing,
}

/// The answer to a call, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperatorAnswer {
    /// It is done.
    Done,
    /// The revision that the deployment now has.
    Revision(Revision),
    /// The number of runs that were retried.
    Runs(u32),
}

/// The result of a call.
#[derive(Debug, Clone)]
pub struct OperatorResult {
    /// The answer.
    pub answer: OperatorAnswer,
    /// The deployment after the call; `None` if the call took effect before and changed nothing
    /// now.
    pub deployment: Option<Deployment>,
    /// Effects on runs.
    pub caused: CommitEffects,
}

/// What one deployment stores. Each commit updates it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The number of run records, ended ones included.
    pub runs: u64,
    /// Keys and values of its state, in bytes.
    pub state_bytes: u64,
    /// Inputs, outputs, journals, signals and events, in bytes.
    pub payload_bytes: u64,
    /// Log lines, in bytes as they are stored.
    pub log_bytes: u64,
    /// The number of stored events that its runs published.
    pub events: u64,
    /// The number of topics that its runs created.
    pub topics: u64,
}
