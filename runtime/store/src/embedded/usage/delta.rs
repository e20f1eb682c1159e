//! Changes to the usage of deployments, which one operation collects.

use tidemill_core::DeploymentName;

use crate::embedded::tables::{LOGS, STATE};
use crate::embedded::tx::Table;

/// The changes of an operation to one deployment's usage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UsageDelta {
    pub(crate) runs: i64,
    pub(crate) state_bytes: i64,
    pub(crate) payload_bytes: i64,
    pub(crate) log_bytes: i64,
    pub(crate) events: i64,
    pub(crate) topics: i64,
}

impl UsageDelta {
    /// Creates a change of the number of bytes in a table.
    pub(crate) fn bytes(table: Table, bytes: i64) -> Self {
        match table {
            STATE => Self { state_bytes: bytes, ..Self::default() },
            LOGS => Self { log_bytes: bytes, ..Self::default() },
            _ => Self { payload_bytes: bytes, ..Self::default() },
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.state_bytes += other.state_bytes;
        self.payload_bytes += other.payload_bytes;
        self.log_bytes += other.log_bytes;
        self.events += other.events;
        self.topics += other.topics;
    }
}

/// The changes of one operation, by deployment.
#[derive(Debug, Default)]
pub(crate) struct UsageDeltas(Vec<(DeploymentName, UsageDelta)>);

impl UsageDeltas {
    pub(crate) fn note(&mut self, deployment: &DeploymentName, change: UsageDelta) {
        match self.0.iter_mut().find(|(name, _)| name == deployment) {
            Some((_, sum)) => sum.add(change),
            None => self.0.push((deployment.clone(), change)),
        }
    }

    pub(crate) fn into_iter(self) -> impl Iterator<Item = (DeploymentName, UsageDelta)> {
        self.0.into_iter()
    }

    /// Returns the changes of this operation to a deployment's usage so far.
    pub(crate) fn of(&self, deployment: &DeploymentName) -> UsageDelta {
        self.0.iter().find(|(name, _)| name == deployment).map_or_else(UsageDelta::default, |(_, sum)| *sum)
    }
}

/// Converts a size to a signed change.
pub(crate) fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
