//! Subscriptions: the position of each in every topic, and the delivery of events in one commit.
//!
//! A subscription continues at its stored position in a topic. Without one it starts after the
//! commit that created the subscription, so creating a subscription writes no row for each topic.
//! Positions sort by subscription, so those of one are one range.

use tidemill_core::topics::SubscriptionStart;
use tidemill_core::{DeploymentName, RunId, SubscriptionName, Timestamp, Topic};

use crate::embedded::codec::decode;
use crate::embedded::read_tx::{ReadTx, prefix_range};
use crate::embedded::tables::{CURSORS, SUBSCRIPTIONS, under};
use crate::embedded::throttle::PIECE;
use crate::embedded::topics;
use crate::embedded::topics::TopicRecord;
use crate::embedded::write_tx::WriteTx;
use crate::embedded::{deployments, runs};
use crate::error::StoreError;
use crate::records::{
    DeliveryCommit, Deployment, EventPolicy, ExpiredEvents, FeedEvent, NewRun, Page, PageRequest, Pause,
    RunRequestResult, Subscription, SubscriptionChange, SubscriptionLag,
};

type Result<T> = std::result::Result<T, StoreError>;

fn key(deployment: &DeploymentName, name: &SubscriptionName) -> Vec<u8> {
    under(deployment.as_str(), name.as_str().as_bytes())
}

fn place(subscription: &Subscription, topic: &Topic) -> Vec<u8> {
    places(subscription, topic.as_str())
}

fn places(Subscription { deployment, name, .. }: &Subscription, topic: &str) -> Vec<u8> {
    under(deployment.as_str(), &under(name.as_str(), topic.as_bytes()))
}

fn unknown(deployment: &DeploymentName, name: &SubscriptionName) -> StoreError {
    StoreError::NotFound { kind: "subscription", name: format!("{deployment}/{name}") }
}

pub(crate) fn get(
    store: &impl ReadTx,
    deployment: &DeploymentName,
    name: &SubscriptionName,
) -> Result<Option<Subscription>> {
    store.record(SUBSCRIPTIONS, &key(deployment, name))
}

pub(crate) fn existing(
    store: &impl ReadTx,
    deployment: &DeploymentName,
    name: &SubscriptionName,
) -> Result<Subscription> {
    get(store, deployment, name)?.ok_or_else(|| unknown(deployment, name))
}

fn write(commit: &mut WriteTx<'_, '_>, subscription: &Subscription) -> Result<()> {
    commit.put_record(SUBSCRIPTIONS, &key(&subscription.deployment, &subscription.name), subscription)
}

fn of(store: &impl ReadTx, deployment: &DeploymentName) -> Result<Vec<Subscription>> {
    let found = store.scan_prefix(SUBSCRIPTIONS, &under(deployment.as_str(), &[]), usize::MAX)?;
    found.iter().map(|(_, bytes)| decode(SUBSCRIPTIONS, bytes)).collect()
}

pub(crate) fn list(
    store: &impl ReadTx,
    deployment: Option<&DeploymentName>,
    page: &PageRequest,
) -> Result<Page<Subscription>> {
    let prefix = deployment.map(|name| under(name.as_str(), &[])).unwrap_or_default();
    store.page(SUBSCRIPTIONS, &prefix, false, page)?.try_map(|(_, bytes)| decode(SUBSCRIPTIONS, &bytes))
}

/// Updates the subscriptions of a deployment to its new revision. An existing one keeps its
/// position and its pause.
pub(crate) fn replace(
    commit: &mut WriteTx<'_, '_>,
    deployment: &Deployment,
    changes: &[SubscriptionChange],
    now: Timestamp,
) -> Result<()> {
    for old in of(commit, &deployment.name)? {
        if !changes.iter().any(|change| change.name == old.name) {
            remove(commit, &old)?;
        }
    }
    let begin = |begin, commit: &WriteTx<'_, '_>| if begin == SubscriptionStart::Now { commit.position() } else { 0 };
    for SubscriptionChange { name, topic, begin: from } in changes {
        let since = begin(*from, commit);
        let mut subscription = match get(commit, &deployment.name, name)? {
            Some(old) if old.topic == *topic => old,
            Some(old) => {
                change_pattern(commit, &old, topic)?;
                Subscription { topic: topic.clone(), since, ..old }
            }
            None => Subscription {
                deployment: deployment.name.clone(),
                name: name.clone(),
                revision: deployment.revision,
                topic: topic.clone(),
                since,
                created_at: now,
                paused: None,
                delivered: 0,
                filtered: 0,
                lost: 0,
                skipped: 0,
                last: None,
                last_run: None,
            },
        };
        subscription.revision = deployment.revision;
        write(commit, &subscription)?;
    }
    Ok(())
}

/// Changes the pattern of a subscription. It keeps its positions in topics that both patterns
/// match.
fn change_pattern(commit: &mut WriteTx<'_, '_>, old: &Subscription, topic: &tidemill_core::TopicPattern) -> Result<()> {
    let mut stays = Vec::new();
    for (name, head) in topics::matching(commit, &old.topic)? {
        if topic.matches(&name) {
            stays.push((place(old, &name), position(commit, old, &name, &head)?));
        }
    }
    forget_places(commit, old)?;
    for (key, position) in stays {
        commit.put_record(CURSORS, &key, &position)?;
    }
    Ok(())
}

fn forget_places(commit: &mut WriteTx<'_, '_>, subscription: &Subscription) -> Result<()> {
    for (key, _) in commit.scan_prefix(CURSORS, &places(subscription, ""), usize::MAX)? {
        commit.delete(CURSORS, &key);
    }
    Ok(())
}

fn remove(commit: &mut WriteTx<'_, '_>, subscription: &Subscription) -> Result<()> {
    forget_places(commit, subscription)?;
    commit.delete(SUBSCRIPTIONS, &key(&subscription.deployment, &subscription.name));
    Ok(())
}

/// Removes all subscriptions of a deployment. Their positions are purged with its other data.
pub(crate) fn remove_all(commit: &mut WriteTx<'_, '_>, deployment: &DeploymentName) -> Result<()> {
    for subscription in of(commit, deployment)? {
        commit.delete(SUBSCRIPTIONS, &key(deployment, &subscription.name));
    }
    Ok(())
}

/// Returns the position of the first event of a topic that a subscription has not received. If that
/// event was deleted, the position is before the oldest stored event.
fn position(store: &impl ReadTx, subscription: &Subscription, topic: &Topic, head: &TopicRecord) -> Result<u64> {
    match store.record(CURSORS, &place(subscription, topic))? {
        Some(position) => Ok(position),
        None => topics::after_commit(store, topic, head, subscription.since),
    }
}

/// Returns the position of a subscription in a topic that it matches; `None` if either does not
/// exist.
pub(crate) fn lag_in(
    store: &impl ReadTx,
    deployment: &DeploymentName,
    name: &SubscriptionName,
    topic: &Topic,
) -> Result<Option<SubscriptionLag>> {
    let Some(subscription) = get(store, deployment, name)? else { return Ok(None) };
    let Some(head) = topics::head(store, topic)?.filter(|_| subscription.topic.matches(topic)) else { return Ok(None) };
    let position = position(store, &subscription, topic, &head)?.clamp(head.first, head.next);
    let paused = subscription.paused.is_some();
    Ok(Some(SubscriptionLag { position, waiting: head.next - position, paused, last_run: subscription.last_run }))
}

/// Returns how many events wait for a subscription, over all its topics.
pub(crate) fn lag(store: &impl ReadTx, subscription: &Subscription) -> Result<u64> {
    let mut waiting = 0;
    for (topic, head) in topics::matching(store, &subscription.topic)? {
        waiting += head.next - position(store, subscription, &topic, &head)?.clamp(head.first, head.next);
    }
    Ok(waiting)
}

/// Creates the runs of some events and advances the subscription past them; `false` if anything has
/// changed since the caller read it.
pub(crate) fn deliver(commit: &mut WriteTx<'_, '_>, delivery: &DeliveryCommit) -> Result<bool> {
    let DeliveryCommit { deployment, subscription: name, revision, topic, from, to, runs, last } = delivery;
    let Some(mut subscription) = get(commit, deployment, name)? else { return Ok(false) };
    let Some(parent) = deployments::get(commit, deployment)? else { return Ok(false) };
    let Some(head) = topics::head(commit, topic)? else { return Ok(false) };
    let stands = position(commit, &subscription, topic, &head)?.clamp(head.first, head.next);
    let paused = parent.paused.is_some() || subscription.paused.is_some();
    if parent.revision != *revision || paused || stands != *from || from >= to || *to > head.next {
        return Ok(false);
    }
    subscription.last_run = request(commit, runs)?.max(subscription.last_run);
    let made = runs.len() as u64;
    subscription.delivered += made;
    subscription.filtered += (to - from).saturating_sub(made);
    subscription.last = Some(*last);
    commit.put_record(CURSORS, &place(&subscription, topic), to)?;
    write(commit, &subscription)?;
    Ok(true)
}

/// Requests runs, and returns the last of them.
pub(crate) fn request(commit: &mut WriteTx<'_, '_>, news: &[NewRun]) -> Result<Option<RunId>> {
    let mut last = None;
    for new in news {
        let (RunRequestResult::Created(run) | RunRequestResult::Joined(run) | RunRequestResult::Existing(run)) =
            runs::request(commit, new)?;
        last = Some(run.id);
    }
    Ok(last)
}

/// Records the last run that was created for a subscription.
pub(crate) fn note_run(
    commit: &mut WriteTx<'_, '_>,
    deployment: &DeploymentName,
    name: &SubscriptionName,
    last_run: Option<RunId>,
) -> Result<()> {
    let Some(mut subscription) = get(commit, deployment, name)?.filter(|one| one.last_run < last_run) else {
        return Ok(());
    };
    subscription.last_run = last_run;
    write(commit, &subscription)
}

/// Advances a subscription past all waiting events. Returns their number.
pub(crate) fn skip(
    commit: &mut WriteTx<'_, '_>,
    deployment: &DeploymentName,
    name: &SubscriptionName,
    now: Timestamp,
) -> Result<u64> {
    let mut subscription = existing(commit, deployment, name)?;
    let mut skipped = 0;
    for (topic, head) in topics::matching(commit, &subscription.topic)? {
        let stands = position(commit, &subscription, &topic, &head)?.clamp(head.first, head.next);
        if stands < head.next {
            skipped += head.next - stands;
            commit.put_record(CURSORS, &place(&subscription, &topic), &head.next)?;
        }
    }
    if skipped > 0 {
        subscription.skipped += skipped;
        write(commit, &subscription)?;
        announce(commit, &subscription, None, "skipped", skipped, now)?;
    }
    Ok(skipped)
}

/// Pauses a subscription. `None` resumes it at its position.
pub(crate) fn pause(
    commit: &mut WriteTx<'_, '_>,
    deployment: &DeploymentName,
    name: &SubscriptionName,
    pause: Option<Pause>,
    now: Timestamp,
) -> Result<Subscription> {
    let mut subscription = existing(commit, deployment, name)?;
    let change = if pause.is_some() { "paused" } else { "resumed" };
    let note = pause.as_ref().map(|pause| pause.note.clone()).filter(|note| !note.is_empty());
    subscription.paused = pause;
    write(commit, &subscription)?;
    announce_change(commit, &subscription, None, (change, 0, note), now)?;
    Ok(subscription)
}

pub(crate) fn announce(
    commit: &mut WriteTx<'_, '_>,
    subscription: &Subscription,
    topic: Option<&Topic>,
    change: &str,
    events: u64,
    now: Timestamp,
) -> Result<()> {
    announce_change(commit, subscription, topic, (change, events, None), now)
}

fn announce_change(
    commit: &mut WriteTx<'_, '_>,
    subscription: &Subscription,
    topic: Option<&Topic>,
    (change, events, note): (&str, u64, Option<String>),
    now: Timestamp,
) -> Result<()> {
    let (deployment, name, topic) = (subscription.deployment.clone(), subscription.name.clone(), topic.cloned());
    commit.announce(now, &FeedEvent::Subscription { deployment, name, topic, change: change.into(), events, note })
}

/// Returns whether a policy allows to delete any event of a topic, or the topic.
pub(crate) fn is_over(head: &TopicRecord, policy: &EventPolicy) -> bool {
    let events = head.next - head.first;
    let old = |time: Timestamp| policy.published_before.is_some_and(|before| time < before);
    policy.keep.is_some_and(|keep| events > keep) || if events > 0 { old(head.first_at) } else { old(head.last_at) }
}

/// Deletes the oldest events of a topic, at most `limit`, and the topic if it is empty and old.
/// Counts and announces events that a subscription had not received as lost.
pub(crate) fn expire(
    commit: &mut WriteTx<'_, '_>,
    topic: &Topic,
    policy: &EventPolicy,
    limit: usize,
    now: Timestamp,
) -> Result<ExpiredEvents> {
    let mut expired = ExpiredEvents::default();
    let Some(mut head) = topics::head(commit, topic)?.filter(|head| is_over(head, policy)) else { return Ok(expired) };
    let mut first = head.first;
    if let Some(before) = policy.published_before {
        first = topics::at_time(commit, topic, &head, before)?;
    }
    if let Some(keep) = policy.keep {
        first = first.max(head.next.saturating_sub(keep));
    }
    let max = head.first.saturating_add(limit as u64);
    expired.more = first > max;
    first = first.clamp(head.first, head.next).min(max);
    let ends = first == head.next && policy.published_before.is_some_and(|before| head.last_at < before);
    for subscription in all(commit)? {
        if !subscription.topic.matches(topic) {
            continue;
        }
        let stands = position(commit, &subscription, topic, &head)?.clamp(head.first, head.next);
        let (key, lost) = (place(&subscription, topic), first.saturating_sub(stands));
        if lost > 0 {
            expired.lost += lost;
            announce(commit, &subscription, Some(topic), "lost", lost, now)?;
            write(commit, &Subscription { lost: subscription.lost + lost, ..subscription })?;
            commit.put_record(CURSORS, &key, &first)?;
        }
        if ends {
            commit.delete(CURSORS, &key);
        }
    }
    for position in head.first..first {
        topics::delete_event(commit, topic, position)?;
    }
    expired.events = first - head.first;
    head.first = first;
    if ends {
        topics::end(commit, topic)?;
        return Ok(expired);
    }
    if let Some(oldest) = topics::from(commit, topic, first, 1)?.first() {
        head.first_at = oldest.at;
    }
    topics::put_head(commit, topic, &head)?;
    Ok(expired)
}

/// Deletes a topic, or the oldest part of its events if they exceed one commit. The result shows
/// whether more are left.
pub(crate) fn delete_topic(commit: &mut WriteTx<'_, '_>, topic: &Topic, now: Timestamp) -> Result<ExpiredEvents> {
    if topics::head(commit, topic)?.is_none() {
        return Err(StoreError::NotFound { kind: "topic", name: topic.to_string() });
    }
    // All events, and the topic, are older than the end of time.
    let policy = EventPolicy { published_before: Some(Timestamp::from_millis(u64::MAX)), keep: None };
    expire(commit, topic, &policy, PIECE, now)
}

fn all(store: &impl ReadTx) -> Result<Vec<Subscription>> {
    let found = store.range(SUBSCRIPTIONS, prefix_range(&[]), false, usize::MAX)?;
    found.iter().map(|(_, bytes)| decode(SUBSCRIPTIONS, bytes)).collect()
}
