//! Topics and their events as they are sent.

use serde::Serialize;
use tidemill_core::{EventId, RunId};
use tidemill_store::records::{Event, Publisher, TopicSummary};
use utoipa::ToSchema;

use crate::wire::{StoredJson, TimeJson, stored_json};

/// What there is of a topic.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Topic)]
pub struct TopicJson<'a> {
    /// Its name.
    topic: &'a str,
    /// Events that are kept.
    events: u64,
    /// Events that were ever published, for as long as the topic is known.
    published: u64,
    /// When the oldest that is kept was published; left out where none is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_at: Option<TimeJson>,
    /// When the newest was published.
    last_at: TimeJson,
}

impl<'a> TopicJson<'a> {
    /// The topic as it is sent.
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
    /// Its deployment.
    deployment: &'a str,
    /// The run.
    #[schema(value_type = String)]
    run: RunId,
}

/// One event of a topic.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TopicEvent)]
pub struct TopicEventJson<'a> {
    /// Its id.
    #[schema(value_type = String)]
    id: EventId,
    /// Its topic.
    topic: &'a str,
    /// When it was published.
    at: TimeJson,
    /// Which run published it; left out where somebody from outside did.
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<PublisherJson<'a>>,
    /// What it says: any JSON value.
    #[schema(value_type = serde_json::Value)]
    payload: StoredJson<'a>,
}

impl<'a> TopicEventJson<'a> {
    /// The event as it is sent.
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
