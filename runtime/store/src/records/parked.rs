//! Runs that wait for a person: parked ones, and cancelled ones that could not undo their work.

use serde::{Deserialize, Serialize};
use tidemill_core::{DeploymentName, RunId, Timestamp};

/// A run that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRun {
    /// The run.
    pub run: RunId,
    /// The reason, and since when it waits.
    pub why: ParkRecord,
}

/// Why a run waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkRecord {
    /// Its deployment.
    pub deployment: DeploymentName,
    /// The code of its failure.
    pub code: String,
    /// When the run was parked or cancelled.
    pub since: Timestamp,
}

/// Selects parked runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParkedFilter {
    /// Only runs of this deployment; `None` means any.
    pub deployment: Option<DeploymentName>,
    /// Only runs with one of these failure codes; empty means any.
    pub codes: Vec<String>,
}

/// The parked runs of one deployment with one failure code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedGroup {
    /// The deployment.
    pub deployment: DeploymentName,
    /// The code of their failures.
    pub code: String,
    /// The number of runs.
    pub runs: u64,
    /// When the first of them was parked.
    pub oldest: Timestamp,
    /// When the last of them was parked.
    pub newest: Timestamp,
}
