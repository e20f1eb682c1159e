//! The effects of a transaction, as they are committed.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_core::run::{Export, Seed};
use tidemill_core::{ComponentDigest, DeploymentName, Revision, RunId, Timestamp};
use tidemill_store::records::{NewEntry, NewEvent, NewSignal, ReadCheck, StateWrite};

use crate::guest::metrics::MetricSamples;

/// The reads and effects of a transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// What the commit must find unchanged.
    pub reads: Vec<ReadCheck>,
    /// Writes to the deployment's state, at most one for each key.
    pub writes: Vec<StateWrite>,
    /// Entries of the ledger, in order.
    pub postings: Vec<NewEntry>,
    /// External ids of own entries under which the guest tried other content.
    pub id_conflicts: Vec<String>,
    /// Runs to start, in order.
    pub starts: Vec<StartRun>,
    /// Signals to send, in order.
    pub signals: Vec<NewSignal>,
    /// Events to publish, in order.
    pub events: Vec<NewEvent>,
    /// Positions of the signals taken from the run's own inbox.
    pub taken: Vec<u64>,
    /// Runs to cancel.
    pub cancels: Vec<RunId>,
    /// Children whose failure or cancellation the run has observed: a retry of the run leaves them
    /// alone.
    pub observed: Vec<RunId>,
    /// Samples of the guest's own metrics, counted after the commit.
    pub samples: MetricSamples,
}

/// A run that another run starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRun {
    /// The run's id, derived from the parent's.
    pub id: RunId,
    /// The deployment to run.
    pub deployment: DeploymentName,
    /// The revision of the deployment.
    pub revision: Revision,
    /// The component to execute.
    pub component: ComponentDigest,
    /// The export to call.
    pub export: Export,
    /// The JSON text of the input.
    pub input: Bytes,
    /// The idempotency key: the parent's choice, or derived from the parent and its call.
    pub key: String,
    /// Names and values to find the run by.
    pub labels: Vec<(String, String)>,
    /// From 1 (last) to 9 (first).
    pub priority: u8,
    /// When the run was requested.
    pub at: Timestamp,
    /// Earliest time of its admission.
    pub not_before: Timestamp,
    /// Whether the run continues when its parent ends.
    pub detached: bool,
    /// Seed derived from the parent's.
    pub seed: Seed,
}
