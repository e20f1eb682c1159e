//! The wire form of topics and events.

use serde::Serialize;
use tidemill_core::{EventId, RunId};
use tidemill_store::records::{Event, Publisher, TopicSummary};
use utoipa::ToSchema;

use crate::wire::{StoredJson, TimeJson, stored_json};

/// A topic.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Topic)]
pub struct TopicJson<'a> {
    /// The name of the topic.
    topic: &'a str,
    /// Number of events that are kept.
    events: u64,
    /// Number of events that were ever published, since the topic exists.
    published: u64,
    /// When the oldest kept event was published; left out if no event is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_at: Option<TimeJson>,
    /// When the newest event was published.
    last_at: TimeJson,
}

impl<'a> TopicJson<'a> {
    /// Builds the wire form of a topic.
    #[must_use]
    pub fn of(topic: &'a TopicSummary) -> Self {
        Self {
            topic: topic.topic.as_str(),
            events: topic.events,
            published: topic.published,
            first_at: topic.first_at.map(TimeJson),
            last_at: topic.last_at.into(),
        }
    }
}

/// The run that published an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Publisher)]
pub struct PublisherJson<'a> {
    /// The deployment of the run.
    deployment: &'a str,
    /// The id of the run.
    #[schema(value_type = String)]
    run: RunId,
}

/// One event of a topic.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopicEvent)]
pub struct TopicEventJson<'a> {
    /// The id of the event.
    #[schema(value_type = String)]
    id: EventId,
    /// The topic of the event.
    topic: &'a str,
    /// When the event was published.
    at: TimeJson,
    /// The run that published the event; left out if it came through the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<PublisherJson<'a>>,
    /// The payload: any JSON value.
    #[schema(value_type = serde_json::Value)]
    payload: StoredJson<'a>,
}

impl<'a> TopicEventJson<'a> {
    /// Builds the wire form of an event.
    #[must_use]
    pub fn of(event: &'a Event) -> Self {
        let publisher = match &event.publisher {
            Publisher::Operator => None,
            Publisher::Run { deployment, run } => Some(PublisherJson { deployment: deployment.as_str(), run: *run }),
        };
        Self {
            id: event.id,
            topic: event.topic.as_str(),
            at: event.at.into(),
            publisher,
            payload: stored_json(&event.payload),
        }
    }
}
