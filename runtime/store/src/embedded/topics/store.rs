//! Implements the operations on topics.

use async_trait::async_trait;
use tidemill_core::{DeploymentName, Timestamp, Topic};

use crate::embedded::codec::decode;
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::TOPICS;
use crate::embedded::topics::{self, TopicRecord, events, expiry, keys};
use crate::embedded::tx::ReadTx;
use crate::embedded::{usage, value};
use crate::error::Result;
use crate::records::{self, Event, ExpiredEvents, NewPublication, Page, PageRequest, PublishOutcome, TopicSummary};
use crate::traits::TopicStore;

#[async_trait]
impl TopicStore for EmbeddedStore {
    async fn publish(&self, publish: NewPublication, now: Timestamp) -> Result<PublishOutcome> {
        let long = value::long([&publish.event.payload]);
        self.commit_with(long, move |c| keys::publish_once(c, &publish, now)).await
    }

    async fn topics(&self, page: PageRequest) -> Result<Page<TopicSummary>> {
        self.latest().page(TOPICS, &[], false, &page)?.try_map(|(key, bytes)| {
            let head: TopicRecord = decode(TOPICS, &bytes)?;
            Ok(topics::summary(topics::name(&key)?, &head))
        })
    }

    async fn topic(&self, topic: &Topic) -> Result<Option<TopicSummary>> {
        Ok(topics::head(self.latest(), topic)?.map(|head| topics::summary(topic.clone(), &head)))
    }

    async fn topic_count(&self) -> Result<u64> {
        topics::total(self.latest())
    }

    async fn topic_room(&self, deployment: &DeploymentName) -> Result<u64> {
        let store = self.snapshot();
        let own = usage::get(&store, deployment)?.topics;
        Ok(self.quotas.topics.saturating_sub(own).min(records::TOPICS.saturating_sub(topics::total(&store)?)))
    }

    async fn events(&self, topic: &Topic, position: u64, limit: usize) -> Result<Vec<Event>> {
        let lease = self.lease();
        let found = events::from(self.latest(), topic, position, limit)?;
        events::with_payloads(self, lease, topic, found).await
    }

    async fn topic_events(&self, topic: &Topic, since: Option<Timestamp>, page: PageRequest) -> Result<Page<Event>> {
        let lease = self.lease();
        let Page { items, next } = events::list(&self.snapshot(), topic, since, &page)?;
        Ok(Page { items: events::with_payloads(self, lease, topic, items).await?, next })
    }

    async fn delete_topic(&self, topic: &Topic, now: Timestamp) -> Result<ExpiredEvents> {
        expiry::delete_topic(self, topic, now).await
    }
}
