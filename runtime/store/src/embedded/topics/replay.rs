//! Subscription replays: the events of each topic that are delivered again. They are determined
//! when the replay starts, and executed in parts.
//!
//! A replay covers only events that the subscription had already passed. Events that still wait are
//! delivered once, in the normal way.

use tidemill_core::{DeploymentName, SubscriptionName, Timestamp, Topic};

use crate::embedded::operations;
use crate::embedded::read_tx::ReadTx;
use crate::embedded::tables::{REPLAYS, under};
use crate::embedded::topics;
use crate::embedded::topics::subscriptions;
use crate::embedded::write_tx::WriteTx;
use crate::error::StoreError;
use crate::records::{Operation, OperationState, ReplayCommit, Subscription, SubscriptionReplay, Task};

type Result<T> = std::result::Result<T, StoreError>;

fn key(operation: &str, topic: &Topic) -> Vec<u8> {
    under(operation, topic.as_str().as_bytes())
}

/// Adds a replay operation and determines its events. If an operation with its id exists, returns
/// that one. A replay without events is done at once.
pub(crate) fn begin(commit: &mut WriteTx<'_, '_>, operation: &Operation) -> Result<Operation> {
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

/// Returns the subscription, and the events of each topic that a replay of a range delivers again.
pub(crate) fn parts(
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

/// Returns the remaining range of the first unfinished topic of a replay.
pub(crate) fn next(store: &impl ReadTx, operation: &str) -> Result<Option<SubscriptionReplay>> {
    let found = store.scan_prefix(REPLAYS, &under(operation, &[]), 1)?;
    let Some((key, bytes)) = found.first() else { return Ok(None) };
    let topic = key.get(operation.len() + 1..).and_then(|name| std::str::from_utf8(name).ok()?.parse().ok());
    let topic = topic.ok_or_else(|| StoreError::Damaged { what: "a key of table replays cannot be read".into() })?;
    let (from, to) = crate::embedded::codec::decode(REPLAYS, bytes)?;
    Ok(Some(SubscriptionReplay { topic, from, to }))
}

/// Creates the runs of one part and advances the replay past it; `false` if the replay has another
/// position.
pub(crate) fn advance(commit: &mut WriteTx<'_, '_>, replayed: &ReplayCommit) -> Result<bool> {
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

/// Deletes the remaining parts of a replay.
pub(crate) fn forget(commit: &mut WriteTx<'_, '_>, operation: &str) -> Result<()> {
    for (key, _) in commit.scan_prefix(REPLAYS, &under(operation, &[]), usize::MAX)? {
        commit.delete(REPLAYS, &key);
    }
    Ok(())
}
