//! Hooks, and deliveries to them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tidemill_core::{DeliveryId, RunId};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::Time;

/// The answer to a delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct DeliveryReceipt<'a> {
    /// The id of the delivery; of the first one if this one is a duplicate.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub delivery: DeliveryId,
    /// `stored`, `duplicate`, `ignored` or `test`.
    pub outcome: Cow<'a, str>,
}

/// A header of a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Header<'a> {
    /// The name, in lower case.
    pub name: Cow<'a, str>,
    /// The value.
    pub value: Cow<'a, str>,
}

/// A request that a hook received and verified.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Delivery<'a> {
    /// The id of the delivery.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub id: DeliveryId,
    /// The deployment of the hook.
    pub deployment: Cow<'a, str>,
    /// The hook.
    pub hook: Cow<'a, str>,
    /// The provider's id, or the id of the delivery if the provider gives none.
    pub key: Cow<'a, str>,
    /// `stored`, `running`, `done`, `failed`, `dead`, `ignored`, `refused` or `test`.
    pub outcome: Cow<'a, str>,
    /// When it was received.
    pub received_at: Time,
    /// The scheme that verified it.
    pub verified_by: Cow<'a, str>,
    /// The type of event that it states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Cow<'a, str>>,
    /// The object that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Cow<'a, str>>,
    /// The version of the object: a number, or a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// PayPal's transmission id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transmission: Option<Cow<'a, str>>,
    /// The method of the request.
    pub method: Cow<'a, str>,
    /// The path of the request.
    pub path: Cow<'a, str>,
    /// The query of the request, without credentials.
    pub query: Cow<'a, str>,
    /// The headers of the request, without credentials; left out in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub headers: Vec<Header<'a>>,
    /// Size of the body as it came, in bytes.
    pub body_bytes: u64,
    /// SHA-256 of the body as it came.
    pub digest: String,
    /// The latest run, which decides the outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub last_run: Option<RunId>,
    /// Number of runs, replays included.
    pub run_count: u32,
    /// All runs, oldest first; left out in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false, value_type = Vec<String>))]
    pub runs: Vec<RunId>,
    /// The ids of the entries that its runs posted to the ledger, at most 1,000; left out in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub entries: Vec<String>,
    /// How often the provider delivered it again.
    pub duplicates: u64,
    /// When it was last delivered again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_duplicate_at: Option<Time>,
    /// When its outcome was settled. It is kept for 30 days from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Time>,
}

/// A request to a hook that was refused before anything was stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct HookRefusal {
    /// When it was refused.
    pub at: Time,
    /// Why. The sender does not learn it.
    pub reason: String,
    /// The names of its headers, as far as they fit.
    pub headers: Vec<String>,
    /// Size of its body, in bytes.
    pub body_bytes: u64,
    /// SHA-256 of its body.
    pub digest: String,
}

/// The number of requests with one result.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct HookCount<'a> {
    /// `stored`, `not-run`, `duplicate`, `handshake`, `unverified`, `refused`, `forged` (another
    /// body under a known transmission id) or `unavailable`.
    pub result: Cow<'a, str>,
    /// Number of requests since the host started.
    pub requests: u64,
}

/// A hook of a deployment. Its definition is in the deployment's manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Hook<'a> {
    /// The name of the hook in its deployment.
    pub name: Cow<'a, str>,
    /// The path to which the provider sends.
    pub path: String,
    /// The scheme that verifies its requests.
    pub scheme: Cow<'a, str>,
    /// `accept` or `wait`.
    pub reply: Cow<'a, str>,
    /// Patterns of the types of events that make runs; left out if all do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub events: Vec<String>,
    /// Numbers of requests by result, since the host started.
    pub requests: Vec<HookCount<'a>>,
    /// The last refused requests since the host started, newest first; at most 100.
    pub refusals: Vec<HookRefusal>,
    /// By how much the clock of the host is slow, in milliseconds, if the last five valid requests
    /// failed by their time alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
}

/// The action and the deliveries that it applies to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct DeliveryActionRequest {
    /// `replay`.
    #[cfg_attr(feature = "schema", schema(example = "replay"))]
    pub action: String,
    /// Filter of the deliveries; at least one field is required.
    pub filter: DeliveryFilter<'static>,
}

/// A filter of deliveries; fields that are left out match every delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct DeliveryFilter<'a> {
    /// Deliveries to this deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Cow<'a, str>>,
    /// Deliveries to hooks of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<Cow<'a, str>>,
    /// Deliveries with one of these outcomes; a single outcome needs no array.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(required = false))]
    pub outcome: Vec<Cow<'a, str>>,
    /// Deliveries with this id of the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'a, str>>,
    /// Deliveries about this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Cow<'a, str>>,
    /// Deliveries received at or after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Deliveries received before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// The deliveries that a replay would select.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct DeliveryReplayPlan {
    /// Number of deliveries, counted up to 10,000.
    pub deliveries: u64,
}
