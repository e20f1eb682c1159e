//! The part of a manifest about repairs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::DeploymentName;

/// Maximum number of steps of a ladder.
pub const LADDER_MAX: usize = 16;
/// Before the name of a runbook in a manifest.
const RUNBOOK: &str = "runbook:";

/// What the host may do about an unhealthy deployment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealingMode {
    /// It records incidents and does nothing about them.
    Off,
    /// It records what it would do.
    Advise,
    /// It repairs.
    #[default]
    Act,
}

impl HealingMode {
    /// Every mode, from the one that does least.
    pub const ALL: [Self; 3] = [Self::Off, Self::Advise, Self::Act];

    /// Its name in manifests and settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Advise => "advise",
            Self::Act => "act",
        }
    }
}

impl FromStr for HealingMode {
    type Err = UnknownHealingMode;

    fn from_str(text: &str) -> Result<Self, UnknownHealingMode> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or(UnknownHealingMode)
    }
}

/// A text is not the name of a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a mode is `act`, `advise` or `off`")]
pub struct UnknownHealingMode;

/// One step of the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RepairStep {
    /// Lets a few runs try again, without waiting for the circuit breaker.
    Retry,
    /// Drops everything in memory that belongs to the deployment, and its compiled code.
    Recycle,
    /// Returns to the last revision that was healthy.
    Rollback,
    /// Sends new runs to the standby deployment.
    Standby,
    /// Pauses the deployment.
    Quarantine,
    /// Runs a workflow that receives the incident.
    Runbook(DeploymentName),
}

impl RepairStep {
    /// The steps without a name of their own, in the order of the default ladder.
    pub const DEFAULT: [Self; 5] = [Self::Retry, Self::Recycle, Self::Rollback, Self::Standby, Self::Quarantine];

    /// The kind of step, for metrics and the API.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Recycle => "recycle",
            Self::Rollback => "rollback",
            Self::Standby => "standby",
            Self::Quarantine => "quarantine",
            Self::Runbook(_) => "runbook",
        }
    }
}

impl fmt::Display for RepairStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runbook(name) => write!(f, "{RUNBOOK}{name}"),
            step => f.write_str(step.kind()),
        }
    }
}

impl FromStr for RepairStep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix(RUNBOOK) {
            return name.parse().map(Self::Runbook).map_err(|error| format!("{error}"));
        }
        let known = Self::DEFAULT.into_iter().find(|step| step.kind() == text);
        known.ok_or_else(|| "not a step of a ladder".to_owned())
    }
}

/// How the host repairs a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealingPolicy {
    /// What the host may do. The more cautious of this and the host's own mode counts.
    pub mode: HealingMode,
    /// The steps, in order.
    pub ladder: Vec<RepairStep>,
    /// The deployment that takes new runs if the other steps did not help.
    pub standby: Option<DeploymentName>,
}

impl Default for HealingPolicy {
    fn default() -> Self {
        Self { mode: HealingMode::default(), ladder: RepairStep::DEFAULT.to_vec(), standby: None }
    }
}

impl HealingPolicy {
    /// Returns the deployments that it names.
    pub fn named(&self) -> impl Iterator<Item = &DeploymentName> {
        let runbooks = self.ladder.iter().filter_map(|step| match step {
            RepairStep::Runbook(name) => Some(name),
            _ => None,
        });
        self.standby.iter().chain(runbooks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_written_as_it_is_read() {
        let runbook = RepairStep::Runbook("fix-shop".parse().unwrap());
        for step in RepairStep::DEFAULT.into_iter().chain([runbook]) {
            assert_eq!(step.to_string().parse(), Ok(step));
        }
        for text in ["", "restart", "runbook:", "runbook:No Name", "Retry"] {
            assert!(text.parse::<RepairStep>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_more_cautious_mode_is_the_lesser_one() {
        assert_eq!(HealingMode::Act.min(HealingMode::Advise), HealingMode::Advise);
        assert_eq!(HealingMode::Off.min(HealingMode::Act), HealingMode::Off);
        assert_eq!("advise".parse(), Ok(HealingMode::Advise));
        assert!("on".parse::<HealingMode>().is_err());
    }
}
