//! Topics, their events, and subscriptions.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tidemill_core::{EventId, RunId};
#[cfg(feature = "schema")]
use utoipa::ToSchema;

use crate::{Pause, StoredJson, Time};

/// A topic.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Topic<'a> {
    /// The name of the topic.
    pub topic: Cow<'a, str>,
    /// Number of events that are kept.
    pub events: u64,
    /// Number of events that were ever published, since the topic exists.
    pub published: u64,
    /// When the oldest kept event was published; left out if no event is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_at: Option<Time>,
    /// When the newest event was published.
    pub last_at: Time,
}

/// The run that published an event.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Publisher<'a> {
    /// The deployment of the run.
    pub deployment: Cow<'a, str>,
    /// The id of the run.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub run: RunId,
}

/// One event of a topic.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct TopicEvent<'a> {
    /// The id of the event.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub id: EventId,
    /// The topic of the event.
    pub topic: Cow<'a, str>,
    /// When the event was published.
    pub at: Time,
    /// The run that published the event; left out if it came through the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<Publisher<'a>>,
    /// The payload: any JSON value.
    #[cfg_attr(feature = "schema", schema(value_type = serde_json::Value))]
    pub payload: StoredJson<'a>,
}

/// The result of a publication.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = EventPublished))]
pub struct PublishResult<'a> {
    /// The id of the event.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub id: EventId,
    /// The topic of the event.
    pub topic: Cow<'a, str>,
    /// True if the same `Idempotency-Key` published this event before; it is stored once.
    pub duplicate: bool,
}

/// The result of deleting a topic.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = TopicDeleted))]
pub struct TopicDeletion {
    /// Number of deleted events.
    pub events: u64,
    /// Number of times that an event was deleted before a subscription received it.
    pub lost: u64,
}

/// A subscription and its delivery counters. Its definition is in the deployment's manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct Subscription<'a> {
    /// The deployment of the subscription.
    pub deployment: Cow<'a, str>,
    /// The name of the subscription in its deployment.
    pub name: Cow<'a, str>,
    /// The revision whose manifest defines the subscription.
    pub revision: u64,
    /// The topic, or the pattern of topics.
    pub topic: Cow<'a, str>,
    /// When the subscription was created.
    pub created_at: Time,
    /// `active` or `paused`.
    pub state: Cow<'a, str>,
    /// Present while the subscription is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// Number of events that wait for delivery.
    pub waiting: u64,
    /// Number of events that made a run.
    pub delivered: u64,
    /// Number of events that the filter rejected.
    pub filtered: u64,
    /// Number of events that were removed before delivery.
    pub lost: u64,
    /// Number of events that an operator skipped.
    pub skipped: u64,
    /// The time of the last delivered event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Time>,
    /// The last run that the subscription made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub last_run: Option<RunId>,
}

/// The time range of a replay.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ReplayRequest {
    /// Events published at or after this time (RFC 3339).
    #[cfg_attr(feature = "schema", schema(value_type = String, example = "2026-01-31T12:00:00Z"))]
    pub since: Time,
    /// Events published before this time; now if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub until: Option<Time>,
}

/// The events that a replay would examine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema))]
pub struct ReplayPlan {
    /// Number of events. The subscription's filter decides which of them make runs.
    pub events: u64,
}

/// The result of a skip.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(ToSchema), schema(as = Skipped))]
pub struct SkipResult {
    /// Number of events.
    pub skipped: u64,
}
