//! Silences: until when which alerts are not announced.

use serde::{Deserialize, Serialize};

use super::{AlertKey, AlertSeverity};
use crate::ids::{AlertRuleName, SilenceId, Timestamp};
use crate::policy::fits;

/// Maximum duration of a silence, in milliseconds: 90 days.
pub const SILENCE_MAX_MILLIS: u64 = 90 * 24 * 3_600_000;

/// Which alerts a silence is about. Every field that is present must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceMatcher {
    /// Of this rule.
    pub rule: Option<AlertRuleName>,
    /// About this deployment, or about those whose names begin with a text that `*` follows. An
    /// alert about the host has no deployment, and does not match.
    pub deployment: Option<String>,
    /// With this severity.
    pub severity: Option<AlertSeverity>,
}

impl SilenceMatcher {
    /// Whether it matches every alert.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rule.is_none() && self.deployment.is_none() && self.severity.is_none()
    }

    /// Whether it matches an alert.
    #[must_use]
    pub fn matches(&self, key: &AlertKey, severity: AlertSeverity) -> bool {
        let about = key.deployment.as_ref().map(|name| name.as_str());
        self.rule.as_ref().is_none_or(|rule| *rule == key.rule)
            && self.severity.is_none_or(|wanted| wanted == severity)
            && self.deployment.as_ref().is_none_or(|pattern| about.is_some_and(|name| fits(pattern, name)))
    }
}

/// A silence that a person requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSilence {
    /// Which alerts.
    pub matcher: SilenceMatcher,
    /// When it ends.
    pub ends_at: Timestamp,
    /// Why.
    pub note: String,
    /// Who.
    pub actor: String,
}

/// A silence. Alerts that it matches fire and end, but are not announced until it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its id.
    pub id: SilenceId,
    /// Which alerts.
    pub matcher: SilenceMatcher,
    /// When it was created; it applies from then on.
    pub created_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// Why.
    pub note: String,
    /// Who.
    pub actor: String,
}

/// Why a silence is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSilence {
    /// It would silence everything.
    #[error("a silence names a rule, a deployment or a severity")]
    Everything,
    /// Its end has passed.
    #[error("the end of the silence has passed")]
    Past,
    /// Its end is too far away.
    #[error("a silence ends within 90 days")]
    TooLong,
}

impl Silence {
    /// Returns a silence from `now` on.
    ///
    /// # Errors
    /// If it matches everything, or ends in the past or after [`SILENCE_MAX_MILLIS`].
    pub fn new(id: SilenceId, new: NewSilence, now: Timestamp) -> Result<Self, InvalidSilence> {
        let NewSilence { matcher, ends_at, note, actor } = new;
        if matcher.is_empty() {
            return Err(InvalidSilence::Everything);
        }
        if ends_at <= now {
            return Err(InvalidSilence::Past);
        }
        if ends_at.millis_since(now) > SILENCE_MAX_MILLIS {
            return Err(InvalidSilence::TooLong);
        }
        Ok(Self { id, matcher, created_at: now, ends_at, note, actor })
    }

    /// Whether it silences an alert `now`.
    #[must_use]
    pub fn silences(&self, key: &AlertKey, severity: AlertSeverity, now: Timestamp) -> bool {
        now < self.ends_at && self.matcher.matches(key, severity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(rule: &str, deployment: Option<&str>) -> AlertKey {
        let deployment = deployment.map(|name| name.parse().unwrap());
        AlertKey { rule: rule.parse().unwrap(), deployment, subject: String::new() }
    }

    #[test]
    fn every_field_of_a_matcher_must_match() {
        let matcher = SilenceMatcher {
            rule: Some("unhealthy".parse().unwrap()),
            deployment: Some("team-*".to_owned()),
            severity: Some(AlertSeverity::Page),
        };
        assert!(matcher.matches(&key("unhealthy", Some("team-a")), AlertSeverity::Page));
        assert!(!matcher.matches(&key("degraded", Some("team-a")), AlertSeverity::Page));
        assert!(!matcher.matches(&key("unhealthy", Some("shop")), AlertSeverity::Page));
        assert!(!matcher.matches(&key("unhealthy", None), AlertSeverity::Page));
        assert!(!matcher.matches(&key("unhealthy", Some("team-a")), AlertSeverity::Ticket));
        let page = SilenceMatcher { severity: Some(AlertSeverity::Page), ..SilenceMatcher::default() };
        assert!(page.matches(&key("vital", None), AlertSeverity::Page));
    }

    #[test]
    fn a_silence_has_a_matcher_and_an_end_within_ninety_days() {
        let now = Timestamp::from_millis(1_000);
        let new = |matcher: SilenceMatcher, millis| {
            let ends_at = Timestamp::from_millis(millis);
            let new = NewSilence { matcher, ends_at, note: "moving".to_owned(), actor: "ann".to_owned() };
            Silence::new(SilenceId::new(now, 1), new, now)
        };
        let shop = SilenceMatcher { deployment: Some("shop".to_owned()), ..SilenceMatcher::default() };
        assert_eq!(new(SilenceMatcher::default(), 2_000), Err(InvalidSilence::Everything));
        assert_eq!(new(shop.clone(), 1_000), Err(InvalidSilence::Past));
        assert_eq!(new(shop.clone(), 1_001 + SILENCE_MAX_MILLIS), Err(InvalidSilence::TooLong));
        let silence = new(shop, 1_000 + SILENCE_MAX_MILLIS).unwrap();
        let about = key("degraded", Some("shop"));
        assert!(silence.silences(&about, AlertSeverity::Ticket, now));
        assert!(!silence.silences(&about, AlertSeverity::Ticket, silence.ends_at));
    }
}
