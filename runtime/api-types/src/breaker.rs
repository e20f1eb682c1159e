//! The circuit breaker of a deployment.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::Time;

/// The circuit breaker of a deployment: whether its runs may start, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Breaker<'a> {
    /// `closed`: runs start. `open`: none starts. `half-open`: a few start, and show whether the
    /// deployment works again. `forced-open`, `forced-closed` or `disabled`: an operator or the
    /// manifest decides.
    pub state: Cow<'a, str>,
    /// Who decides: `automatic` if the outcomes of attempts do, else as `state`.
    pub mode: Cow<'a, str>,
    /// When the state began. A closed breaker has been closed since the host started or longer.
    pub since: Time,
    /// When the state ends by itself, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Why it is in this state, such as `12 of the last 20 attempts failed`; or the operator's
    /// note.
    pub reason: Cow<'a, str>,
    /// Number of judged attempts: the last ones if it is closed, those that opened it if it is
    /// open, those that have ended if it is half-open.
    pub attempts: u32,
    /// Number of those that failed.
    pub failed: u32,
    /// Number of those that took longer than `slow` in the manifest.
    pub slow: u32,
    /// The last decision of an operator; left out if no operator has decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<BreakerDecision<'a>>,
}

/// A decision of an operator about a breaker. It holds over revisions and restarts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct BreakerDecision<'a> {
    /// `automatic`, `forced-open`, `forced-closed` or `disabled`.
    pub mode: Cow<'a, str>,
    /// When it was made.
    pub since: Time,
    /// The note of the operator.
    pub note: Cow<'a, str>,
}

/// Who decides about a breaker from now on, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct BreakerRequest {
    /// `automatic`: the outcomes of attempts. `forced-open`: no run starts. `forced-closed`: all
    /// runs start, and their outcomes are counted. `disabled`: all runs start, and none is counted.
    #[cfg_attr(feature = "schema", schema(example = "forced-open"))]
    pub mode: String,
    /// The reason, for people; 1 byte to 1 KiB.
    #[cfg_attr(feature = "schema", schema(example = "the provider is down"))]
    pub note: String,
}
