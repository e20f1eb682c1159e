//! The loop that sends notifications: one task for each channel with something to send.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_core::alerts::{AlertConfig, Notification};
use tidemill_core::{ChannelName, Timestamp};
use tidemill_store::StoreError;
use tidemill_store::records::NotificationOutcome;

use crate::alerts::AlertMonitor;
use crate::alerts::message::AlertMessage;
use crate::alerts::send::{REFUSED_TRIES, SendFailure};
use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::state::{ControlPlane, HostState};

/// The loop that sends notifications.
pub(crate) struct NotificationReconciler {
    host: Arc<HostState>,
}

impl NotificationReconciler {
    pub(crate) fn new(host: &Arc<HostState>) -> Self {
        Self { host: Arc::clone(host) }
    }
}

#[async_trait]
impl Reconciler for NotificationReconciler {
    fn name(&self) -> &'static str {
        "notifications"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let counts = self.host.store.waiting_counts().await?;
        let (found, mut done, mut next) = (counts.len(), 0, NextTick::OnWake);
        for (channel, _) in counts {
            let (begins, sending, not_before) = {
                let mut queues = self.host.alerts.queues.lock();
                let queue = queues.entry(channel.clone()).or_default();
                let begins = queue.begin(now);
                (begins, queue.is_sending(), queue.not_before)
            };
            if begins {
                done += 1;
                spawn(&self.host, channel);
            } else if !sending {
                // The end of a task wakes the loop.
                next = match next {
                    NextTick::At(at) => NextTick::At(at.min(not_before)),
                    _ => NextTick::At(not_before),
                };
            }
        }
        Ok(TickReport { found, done, failed: 0, next })
    }

    async fn woken(&self) {
        self.host.alerts.send_wake.notified().await;
    }
}

/// Sends what waits for a channel, on a task of its own.
fn spawn(host: &Arc<HostState>, channel: ChannelName) {
    let host = Arc::clone(host);
    let tracker = host.loops.clone();
    tracker.spawn(async move {
        let _ending = SendingEnd(&host.alerts, &channel);
        let sent = tokio::select! {
            sent = drain(&host, &channel) => sent,
            () = host.shutdown.closing.cancelled() => Ok(()),
        };
        if let Err(error) = sent {
            host.store_failures.record(&error);
            host.alerts.note_failure(&channel, &error.to_string(), host.clock.now());
        }
    });
}

/// Reports the end of a task, even if it panics.
struct SendingEnd<'a>(&'a AlertMonitor, &'a ChannelName);

impl Drop for SendingEnd<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.0.queues.lock().get_mut(self.1) {
            queue.end();
        }
        self.0.ended.notify_waiters();
        self.0.send_wake.notify_one();
    }
}

impl AlertMonitor {
    fn note_failure(&self, channel: &ChannelName, error: &str, now: Timestamp) {
        self.queues.lock().entry(channel.clone()).or_default().note_failure(error, now);
    }

    fn note_sent(&self, channel: &ChannelName, now: Timestamp) {
        self.queues.lock().entry(channel.clone()).or_default().note_sent(now);
    }
}

/// Sends the notifications of a channel in order, until none waits or one fails.
async fn drain(host: &Arc<HostState>, channel: &ChannelName) -> Result<(), StoreError> {
    while let Some(notification) = host.store.waiting_notifications(channel, 1).await?.pop() {
        let config = host.config.alerts.now();
        let outcome = try_once(host, &config, &notification).await;
        let now = host.clock.now();
        let (label, settled) = match &outcome {
            NotificationOutcome::Sent { .. } => {
                host.alerts.note_sent(channel, now);
                ("sent", true)
            }
            NotificationOutcome::Failed { error } => {
                host.alerts.note_failure(channel, error, now);
                ("failed", false)
            }
            NotificationOutcome::Dead { error, .. } => {
                tracing::error!(
                    %channel, notification = %notification.id, alert = %notification.alert, reason = error,
                    "a notification about an alert was given up"
                );
                ("dead", true)
            }
        };
        host.metrics.alerts.count(channel.as_str(), label);
        host.store.settle_notification(notification.alert, notification.id, outcome).await?;
        if !settled {
            return Ok(());
        }
    }
    Ok(())
}

/// Tries to send a notification, unless its time is over.
async fn try_once(host: &Arc<HostState>, config: &AlertConfig, notification: &Notification) -> NotificationOutcome {
    let (channel, created) = (&notification.channel, notification.created_at);
    let sent = match config.channels.get(channel) {
        Some(spec) => {
            let message = AlertMessage::new(notification, host.owner.node.as_str());
            ControlPlane(Arc::clone(host)).send_alert(channel, spec, &message).await
        }
        None => Err(SendFailure { reason: format!("there is no channel `{channel}`"), refused: false }),
    };
    let now = host.clock.now();
    match sent {
        Ok(()) => NotificationOutcome::Sent { at: now },
        Err(SendFailure { reason, refused }) => {
            let is_late = now.millis_since(created) >= config.give_up_millis;
            if is_late || (refused && notification.tries + 1 >= REFUSED_TRIES) {
                let tried = config.channels.contains_key(channel);
                NotificationOutcome::Dead { at: now, error: reason, tried }
            } else {
                NotificationOutcome::Failed { error: reason }
            }
        }
    }
}
