//! Parked runs as they are sent.

use serde::Serialize;
use tidemill_core::run::Run;
use tidemill_core::{Code, Failure, RunId};
use tidemill_store::records::{ParkedGroup, ParkedRun};
use utoipa::ToSchema;

use crate::wire::TimeJson;

/// A run that waits for a person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ParkedRun)]
pub struct ParkedJson {
    /// Its id.
    #[schema(value_type = String)]
    run: RunId,
    /// Its deployment.
    deployment: String,
    /// `parked`, or `cancelled` if it could not undo what it did.
    state: &'static str,
    /// Since when it waits.
    since: TimeJson,
    /// When it was asked for.
    created_at: TimeJson,
    /// The try after which it was parked.
    attempt: u32,
    /// The code of its failure.
    code: String,
    /// What happened.
    message: String,
    /// What to do next; left out where nobody said.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl ParkedJson {
    /// What is listed of a run, with its record and its failure.
    #[must_use]
    pub fn of(parked: ParkedRun, run: &Run, failure: Failure) -> Self {
        Self {
            run: parked.run,
            state: run.state.name(),
            deployment: parked.why.deployment.to_string(),
            since: parked.why.since.into(),
            created_at: run.created_at.into(),
            attempt: run.attempt,
            fix: fix(&parked.why.code),
            code: parked.why.code,
            message: failure.message,
        }
    }
}

/// The parked runs of one deployment with one code.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ParkedGroup)]
pub struct ParkedGroupJson {
    /// The deployment.
    deployment: String,
    /// The code of their failures.
    code: String,
    /// What to do next; left out where nobody said.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
    /// How many there are.
    runs: u64,
    /// When the first of them was parked.
    oldest: TimeJson,
    /// When the last of them was.
    newest: TimeJson,
}

impl From<ParkedGroup> for ParkedGroupJson {
    fn from(group: ParkedGroup) -> Self {
        Self {
            deployment: group.deployment.to_string(),
            fix: fix(&group.code),
            code: group.code,
            runs: group.runs,
            oldest: group.oldest.into(),
            newest: group.newest.into(),
        }
    }
}

fn fix(code: &str) -> Option<String> {
    Code::parse(code).map(|code| code.fix().to_owned())
}

/// A page of the inbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParkedPage {
    /// Runs that wait for a person, the newest first.
    pub items: Vec<ParkedJson>,
    /// The `cursor` of the next page; left out where this is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// All that the filter means, counted by deployment and code, the largest group first. On the first page only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<ParkedGroupJson>>,
}
