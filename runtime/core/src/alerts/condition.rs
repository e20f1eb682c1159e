//! A condition that holds, until its alert fires, and until the alert may end.

use super::{AlertKey, AlertSeverity};
use crate::ids::Timestamp;

/// A condition that an observation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldingCondition {
    /// What it is about.
    pub key: AlertKey,
    /// How urgent it is.
    pub severity: AlertSeverity,
    /// What is wrong.
    pub summary: String,
    /// Since when it holds, if the source knows that; else the time of the observation.
    pub since: Timestamp,
}

/// What is known of a condition that holds, or has held until recently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionRecord {
    /// The highest severity since it began.
    pub severity: AlertSeverity,
    /// What was last wrong.
    pub summary: String,
    /// Since when it holds.
    pub since: Timestamp,
    /// Since when it does not hold any more.
    pub absent_since: Option<Timestamp>,
}

/// What follows from a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionPhase {
    /// It must hold until then before an alert fires.
    Pending {
        /// The end of the rule's duration.
        until: Timestamp,
    },
    /// The alert fires.
    Firing,
    /// It does not hold any more, and the alert ends then.
    Ending {
        /// When.
        until: Timestamp,
    },
    /// The alert ends now, or never began.
    Over,
}

impl ConditionRecord {
    /// Returns a condition that begins to hold.
    #[must_use]
    pub fn new(holding: HoldingCondition) -> Self {
        let HoldingCondition { severity, summary, since, .. } = holding;
        Self { severity, summary, since, absent_since: None }
    }

    /// Takes into account that it holds, or holds again.
    pub fn hold(&mut self, holding: HoldingCondition) {
        self.severity = self.severity.max(holding.severity);
        self.summary = holding.summary;
        self.absent_since = None;
    }

    /// Takes into account that it does not hold `now`.
    pub fn end(&mut self, now: Timestamp) {
        self.absent_since.get_or_insert(now);
    }

    /// Returns what follows `now`. `fired` is whether there is an alert; `duration` and `quiet` are
    /// how long the condition must hold and must not hold, in milliseconds.
    #[must_use]
    pub fn phase(&self, fired: bool, duration: u64, quiet: u64, now: Timestamp) -> ConditionPhase {
        match self.absent_since {
            Some(since) if fired && since.plus_millis(quiet) > now => {
                ConditionPhase::Ending { until: since.plus_millis(quiet) }
            }
            Some(_) => ConditionPhase::Over,
            None if fired || self.since.plus_millis(duration) <= now => ConditionPhase::Firing,
            None => ConditionPhase::Pending { until: self.since.plus_millis(duration) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    fn holding(since: u64) -> HoldingCondition {
        HoldingCondition {
            key: AlertKey { rule: "degraded".parse().unwrap(), deployment: None, subject: String::new() },
            severity: AlertSeverity::Ticket,
            summary: "slow".to_owned(),
            since: at(since),
        }
    }

    #[test]
    fn a_condition_fires_after_its_duration_and_ends_after_a_quiet_time() {
        let mut condition = ConditionRecord::new(holding(10));
        let phase = |condition: &ConditionRecord, fired, second| condition.phase(fired, 60_000, 30_000, at(second));
        assert_eq!(phase(&condition, false, 69), ConditionPhase::Pending { until: at(70) });
        assert_eq!(phase(&condition, false, 70), ConditionPhase::Firing);
        condition.end(at(80));
        condition.end(at(85));
        assert_eq!(phase(&condition, true, 109), ConditionPhase::Ending { until: at(110) });
        assert_eq!(phase(&condition, true, 110), ConditionPhase::Over);
        condition.hold(holding(90));
        assert_eq!((phase(&condition, true, 110), condition.since), (ConditionPhase::Firing, at(10)));
    }

    #[test]
    fn a_condition_that_ends_before_its_duration_raises_nothing() {
        let mut condition = ConditionRecord::new(holding(10));
        condition.end(at(20));
        assert_eq!(condition.phase(false, 60_000, 30_000, at(20)), ConditionPhase::Over);
    }
}
