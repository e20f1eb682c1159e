//! Subscription replays: the events of each topic that are delivered again. They are determined
//! when the replay starts, and executed in parts.
//!
//! A replay covers only events that the subscription had already passed. Events that still wait are
//! delivered once, in the normal way.

use async_trait::async_trait;
use tidemill_core::{DeploymentName, SubscriptionName, Timestamp, Topic};

use crate::embedded::codec::decode;
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{REPLAYS, name_key};
use crate::embedded::topics::{self, subscriptions};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::embedded::{operations, value};
use crate::error::{Result, StoreError};
use crate::records::{Operation, OperationState, ReplayCommit, Subscription, SubscriptionReplay, Task};
use crate::traits::ReplayStore;

fn key(operation: &str, topic: &Topic) -> Vec<u8> {
    name_key(operation, topic.as_str().as_bytes())
}

/// Adds a replay operation and determines its events. If an operation with its id exists, returns
/// that one. A replay without events is done at once.
fn begin(commit: &mut WriteTx<'_, '_>, operation: &Operation) -> Result<Operation> {
    if let Some(there) = operations::get(commit, &operation.id)? {
        return Ok(there);
    }
    let Task::Replay { deployment, subscription: name, since, until } = &operation.task else {
        return Err(StoreError::IllegalTransition(format!("operation {} is not a replay", operation.id)));
    };
    let (subscription, parts) = parts(commit, (deployment, name), *since, *until)?;
    let mut events = 0;
    for SubscriptionReplay { topic, from, to } in parts {
        events += to - from;
        commit.put_record(REPLAYS, &key(&operation.id, &topic), &(from, to))?;
    }
    let mut operation = Operation { total: Some(events), ..operation.clone() };
    if events == 0 {
        operation.state = OperationState::Done;
        operation.ended_at = Some(operation.created_at);
    }
    operations::put(commit, &operation)?;
    subscriptions::announce(commit, &subscription, None, "replayed", events, operation.created_at)?;
    Ok(operation)
}

#[async_trait]
impl ReplayStore for EmbeddedStore {
    async fn replay_size(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        since: Timestamp,
        until: Option<Timestamp>,
    ) -> Result<u64> {
        let (_, parts) = parts(&self.snapshot(), (deployment, name), since, until)?;
        Ok(parts.iter().map(|part| part.to - part.from).sum())
    }

    async fn begin_replay(&self, operation: Operation) -> Result<Operation> {
        self.commit(move |c| begin(c, &operation)).await
    }

    async fn next_replay(&self, operation: &str) -> Result<Option<SubscriptionReplay>> {
        let found = self.latest().scan_prefix(REPLAYS, &name_key(operation, &[]), 1)?;
        let Some((key, bytes)) = found.first() else { return Ok(None) };
        let topic = key.get(operation.len() + 1..).and_then(|name| std::str::from_utf8(name).ok()?.parse().ok());
        let topic =
            topic.ok_or_else(|| StoreError::Damaged { what: "a key of table replays cannot be read".into() })?;
        let (from, to) = decode(REPLAYS, bytes)?;
        Ok(Some(SubscriptionReplay { topic, from, to }))
    }

    async fn replay(&self, replayed: ReplayCommit) -> Result<bool> {
        let long = value::long(replayed.runs.iter().map(|new| &new.input));
        self.commit_with(long, move |c| advance(c, &replayed)).await
    }
}

/// Returns the subscription, and the events of each topic that a replay of a range delivers again.
fn parts(
    store: &impl ReadTx,
    (deployment, name): (&DeploymentName, &SubscriptionName),
    since: Timestamp,
    until: Option<Timestamp>,
) -> Result<(Subscription, Vec<SubscriptionReplay>)> {
    let subscription = subscriptions::existing(store, deployment, name)?;
    let until = until.unwrap_or(Timestamp::MAX);
    let mut parts = Vec::new();
    for (topic, head) in topics::matching(store, &subscription.topic)? {
        let Some(lag) = subscriptions::lag_in(store, deployment, name, &topic)? else { continue };
        let from = topics::at_time(store, &topic, &head, since)?;
        let to = topics::at_time(store, &topic, &head, until)?.min(lag.position);
        if from < to {
            parts.push(SubscriptionReplay { topic, from, to });
        }
    }
    Ok((subscription, parts))
}

/// Creates the runs of one part and advances the replay past it; `false` if the replay has another
/// position.
fn advance(commit: &mut WriteTx<'_, '_>, replayed: &ReplayCommit) -> Result<bool> {
    let ReplayCommit { operation, part, runs } = replayed;
    let key = key(&operation.id, &part.topic);
    // A cancelled replay has no parts left.
    let Some((from, to)) = commit.record::<(u64, u64)>(REPLAYS, &key)? else { return Ok(false) };
    if from != part.from || part.to <= from || part.to > to {
        return Ok(false);
    }
    let last_run = subscriptions::request(commit, runs)?;
    if let Task::Replay { deployment, subscription, .. } = &operation.task {
        subscriptions::note_run(commit, deployment, subscription, last_run)?;
    }
    if part.to == to {
        commit.delete(REPLAYS, &key);
    } else {
        commit.put_record(REPLAYS, &key, &(part.to, to))?;
    }
    operations::put(commit, operation)?;
    Ok(true)
}
