//! The records of topics, and their number.

use serde::{Deserialize, Serialize};
use tidemill_core::{Code, DeploymentName, Timestamp, Topic, TopicPattern};

use crate::embedded::codec::decode;
use crate::embedded::tables::{META, TOPIC_OWNERS, TOPICS};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::embedded::usage::{self, UsageDelta};
use crate::error::{Result, StoreError};
use crate::records::{self, Publisher, TopicSummary};

/// The key of the number of topics in [`META`].
const TOTAL: &[u8] = b"topics";

/// The record of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TopicRecord {
    /// The position of the oldest stored event.
    pub(crate) first: u64,
    /// The position of the next published event; equal to `first` if no event is stored.
    pub(crate) next: u64,
    /// The number of events ever published.
    pub(crate) published: u64,
    /// The time of the oldest stored event.
    pub(crate) first_at: Timestamp,
    /// The time of the newest event.
    pub(crate) last_at: Timestamp,
    /// The commit of the newest event.
    pub(crate) last_commit: u64,
}

pub(crate) fn head(store: &impl ReadTx, topic: &Topic) -> Result<Option<TopicRecord>> {
    store.record(TOPICS, topic.as_str().as_bytes())
}

pub(crate) fn put_head(commit: &mut WriteTx<'_, '_>, topic: &Topic, head: &TopicRecord) -> Result<()> {
    commit.put_record(TOPICS, topic.as_str().as_bytes(), head)
}

/// Returns every topic that a pattern matches, with its record.
pub(crate) fn matching(store: &impl ReadTx, pattern: &TopicPattern) -> Result<Vec<(Topic, TopicRecord)>> {
    if let Some(topic) = pattern.exact() {
        return Ok(head(store, &topic)?.map(|head| (topic, head)).into_iter().collect());
    }
    let mut found = Vec::new();
    for (key, bytes) in store.scan_prefix(TOPICS, pattern.first_word().unwrap_or_default().as_bytes(), usize::MAX)? {
        let topic = name(&key)?;
        if pattern.matches(&topic) {
            found.push((topic, decode(TOPICS, &bytes)?));
        }
    }
    Ok(found)
}

pub(crate) fn name(key: &[u8]) -> Result<Topic> {
    let name = std::str::from_utf8(key).ok().and_then(|name| name.parse().ok());
    name.ok_or_else(|| StoreError::Damaged { what: "a key of table topics cannot be read".into() })
}

/// Returns the number of topics.
pub(crate) fn total(store: &impl ReadTx) -> Result<u64> {
    match store.record(META, TOTAL)? {
        Some(total) => Ok(total),
        // A folder of a release that did not count topics.
        None => Ok(store.scan_prefix(TOPICS, &[], usize::MAX)?.len() as u64),
    }
}

/// Creates a topic, within the quota of the deployment that publishes its first event.
pub(crate) fn begin(commit: &mut WriteTx<'_, '_>, topic: &Topic, publisher: &Publisher) -> Result<()> {
    if let Some(deployment) = publisher.deployment() {
        usage::check_topic(commit, deployment)?;
        commit.put_record(TOPIC_OWNERS, topic.as_str().as_bytes(), deployment)?;
        commit.changes.note(deployment, UsageDelta { topics: 1, ..UsageDelta::default() });
    }
    let total = total(commit)?;
    if total >= records::TOPICS {
        let detail = format!("the store has reached its maximum of {} topics", records::TOPICS);
        return Err(StoreError::OverBound { code: Code::LimitTopics, detail });
    }
    commit.put_record(META, TOTAL, &(total + 1))
}

/// Deletes a topic without events.
pub(crate) fn end(commit: &mut WriteTx<'_, '_>, topic: &Topic) -> Result<()> {
    let name = topic.as_str().as_bytes();
    let total = total(commit)?;
    commit.put_record(META, TOTAL, &total.saturating_sub(1))?;
    if let Some(owner) = commit.record::<DeploymentName>(TOPIC_OWNERS, name)? {
        commit.delete(TOPIC_OWNERS, name);
        commit.changes.note(&owner, UsageDelta { topics: -1, ..UsageDelta::default() });
    }
    commit.delete(TOPICS, name);
    Ok(())
}

pub(crate) fn summary(topic: Topic, head: &TopicRecord) -> TopicSummary {
    let events = head.next - head.first;
    TopicSummary {
        topic,
        events,
        published: head.published,
        first_at: (events > 0).then_some(head.first_at),
        last_at: head.last_at,
    }
}
