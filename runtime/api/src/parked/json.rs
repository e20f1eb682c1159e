//! The wire form of parked runs.

use serde::Serialize;
use tidemill_core::run::Run;
use tidemill_core::{Code, Failure, RunId};
use tidemill_store::records::{ParkedGroup, ParkedRun};
use utoipa::ToSchema;

use crate::wire::TimeJson;

/// A run that waits for an operator.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ParkedRun)]
pub struct ParkedJson {
    /// The id of the run.
    #[schema(value_type = String)]
    run: RunId,
    /// The deployment of the run.
    deployment: String,
    /// `parked`, or `cancelled` if its compensation failed.
    state: &'static str,
    /// When the wait began.
    since: TimeJson,
    /// When the run was requested.
    created_at: TimeJson,
    /// The attempt after which the run was parked.
    attempt: u32,
    /// The code of the failure.
    code: String,
    /// The message of the failure.
    message: String,
    /// What to do next; left out if there is no advice.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl ParkedJson {
    /// Builds the item of a run from its record and its failure.
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
    /// The code of the failures.
    code: String,
    /// What to do next; left out if there is no advice.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
    /// Number of runs.
    runs: u64,
    /// When the first of them was parked.
    oldest: TimeJson,
    /// When the last of them was parked.
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
    /// Runs that wait for an operator, newest first.
    pub items: Vec<ParkedJson>,
    /// The `cursor` of the next page; left out on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Number of all matching runs by deployment and code, the largest group first. On the first
    /// page only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<ParkedGroupJson>>,
}
