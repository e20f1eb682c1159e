//! Incidents, and what is done about them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::Time;

/// Trouble of a deployment or of the host, until it is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Incident<'a> {
    /// The number of the incident.
    pub number: u64,
    /// The deployment; left out if the host itself is in trouble.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Cow<'a, str>>,
    /// `critical`, or `warning`: the deployment works, but something is wrong.
    pub severity: Cow<'a, str>,
    /// `detected`, `assessing`, `recovering`, `verifying`, `escalated` (a person is needed),
    /// `resolved` or `closed`.
    pub phase: Cow<'a, str>,
    /// What is wrong.
    pub reason: Cow<'a, str>,
    /// What the failures have in common: `module`, `upstream` or `unknown`.
    pub cause: Cow<'a, str>,
    /// The deployment's revision when the trouble was detected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// When the trouble began.
    pub began_at: Time,
    /// When it was detected.
    pub detected_at: Time,
    /// When it ended; left out while it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// The number of times that the trouble has returned.
    pub returns: u32,
    /// The person who has taken it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<Cow<'a, str>>,
    /// When they did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_at: Option<Time>,
    /// The incident of the host that it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_of: Option<u64>,
    /// The steps that were taken, in order.
    pub repairs: Vec<Repair<'a>>,
}

/// A step of the ladder that was taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Repair<'a> {
    /// `retry`, `recycle`, `rollback`, `standby`, `quarantine`, or `runbook:` and a deployment.
    pub step: Cow<'a, str>,
    /// When it was taken.
    pub at: Time,
    /// `pending`, `effective`, `ineffective` or `undone`.
    pub result: Cow<'a, str>,
    /// The run of the runbook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// An incident with its timeline.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct IncidentDetails<'a> {
    /// The incident.
    #[serde(flatten)]
    pub incident: Incident<'a>,
    /// What happened, in order.
    pub timeline: Vec<TimelineEntry<'a>>,
}

/// An entry of the timeline of an incident.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct TimelineEntry<'a> {
    /// When it happened.
    pub at: Time,
    /// Who did it: `host`, `runbook` or `person`.
    pub actor: Cow<'a, str>,
    /// The name of the person, or the run of the runbook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// `detected`, `worsened`, `assessed`, `repaired`, `advised`, `failed`, `undone`, `escalated`,
    /// `resolved`, `returned`, `acknowledged`, `comment` or `closed`.
    pub event: Cow<'a, str>,
    /// The description.
    pub text: Cow<'a, str>,
    /// What it changed, such as `revision 7 → 8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Cow<'a, str>>,
    /// Whether the change was undone since.
    pub undone: bool,
    /// What it is based on.
    pub evidence: IncidentEvidence<'a>,
}

/// What an entry of a timeline is based on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct IncidentEvidence<'a> {
    /// The signals or vitals that are abnormal.
    pub figures: Vec<EvidenceFigure<'a>>,
    /// The last runs with a failed attempt.
    pub runs: Vec<FailedRun<'a>>,
    /// What the last health check logged.
    pub log: Vec<Cow<'a, str>>,
}

/// A figure that is abnormal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct EvidenceFigure<'a> {
    /// The name of the signal or vital.
    pub name: Cow<'a, str>,
    /// Its value.
    pub value: f64,
    /// The value from which it is abnormal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
}

/// A run with a failed attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct FailedRun<'a> {
    /// The run.
    pub run: String,
    /// The code of the failure.
    pub code: Cow<'a, str>,
}

/// What a person does with an incident.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct IncidentRequest<'a> {
    /// A note for the timeline with the reason; at most 1024 bytes.
    pub note: Cow<'a, str>,
    /// Who does it; `operator` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Cow<'a, str>>,
}
