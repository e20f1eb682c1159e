//! Incidents: what was wrong, what was done about it, and who did it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::healing::RepairStep;
use crate::ids::{DeploymentName, Revision, RunId, Timestamp};

/// Maximum number of entries in a timeline. Beyond it, people cannot comment any more, and the host
/// adds no entry but the end.
pub const ENTRIES_MAX: u32 = 500;
/// Maximum length of a note or of the text of an entry, in bytes.
pub const NOTE_BYTES: usize = 1_024;
/// Maximum length of the name of a person, in bytes.
pub const ACTOR_BYTES: usize = 128;

/// How far an incident has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IncidentPhase {
    /// It was opened.
    Detected,
    /// The host decides what to do.
    Assessing,
    /// A step is being taken.
    Recovering,
    /// The step was taken, and the host observes whether it helped.
    Verifying,
    /// A person is needed. It still ends by itself if the deployment works again.
    Escalated,
    /// The deployment works again.
    Resolved,
    /// A person closed it, or there is nothing left to repair.
    Closed,
}

impl IncidentPhase {
    /// Every phase, in order.
    pub const ALL: [Self; 7] = [
        Self::Detected,
        Self::Assessing,
        Self::Recovering,
        Self::Verifying,
        Self::Escalated,
        Self::Resolved,
        Self::Closed,
    ];

    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::Assessing => "assessing",
            Self::Recovering => "recovering",
            Self::Verifying => "verifying",
            Self::Escalated => "escalated",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
        }
    }

    /// Whether the trouble is not over.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Resolved | Self::Closed)
    }
}

impl FromStr for IncidentPhase {
    type Err = UnknownIncidentPhase;

    fn from_str(text: &str) -> Result<Self, UnknownIncidentPhase> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text).ok_or(UnknownIncidentPhase)
    }
}

/// A text is not the name of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a phase of an incident")]
pub struct UnknownIncidentPhase;

/// How bad an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IncidentSeverity {
    /// The deployment works, but something is wrong. Nothing repairs it.
    Warning,
    /// The deployment, or the host, does not work.
    Critical,
}

impl IncidentSeverity {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What the failures of a deployment have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureCause {
    /// Nothing is known about it.
    #[default]
    Unknown,
    /// The module itself: a trap, a limit, a failure of its own.
    Module,
    /// A server that it calls.
    Upstream,
}

impl FailureCause {
    /// Returns the cause that most of these codes show.
    pub fn of_codes<'a>(codes: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut upstream, mut all) = (0, 0);
        for code in codes {
            all += 1;
            let is_request = code.strip_prefix("host/").is_some_and(|code| code.starts_with("http-"));
            upstream += usize::from(is_request || matches!(code, "http-status" | "bad-response"));
        }
        match all {
            0 => Self::Unknown,
            _ if upstream * 2 > all => Self::Upstream,
            _ => Self::Module,
        }
    }

    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Module => "module",
            Self::Upstream => "upstream",
        }
    }
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RepairResult {
    /// It is not known yet.
    Pending,
    /// The deployment works again.
    Effective,
    /// The deployment still does not work. There was nothing to undo.
    Ineffective,
    /// The deployment still did not work, or a person asked for it, and the step was undone.
    Undone,
}

impl RepairResult {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Effective => "effective",
            Self::Ineffective => "ineffective",
            Self::Undone => "undone",
        }
    }
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairRecord {
    /// The step.
    pub step: RepairStep,
    /// Its place in the ladder.
    pub rung: u32,
    /// When it was taken.
    pub at: Timestamp,
    /// What became of it.
    pub result: RepairResult,
    /// The number of its entry in the timeline.
    pub entry: u32,
    /// The revisions before and after, if it changed the revision.
    pub revisions: Option<(Revision, Revision)>,
    /// The run of the runbook, if it is one.
    pub run: Option<RunId>,
}

/// An incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number, from 1.
    pub number: u64,
    /// The deployment; `None` if it is one of the host.
    pub deployment: Option<DeploymentName>,
    /// How bad it is.
    pub severity: IncidentSeverity,
    /// How far it has come.
    pub phase: IncidentPhase,
    /// What is wrong.
    pub reason: String,
    /// The deployment's revision when it was detected.
    pub revision: Option<Revision>,
    /// When the trouble began.
    pub began_at: Timestamp,
    /// When it was detected.
    pub detected_at: Timestamp,
    /// When it was resolved or closed; `None` while it is open.
    pub ended_at: Option<Timestamp>,
    /// What the failures have in common.
    pub cause: FailureCause,
    /// The place in the ladder of the next step.
    pub rung: u32,
    /// The steps that were taken, in order.
    pub repairs: Vec<RepairRecord>,
    /// The number of times that the trouble returned after it had been resolved.
    pub returns: u32,
    /// The person who has taken it on, and when.
    pub acknowledged: Option<(String, Timestamp)>,
    /// The incident of the host that it became a part of.
    pub part_of: Option<u64>,
    /// The number of entries in its timeline.
    pub entries: u32,
    /// The number of changes, which each change names, so that no two overwrite each other.
    pub version: u64,
}

impl Incident {
    /// Returns the step that is in progress.
    #[must_use]
    pub fn pending(&self) -> Option<&RepairRecord> {
        self.repairs.last().filter(|repair| repair.result == RepairResult::Pending)
    }

    /// Returns the last step that a person can undo: one that has an effect which lasts.
    #[must_use]
    pub fn undoable(&self) -> Option<&RepairRecord> {
        let lasts =
            |step: &RepairStep| matches!(step, RepairStep::Rollback | RepairStep::Standby | RepairStep::Quarantine);
        self.repairs.iter().rev().find(|repair| lasts(&repair.step) && repair.result != RepairResult::Undone)
    }
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum IncidentActor {
    /// The host.
    Host,
    /// A runbook, by its run.
    Runbook(RunId),
    /// A person, by the name that they gave.
    Person(String),
}

/// What an entry of a timeline is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimelineEvent {
    /// The incident was opened.
    Detected,
    /// It became worse.
    Worsened,
    /// The host decided what to do, and why.
    Assessed,
    /// A step was taken.
    Repaired,
    /// The host would have taken a step.
    Advised,
    /// The last step did not help.
    Failed,
    /// A step was undone.
    Undone,
    /// A person is needed.
    Escalated,
    /// The deployment works again.
    Resolved,
    /// The trouble returned.
    Returned,
    /// A person has taken it on.
    Acknowledged,
    /// A person wrote something.
    Comment,
    /// It was closed.
    Closed,
}

impl TimelineEvent {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::Worsened => "worsened",
            Self::Assessed => "assessed",
            Self::Repaired => "repaired",
            Self::Advised => "advised",
            Self::Failed => "failed",
            Self::Undone => "undone",
            Self::Escalated => "escalated",
            Self::Resolved => "resolved",
            Self::Returned => "returned",
            Self::Acknowledged => "acknowledged",
            Self::Comment => "comment",
            Self::Closed => "closed",
        }
    }
}

/// A figure that an entry is based on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceFigure {
    /// The name of the signal or vital.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// The value from which it is abnormal, if there is one.
    pub limit: Option<f64>,
}

/// What an entry is based on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Signals or vitals that are abnormal.
    pub figures: Vec<EvidenceFigure>,
    /// The last runs with a failed attempt, each with the code of its failure.
    pub runs: Vec<(RunId, String)>,
    /// Lines that the last health check logged.
    pub lines: Vec<String>,
}

/// One entry of a timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: IncidentActor,
    /// What happened.
    pub event: TimelineEvent,
    /// The description, at most [`NOTE_BYTES`].
    pub text: String,
    /// What it is based on.
    pub evidence: Evidence,
    /// What it changed, such as `revision 7 → 8`.
    pub change: Option<String>,
    /// Whether the change was undone since.
    pub undone: bool,
}

impl TimelineEntry {
    /// Creates an entry of the host without evidence and change.
    #[must_use]
    pub fn of_host(at: Timestamp, event: TimelineEvent, text: impl Into<String>) -> Self {
        Self::new(at, IncidentActor::Host, event, text)
    }

    /// Creates an entry without evidence and change.
    #[must_use]
    pub fn new(at: Timestamp, actor: IncidentActor, event: TimelineEvent, text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(NOTE_BYTES));
        Self { at, actor, event, text, evidence: Evidence::default(), change: None, undone: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_what_most_failures_show() {
        assert_eq!(FailureCause::of_codes([]), FailureCause::Unknown);
        assert_eq!(FailureCause::of_codes(["host/trap", "host/http-timeout"]), FailureCause::Module);
        let upstream = ["http-status", "host/http-connect-failed", "host/trap"];
        assert_eq!(FailureCause::of_codes(upstream), FailureCause::Upstream);
    }

    #[test]
    fn a_phase_is_written_as_it_is_read() {
        for phase in IncidentPhase::ALL {
            assert_eq!(phase.as_str().parse(), Ok(phase));
        }
        assert!("done".parse::<IncidentPhase>().is_err());
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let entry = TimelineEntry::of_host(Timestamp::default(), TimelineEvent::Comment, "é".repeat(NOTE_BYTES));
        assert_eq!(entry.text, "é".repeat(NOTE_BYTES / 2));
    }
}
