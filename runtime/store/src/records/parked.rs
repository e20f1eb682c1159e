//! Parked runs: what waits for a person, as an inbox shows it.

use serde::{Deserialize, Serialize};
use tidemill_core::{DeploymentName, RunId, Timestamp};

/// One that is parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRun {
    /// The run.
    pub run: RunId,
    /// Why, and since when.
    pub why: ParkRecord,
}

/// Why a run is parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkRecord {
    /// Its deployment.
    pub deployment: DeploymentName,
    /// The code of its failure.
    pub code: String,
    /// When it was set aside.
    pub since: Timestamp,
}

/// Which parked runs; what is left out does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParkedFilter {
    /// Of this deployment.
    pub deployment: Option<DeploymentName>,
    /// With one of these codes; empty means any.
    pub codes: Vec<String>,
}

/// The parked runs of one deployment that have one code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedGroup {
    /// The deployment.
    pub deployment: DeploymentName,
    /// The code of their failures.
    pub code: String,
    /// How many.
    pub runs: u64,
    /// When the first of them was set aside,
    pub oldest: Timestamp,
    /// and the last.
    pub newest: Timestamp,
}
