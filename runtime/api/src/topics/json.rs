//! The wire form of topics and events.

use tidemill_api_types as shapes;
use tidemill_store::records::{Event, Publisher, TopicSummary};

use crate::wire::FromRecord;

impl<'a> FromRecord<&'a TopicSummary> for shapes::Topic<'a> {
    fn of(topic: &'a TopicSummary) -> Self {
        Self {
            topic: topic.topic.as_str().into(),
            events: topic.events,
            published: topic.published,
            first_at: topic.first_at.map(shapes::Time),
            last_at: topic.last_at.into(),
        }
    }
}

impl<'a> FromRecord<&'a Event> for shapes::TopicEvent<'a> {
    fn of(event: &'a Event) -> Self {
        let publisher = match &event.publisher {
            Publisher::Operator => None,
            Publisher::Run { deployment, run } => {
                Some(shapes::Publisher { deployment: deployment.as_str().into(), run: *run })
            }
        };
        Self {
            id: event.id,
            topic: event.topic.as_str().into(),
            at: event.at.into(),
            publisher,
            payload: shapes::StoredJson::of(&event.payload),
        }
    }
}
