//! Actions on runs, one or many, and the runs that wait for an operator.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tidemill_core::{ComponentDigest, RunId};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::{Failure, Run, Time};

/// The options of a retry; all are optional.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct RetryRequest {
    /// `last-step` (default): resume after the last recorded result. `start`: discard the journal
    /// and start again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "last-step"))]
    pub from: Option<String>,
    /// The component to retry with, by digest or as `name@version`, if it can resume from the
    /// journal; default: the run's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(example = "hello@0.2.0"))]
    pub component: Option<String>,
    /// Only check whether the component can resume the run; change nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// The result of checking whether a component can resume a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = RetryLook))]
pub struct RetryCheck<'a> {
    /// The run.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub run: RunId,
    /// The component that was checked.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub component: ComponentDigest,
    /// Always true: nothing was changed.
    pub dry_run: bool,
    /// True if the component repeats all recorded calls, and then makes a new call or ends.
    pub continues: bool,
    /// Why it cannot resume; if it makes another call than the recorded one, the message contains
    /// both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure<'a>>,
}

/// The answer to a retry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = Retried))]
#[serde(untagged)]
pub enum RetryResult<'a> {
    /// The queued run.
    Run(Box<Run<'a>>),
    /// With `dry_run`: whether the component can resume the run.
    Look(Box<RetryCheck<'a>>),
}

/// The action and the runs that it applies to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = ActionRequest))]
pub struct RunActionRequest {
    /// `retry`, `cancel` or `terminate`.
    #[cfg_attr(feature = "schema", schema(example = "retry"))]
    pub action: String,
    /// Filter of the runs; at least one field is required.
    pub filter: RunFilter<'static>,
}

/// A filter of runs; fields that are left out match every run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct RunFilter<'a> {
    /// Runs of this deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Cow<'a, str>>,
    /// Runs in one of these states; a single state needs no array.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub state: Cow<'a, [String]>,
    /// Runs with all of these labels, each `NAME=VALUE`; a single label needs no array.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub label: Vec<String>,
    /// Runs created at or after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Runs created before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Runs that failed or are parked with one of these codes; a single code needs no array.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub code: Cow<'a, [String]>,
}

/// A run that waits for an operator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ParkedRun {
    /// The id of the run.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub run: RunId,
    /// The deployment of the run.
    pub deployment: String,
    /// `parked`, or `cancelled` if its compensation failed.
    pub state: Cow<'static, str>,
    /// When the wait began.
    pub since: Time,
    /// When the run was requested.
    pub created_at: Time,
    /// The attempt after which the run was parked.
    pub attempt: u32,
    /// The code of the failure.
    pub code: String,
    /// The message of the failure.
    pub message: String,
    /// What to do next; left out if there is no advice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// The parked runs of one deployment with one code.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ParkedGroup {
    /// The deployment.
    pub deployment: String,
    /// The code of the failures.
    pub code: String,
    /// What to do next; left out if there is no advice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Number of runs.
    pub runs: u64,
    /// When the first of them was parked.
    pub oldest: Time,
    /// When the last of them was parked.
    pub newest: Time,
}

/// A page of the inbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ParkedPage {
    /// Runs that wait for an operator, newest first.
    pub items: Vec<ParkedRun>,
    /// The `cursor` of the next page; left out on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Number of all matching runs by deployment and code, the largest group first. On the first
    /// page only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<ParkedGroup>>,
}
