//! What a run may do to other deployments if its own deployment has the grant: the actions of a
//! runbook.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{DeploymentName, Timestamp};

/// Maximum size of the note of an action, in bytes.
pub const OPERATOR_NOTE_BYTES: usize = 1024;
/// Maximum number of parked runs that one call retries.
pub const OPERATOR_RETRY_MAX: u32 = 100;
/// Maximum number of actions in one generation of a run.
pub const OPERATOR_ACTIONS_MAX: usize = 256;

/// An action on another deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorAction {
    /// Pauses it.
    Pause,
    /// Resumes it.
    Resume,
    /// Returns it to an earlier revision.
    Rollback,
    /// Retries its parked runs.
    Retry,
    /// Drops its resident instances and the code of its component.
    Recycle,
}

impl OperatorAction {
    /// Every action.
    pub const ALL: [Self; 5] = [Self::Pause, Self::Resume, Self::Rollback, Self::Retry, Self::Recycle];

    /// Its name in a manifest, in a policy and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Rollback => "rollback",
            Self::Retry => "retry",
            Self::Recycle => "recycle",
        }
    }

    /// Every action with its name.
    #[must_use]
    pub fn choices() -> [(&'static str, Self); 5] {
        Self::ALL.map(|action| (action.as_str(), action))
    }
}

impl fmt::Display for OperatorAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Returns why a text cannot be the note of an action; `None` if it can.
#[must_use]
pub fn note_problem(note: &str) -> Option<String> {
    if note.trim().is_empty() {
        return Some("an action needs a note with its reason".to_owned());
    }
    (note.len() > OPERATOR_NOTE_BYTES)
        .then(|| format!("the note has {} bytes; the maximum is {OPERATOR_NOTE_BYTES}", note.len()))
}

/// Returns why no run may act on a deployment that a person has paused.
#[must_use]
pub fn paused_by_person(deployment: &DeploymentName, since: Timestamp, note: &str) -> String {
    let note = if note.is_empty() { String::new() } else { format!(", with the note {note:?}") };
    format!("a person, or a repair by the host, has paused `{deployment}` at {}{note}", since.to_rfc3339())
}

/// Returns why a call cannot retry that many parked runs; `None` if it can.
#[must_use]
pub fn retry_limit_problem(limit: u32) -> Option<String> {
    (limit == 0 || limit > OPERATOR_RETRY_MAX)
        .then(|| format!("a call retries 1 to {OPERATOR_RETRY_MAX} parked runs, not {limit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_one_action_in_every_notation() {
        for action in OperatorAction::ALL {
            assert_eq!(serde_json::to_value(action).unwrap(), action.as_str());
            assert_eq!(OperatorAction::ALL.iter().filter(|other| other.as_str() == action.as_str()).count(), 1);
        }
    }

    #[test]
    fn a_note_is_not_blank_and_has_at_most_its_bytes() {
        assert!(note_problem("the upstream fails").is_none());
        assert!(note_problem(&"n".repeat(OPERATOR_NOTE_BYTES)).is_none());
        for bad in ["", " \n\t", &"n".repeat(OPERATOR_NOTE_BYTES + 1)] {
            assert!(note_problem(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn a_call_retries_at_least_one_run_and_at_most_the_maximum() {
        assert!(retry_limit_problem(1).is_none() && retry_limit_problem(OPERATOR_RETRY_MAX).is_none());
        for bad in [0, OPERATOR_RETRY_MAX + 1, u32::MAX] {
            assert!(retry_limit_problem(bad).is_some());
        }
    }
}
