//! The notifications of alerts, and the queue of each channel.

use tidemill_core::alerts::{NOTIFICATION_ERROR_BYTES, Notification, NotificationState, one_line};
use tidemill_core::{AlertId, ChannelName, NotificationId};

use crate::embedded::codec::decode;
use crate::embedded::tables::{NOTIFICATION_QUEUE, NOTIFICATIONS, name_key};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::error::{Result, StoreError};
use crate::records::NotificationOutcome;

/// Maximum number of waiting notifications of one channel.
const WAITING_MAX: usize = 1_000;

/// Builds the key of a notification under its alert.
fn key(alert: AlertId, id: NotificationId) -> Vec<u8> {
    [alert.to_bytes(), id.to_bytes()].concat()
}

/// Builds the key of a waiting notification in the queue of its channel.
fn queue_key(channel: &ChannelName, id: NotificationId) -> Vec<u8> {
    name_key(channel.as_str(), &id.to_bytes())
}

/// Adds a notification to the queue of its channel. If the queue is full, it is dead.
pub(super) fn add(commit: &mut WriteTx<'_, '_>, mut notification: Notification) -> Result<()> {
    let Notification { id, alert, created_at, .. } = notification;
    let queue = name_key(notification.channel.as_str(), &[]);
    if commit.scan_prefix(NOTIFICATION_QUEUE, &queue, WAITING_MAX)?.len() < WAITING_MAX {
        commit.put_record(NOTIFICATION_QUEUE, &queue_key(&notification.channel, id), &alert)?;
    } else {
        notification.error = format!("{WAITING_MAX} other notifications wait for the channel");
        notification.state = NotificationState::Dead { at: created_at };
    }
    commit.put_record(NOTIFICATIONS, &key(alert, id), &notification)
}

/// Returns the notifications of an alert.
pub(super) fn of_alert(store: &impl ReadTx, alert: AlertId, limit: usize) -> Result<Vec<Notification>> {
    let found = store.scan_prefix(NOTIFICATIONS, &alert.to_bytes(), limit)?;
    found.iter().map(|(_, bytes)| decode(NOTIFICATIONS, bytes)).collect()
}

/// Returns the oldest waiting notifications of a channel.
pub(super) fn waiting(store: &impl ReadTx, channel: &ChannelName, limit: usize) -> Result<Vec<Notification>> {
    let prefix = name_key(channel.as_str(), &[]);
    let mut found = Vec::new();
    for (queued, bytes) in store.scan_prefix(NOTIFICATION_QUEUE, &prefix, limit)? {
        let alert: AlertId = decode(NOTIFICATION_QUEUE, &bytes)?;
        let id = queued.get(prefix.len()..).and_then(|id| <[u8; 16]>::try_from(id).ok());
        let id = id.map(NotificationId::from_bytes).ok_or_else(damaged)?;
        found.extend(store.record::<Notification>(NOTIFICATIONS, &key(alert, id))?);
    }
    Ok(found)
}

fn damaged() -> StoreError {
    StoreError::Damaged { what: "a key of the queue of notifications is not one".to_owned() }
}

/// Returns the number of waiting notifications of each channel.
pub(super) fn counts(store: &impl ReadTx) -> Result<Vec<(ChannelName, u64)>> {
    let mut counts: Vec<(ChannelName, u64)> = Vec::new();
    store.each(NOTIFICATION_QUEUE, prefix_range(&[]), |queued, _| {
        let end = queued.len().saturating_sub(17);
        let name = queued.get(..end).and_then(|name| std::str::from_utf8(name).ok()?.parse().ok());
        let name: ChannelName = name.ok_or_else(damaged)?;
        match counts.last_mut() {
            Some((last, count)) if *last == name => *count += 1,
            _ => counts.push((name, 1)),
        }
        Ok(())
    })?;
    Ok(counts)
}

/// Records what a try led to, if the notification still waits.
pub(super) fn settle(
    commit: &mut WriteTx<'_, '_>,
    alert: AlertId,
    id: NotificationId,
    outcome: NotificationOutcome,
) -> Result<()> {
    let key = key(alert, id);
    let Some(mut notification) = commit.record::<Notification>(NOTIFICATIONS, &key)? else { return Ok(()) };
    if notification.state != NotificationState::Waiting {
        return Ok(());
    }
    let (tried, error, state) = match outcome {
        NotificationOutcome::Sent { at } => (true, String::new(), NotificationState::Sent { at }),
        NotificationOutcome::Failed { error } => (true, error, NotificationState::Waiting),
        NotificationOutcome::Dead { at, error, tried } => (tried, error, NotificationState::Dead { at }),
    };
    notification.tries = notification.tries.saturating_add(u32::from(tried));
    notification.error = one_line(&error, NOTIFICATION_ERROR_BYTES);
    notification.state = state;
    if notification.state != NotificationState::Waiting {
        commit.delete(NOTIFICATION_QUEUE, &queue_key(&notification.channel, id));
    }
    commit.put_record(NOTIFICATIONS, &key, &notification)
}

/// Removes the notifications of an alert, at most `limit`. Returns how many it removed.
pub(super) fn remove(commit: &mut WriteTx<'_, '_>, alert: AlertId, limit: usize) -> Result<usize> {
    let found = commit.scan_prefix(NOTIFICATIONS, &alert.to_bytes(), limit)?;
    for (key, bytes) in &found {
        let notification: Notification = decode(NOTIFICATIONS, bytes)?;
        commit.delete(NOTIFICATION_QUEUE, &queue_key(&notification.channel, notification.id));
        commit.delete(NOTIFICATIONS, key);
    }
    Ok(found.len())
}
