//! Subscriptions: the position of each in every topic, and the delivery of events in one commit.
//!
//! A subscription continues at its stored position in a topic. Without one it starts after the
//! commit that created the subscription, so creating a subscription writes no row for each topic.
//! Positions sort by subscription, so those of one are one range.

use async_trait::async_trait;
use tidemill_core::topics::SubscriptionStart;
use tidemill_core::{DeploymentName, RunId, SubscriptionName, Timestamp, Topic};

use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{CURSORS, SUBSCRIPTIONS, name_key};
use crate::embedded::topics::{self, TopicRecord};
use crate::embedded::tx::{ReadTx, WriteTx};
use crate::embedded::{deployments, runs, value};
use crate::error::{Result, StoreError};
use crate::records::{
    DeliveryCommit, Deployment, FeedEvent, NewRun, Page, PageRequest, Pause, RunRequestResult, Subscription,
    SubscriptionChange, SubscriptionLag,
};
use crate::traits::SubscriptionStore;

#[async_trait]
impl SubscriptionStore for EmbeddedStore {
    async fn subscriptions(
        &self,
        deployment: Option<&DeploymentName>,
        page: PageRequest,
    ) -> Result<Page<Subscription>> {
        let prefix = deployment.map(|name| name_key(name.as_str(), &[])).unwrap_or_default();
        self.latest().record_page(SUBSCRIPTIONS, &prefix, false, &page)
    }

    async fn subscription(&self, deployment: &DeploymentName, name: &SubscriptionName) -> Result<Option<Subscription>> {
        get(self.latest(), deployment, name)
    }

    async fn subscription_lag(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        topic: &Topic,
    ) -> Result<Option<SubscriptionLag>> {
        lag_in(&self.snapshot(), deployment, name, topic)
    }

    async fn lag(&self, subscription: &Subscription) -> Result<u64> {
        let store = self.snapshot();
        let mut waiting = 0;
        for (topic, head) in topics::matching(&store, &subscription.topic)? {
            waiting += head.next - position(&store, subscription, &topic, &head)?.clamp(head.first, head.next);
        }
        Ok(waiting)
    }

    async fn pause_subscription(
        &self,
        deployment: &DeploymentName,
        name: &SubscriptionName,
        pause: Option<Pause>,
        now: Timestamp,
    ) -> Result<Subscription> {
        let (deployment, name) = (deployment.clone(), name.clone());
        self.commit(move |c| self::pause(c, &deployment, &name, pause, now)).await
    }

    async fn deliver(&self, delivery: DeliveryCommit) -> Result<bool> {
        let long = value::long(delivery.runs.iter().map(|new| &new.input));
        self.commit_with(long, move |c| self::deliver(c, &delivery)).await
    }

    async fn skip(&self, deployment: &DeploymentName, name: &SubscriptionName, now: Timestamp) -> Result<u64> {
        let (deployment, name) = (deployment.clone(), name.clone());
        self.commit(move |c| self::skip(c, &deployment, &name, now)).await
    }
}

pub(crate) fn write(commit: &mut WriteTx<'_, '_>, subscription: &Subscription) -> Result<()> {
    commit.put_record(SUBSCRIPTIONS, &key(&subscription.deployment, &subscription.name), subscription)
}

pub(crate) fn all(store: &impl ReadTx) -> Result<Vec<Subscription>> {
    store.records(SUBSCRIPTIONS, &[])
}

pub(crate) fn place(subscription: &Subscription, topic: &Topic) -> Vec<u8> {
    places(subscription, topic.as_str())
}

/// Returns the position of the first event of a topic that a subscription has not received. If that
/// event was deleted, the position is before the oldest stored event.
pub(crate) fn position(
    store: &impl ReadTx,
    subscription: &Subscription,
    topic: &Topic,
    head: &TopicRecord,
) -> Result<u64> {
    match store.record(CURSORS, &place(subscription, topic))? {
        Some(position) => Ok(position),
        None => topics::after_commit(store, topic, head, subscription.since),
    }
}

fn key(deployment: &DeploymentName, name: &SubscriptionName) -> Vec<u8> {
    name_key(deployment.as_str(), name.as_str().as_bytes())
}

fn places(Subscription { deployment, name, .. }: &Subscription, topic: &str) -> Vec<u8> {
    name_key(deployment.as_str(), &name_key(name.as_str(), topic.as_bytes()))
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

fn of(store: &impl ReadTx, deployment: &DeploymentName) -> Result<Vec<Subscription>> {
    store.records(SUBSCRIPTIONS, &name_key(deployment.as_str(), &[]))
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

/// Creates the runs of some events and advances the subscription past them; `false` if anything has
/// changed since the caller read it.
fn deliver(commit: &mut WriteTx<'_, '_>, delivery: &DeliveryCommit) -> Result<bool> {
    let DeliveryCommit { deployment, subscription: name, revision, topic, from, to, runs, last } = delivery;
    let Some(mut subscription) = get(commit, deployment, name)? else { return Ok(false) };
    let Some(parent) = deployments::get(commit, deployment)? else { return Ok(false) };
    let Some(head) = topics::head(commit, topic)? else { return Ok(false) };
    let current = position(commit, &subscription, topic, &head)?.clamp(head.first, head.next);
    let paused = parent.paused.is_some() || subscription.paused.is_some();
    if parent.revision != *revision || paused || current != *from || from >= to || *to > head.next {
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
fn skip(
    commit: &mut WriteTx<'_, '_>,
    deployment: &DeploymentName,
    name: &SubscriptionName,
    now: Timestamp,
) -> Result<u64> {
    let mut subscription = existing(commit, deployment, name)?;
    let mut skipped = 0;
    for (topic, head) in topics::matching(commit, &subscription.topic)? {
        let current = position(commit, &subscription, &topic, &head)?.clamp(head.first, head.next);
        if current < head.next {
            skipped += head.next - current;
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
fn pause(
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
