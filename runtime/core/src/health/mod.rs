//! The health of a deployment: how checks and signals become a status, and what its uptime is.
//!
//! One assessment is made in each interval. It combines the result of the module's own check with
//! the signals that the host derives from the runs. A single failure changes nothing, because a
//! repair that follows a coincidence does more harm than good. A single success ends the trouble,
//! so that nothing acts on a deployment that works again.

mod signals;
mod uptime;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::Timestamp;

pub use signals::{HealthSignal, IntervalFigures, SignalKind, SignalMonitor};
pub use uptime::{Outage, Uptime, uptime};

/// Number of consecutive failures after which a deployment is unhealthy.
pub const FAILURES_MAX: u32 = 3;
/// Maximum length of a reason, in bytes.
pub const REASON_BYTES: usize = 512;

/// The health of a deployment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthStatus {
    /// Nothing is known: it was not checked yet, and none of its runs has ended.
    #[default]
    Unknown,
    /// It works.
    Healthy,
    /// It works, but something is wrong. It is shown, and nothing repairs it.
    Degraded,
    /// It does not work.
    Unhealthy,
}

impl HealthStatus {
    /// Every status, from the best known to the worst after `Unknown`.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Healthy, Self::Degraded, Self::Unhealthy];

    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl FromStr for HealthStatus {
    type Err = UnknownHealthStatus;

    fn from_str(text: &str) -> Result<Self, UnknownHealthStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(UnknownHealthStatus)
    }
}

/// A text is not the name of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a status is `unknown`, `healthy`, `degraded` or `unhealthy`")]
pub struct UnknownHealthStatus;

/// What one interval shows of a deployment, from the best to the worst.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assessment {
    /// There is nothing to judge by.
    NoEvidence,
    /// It works.
    Healthy,
    /// It works, but something is wrong, for this reason.
    Degraded(String),
    /// It failed, for this reason. Several failures in a row make it unhealthy.
    Failed(String),
    /// It is certain that it does not work, for this reason, such as an open circuit breaker.
    Unhealthy(String),
}

impl Assessment {
    const fn rank(&self) -> u8 {
        match self {
            Self::NoEvidence => 0,
            Self::Healthy => 1,
            Self::Degraded(_) => 2,
            Self::Failed(_) => 3,
            Self::Unhealthy(_) => 4,
        }
    }

    /// Returns the worse of two assessments; of two equally bad ones, the first.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }

    /// Returns it with a reason of at most [`REASON_BYTES`].
    #[must_use]
    pub fn bounded(mut self) -> Self {
        if let Self::Degraded(reason) | Self::Failed(reason) | Self::Unhealthy(reason) = &mut self {
            reason.truncate(reason.floor_char_boundary(REASON_BYTES));
        }
        self
    }

    /// The reason, if something is wrong.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::NoEvidence | Self::Healthy => None,
            Self::Degraded(reason) | Self::Failed(reason) | Self::Unhealthy(reason) => Some(reason),
        }
    }
}

/// A change of the status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthTransition {
    /// When it happened.
    pub at: Timestamp,
    /// The status before.
    pub from: HealthStatus,
    /// The status after.
    pub to: HealthStatus,
    /// Why.
    pub reason: String,
}

/// The present health of a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthState {
    /// The status.
    pub status: HealthStatus,
    /// Since when it has this status; `None` if it never changed.
    pub since: Option<Timestamp>,
    /// Why it has this status, if it is neither unknown nor healthy.
    pub reason: Option<String>,
    /// Number of consecutive failures.
    pub failures: u32,
}

impl HealthState {
    /// Returns the state after `transition`, as a restarted host finds it. It has seen no failures
    /// yet.
    #[must_use]
    pub fn after(transition: &HealthTransition) -> Self {
        let reason = matches!(transition.to, HealthStatus::Degraded | HealthStatus::Unhealthy);
        Self {
            status: transition.to,
            since: Some(transition.at),
            reason: reason.then(|| transition.reason.clone()),
            failures: 0,
        }
    }

    /// Takes an assessment into account. Returns the change of the status, if it changes.
    pub fn assess(&mut self, assessment: Assessment, now: Timestamp) -> Option<HealthTransition> {
        let assessment = assessment.bounded();
        let to = match &assessment {
            Assessment::NoEvidence => return None,
            Assessment::Healthy => HealthStatus::Healthy,
            Assessment::Degraded(_) => HealthStatus::Degraded,
            Assessment::Failed(_) if self.failures + 1 >= FAILURES_MAX => HealthStatus::Unhealthy,
            Assessment::Failed(_) => self.status,
            Assessment::Unhealthy(_) => HealthStatus::Unhealthy,
        };
        self.failures = match assessment {
            Assessment::Failed(_) | Assessment::Unhealthy(_) => self.failures.saturating_add(1),
            _ => 0,
        };
        let reason = assessment.reason().map(str::to_owned);
        if to == self.status {
            // A first or second failure does not explain the status.
            if matches!(to, HealthStatus::Degraded | HealthStatus::Unhealthy) {
                self.reason = reason.or_else(|| self.reason.take());
            }
            return None;
        }
        let from = std::mem::replace(&mut self.status, to);
        self.since = Some(now);
        let transition = HealthTransition {
            at: now,
            from,
            to,
            reason: reason.clone().unwrap_or_else(|| "the last observation found nothing wrong".to_owned()),
        };
        self.reason = reason;
        Some(transition)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    fn failed() -> Assessment {
        Assessment::Failed("no answer".to_owned())
    }

    #[test]
    fn three_failures_in_a_row_make_a_deployment_unhealthy_and_one_success_ends_it() {
        let mut health = HealthState::default();
        assert_eq!(health.assess(Assessment::Healthy, at(1)).map(|it| it.to), Some(HealthStatus::Healthy));
        assert_eq!(health.assess(failed(), at(2)), None);
        assert_eq!(health.assess(failed(), at(3)), None);
        assert_eq!((health.status, health.failures), (HealthStatus::Healthy, 2));
        let transition = health.assess(failed(), at(4)).unwrap();
        assert_eq!((transition.from, transition.to), (HealthStatus::Healthy, HealthStatus::Unhealthy));
        assert_eq!(transition.reason, "no answer");
        assert_eq!((health.since, health.reason.as_deref()), (Some(at(4)), Some("no answer")));
        let transition = health.assess(Assessment::Healthy, at(5)).unwrap();
        assert_eq!((transition.to, health.reason.clone(), health.failures), (HealthStatus::Healthy, None, 0));
    }

    #[test]
    fn a_success_between_failures_starts_the_count_again() {
        let mut health = HealthState::default();
        for second in 0..30 {
            let assessment = if second % 3 == 2 { Assessment::Healthy } else { failed() };
            health.assess(assessment, at(second));
            assert_ne!(health.status, HealthStatus::Unhealthy);
        }
    }

    #[test]
    fn an_open_breaker_needs_no_second_look() {
        let mut health = HealthState::default();
        let transition = health.assess(Assessment::Unhealthy("the breaker is open".to_owned()), at(1)).unwrap();
        assert_eq!((transition.to, transition.reason.as_str()), (HealthStatus::Unhealthy, "the breaker is open"));
    }

    #[test]
    fn no_evidence_changes_nothing() {
        let mut health = HealthState::default();
        assert_eq!(health.assess(Assessment::NoEvidence, at(1)), None);
        assert_eq!(health, HealthState::default());
    }

    #[test]
    fn the_worse_of_two_assessments_counts() {
        let degraded = Assessment::Degraded("late".to_owned());
        assert_eq!(Assessment::Healthy.or_worse(degraded.clone()), degraded);
        assert_eq!(failed().or_worse(degraded.clone()), failed());
        assert_eq!(Assessment::NoEvidence.or_worse(Assessment::Healthy), Assessment::Healthy);
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let mut health = HealthState::default();
        health.assess(Assessment::Degraded("é".repeat(1_000)), at(1));
        assert_eq!(health.reason.unwrap(), "é".repeat(REASON_BYTES / 2));
    }

    fn assessments() -> impl Strategy<Value = Assessment> {
        let reason = "[a-zé]{0,600}";
        prop_oneof![
            Just(Assessment::NoEvidence),
            Just(Assessment::Healthy),
            reason.prop_map(Assessment::Degraded),
            reason.prop_map(Assessment::Failed),
            reason.prop_map(Assessment::Unhealthy),
        ]
    }

    proptest! {
        #[test]
        fn transitions_form_a_chain_and_explain_the_state(list in prop::collection::vec(assessments(), 0..60)) {
            let mut health = HealthState::default();
            let mut last = HealthStatus::Unknown;
            for (second, assessment) in list.into_iter().enumerate() {
                let success = assessment == Assessment::Healthy;
                if let Some(transition) = health.assess(assessment, at(second as u64)) {
                    prop_assert_eq!(transition.from, last);
                    prop_assert_ne!(transition.to, last);
                    last = transition.to;
                    prop_assert!(!transition.reason.is_empty() || health.reason.as_deref() == Some(""));
                }
                prop_assert_eq!(health.status, last);
                prop_assert!(!success || health.status == HealthStatus::Healthy);
                prop_assert!(health.reason.as_ref().is_none_or(|reason| reason.len() <= REASON_BYTES));
                prop_assert!(health.failures < FAILURES_MAX || health.status == HealthStatus::Unhealthy);
            }
        }
    }
}
