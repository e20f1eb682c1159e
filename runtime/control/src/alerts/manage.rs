//! What operators see of alerts, silences and channels, and what they do to them.

use tidemill_core::alerts::{
    Acknowledgement, Alert, AlertEvent, AlertKey, AlertSeverity, AlertState, ChannelSpec, NewSilence, NoticeKind,
    Notification, NotificationState, Silence,
};
use tidemill_core::{AlertId, ChannelName, Code, NotificationId, SilenceId, Timestamp};
use tidemill_store::StoreError;
use tidemill_store::records::{AlertFilter, Page, PageRequest};

use crate::alerts::message::AlertMessage;
use crate::error::ControlError;
use crate::run_to_completion::run_to_completion;
use crate::state::ControlPlane;

/// Maximum number of notifications that are shown of an alert.
const NOTIFICATIONS_MAX: usize = 500;

/// An alert, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertView {
    /// The alert.
    pub alert: Alert,
    /// Whether a silence matches it now.
    pub silenced: bool,
}

/// A condition that holds, but not for as long as its rule requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingAlert {
    /// What it is about.
    pub key: AlertKey,
    /// How urgent the alert would be.
    pub severity: AlertSeverity,
    /// What is wrong.
    pub summary: String,
    /// Since when the condition holds.
    pub since: Timestamp,
    /// When the alert fires.
    pub fires_at: Timestamp,
}

/// A channel and its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelStatus {
    /// Its name.
    pub name: ChannelName,
    /// Its kind; `None` if the configuration does not name it any more.
    pub kind: Option<&'static str>,
    /// Where it leads, without a secret.
    pub target: String,
    /// Number of notifications that wait.
    pub waiting: u64,
    /// Number of failures in a row.
    pub failures: u32,
    /// Why the last try failed; empty if it did not.
    pub error: String,
    /// When the next try is due, after a failure.
    pub next: Option<Timestamp>,
    /// When a notification was last accepted, since the host started.
    pub sent_at: Option<Timestamp>,
}

/// The result of a test of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelTest {
    /// The channel.
    pub channel: ChannelName,
    /// The id of the message.
    pub id: NotificationId,
    /// Why it was not accepted; `None` if it was.
    pub error: Option<String>,
}

impl ControlPlane {
    /// Lists alerts that are not over, the newest first. `acknowledged` selects those that a person
    /// has or has not seen.
    #[must_use]
    pub fn open_alerts(&self, filter: &AlertFilter, acknowledged: Option<bool>, page: &PageRequest) -> Page<AlertView> {
        let (book, now) = (self.0.alerts.book(), self.0.clock.now());
        let is_wanted = |alert: &&Alert| {
            let is_seen = matches!(alert.state, AlertState::Acknowledged(_));
            filter.selects(alert) && acknowledged.is_none_or(|wanted| wanted == is_seen)
        };
        let mut found: Vec<_> = book.alerts().filter(is_wanted).collect();
        found.sort_unstable_by_key(|alert| std::cmp::Reverse(alert.id));
        let cursor = page.cursor.as_ref().and_then(|place| <[u8; 16]>::try_from(place.as_slice()).ok());
        let before = cursor.map(AlertId::from_bytes);
        let mut rest = found.into_iter().filter(|alert| before.is_none_or(|before| alert.id < before));
        let view = |alert: &Alert| AlertView {
            silenced: book.is_silenced(&alert.key, alert.severity, now),
            alert: alert.clone(),
        };
        let items: Vec<_> = rest.by_ref().take(page.limit).map(view).collect();
        let next = rest.next().and_then(|_| items.last()).map(|last| last.alert.id.to_bytes().to_vec());
        Page { items, next }
    }

    /// Lists alerts that are over, the last one first.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn resolved_alerts(
        &self,
        filter: AlertFilter,
        page: PageRequest,
    ) -> Result<Page<AlertView>, ControlError> {
        let Page { items, next } = self.0.store.resolved_alerts(filter, page).await?;
        let items = items.into_iter().map(|alert| AlertView { alert, silenced: false }).collect();
        Ok(Page { items, next })
    }

    /// Lists conditions that hold, but not for as long as their rules require, by key.
    #[must_use]
    pub fn pending_alerts(&self, filter: &AlertFilter, page: &PageRequest) -> Page<PendingAlert> {
        let (config, book) = (self.0.config.alerts.now(), self.0.alerts.book());
        let after = page.cursor.as_deref();
        let mut found = book.pending().filter_map(|(key, condition)| {
            let rule = config.rule(key)?;
            let is_wanted = filter.rule.as_ref().is_none_or(|rule| *rule == key.rule)
                && filter.deployment.as_ref().is_none_or(|name| key.deployment.as_ref() == Some(name))
                && filter.severity.is_none_or(|severity| severity == condition.severity)
                && after.is_none_or(|after| place_of(key).as_slice() > after);
            is_wanted.then(|| PendingAlert {
                key: key.clone(),
                severity: condition.severity,
                summary: condition.summary.clone(),
                since: condition.since,
                fires_at: condition.since.plus_millis(rule.duration_millis),
            })
        });
        let items: Vec<_> = found.by_ref().take(page.limit).collect();
        let next = found.next().and_then(|_| items.last()).map(|last| place_of(&last.key));
        Page { items, next }
    }

    /// Returns an alert with its first notifications.
    ///
    /// # Errors
    /// `host/alert-not-found`; errors of the store.
    pub async fn alert(&self, id: AlertId) -> Result<(AlertView, Vec<Notification>), ControlError> {
        let alert = self.0.store.alert(id).await?.ok_or_else(|| no_alert(id))?;
        let notifications = self.0.store.notifications(id, NOTIFICATIONS_MAX).await?;
        let now = self.0.clock.now();
        let silenced = alert.is_open() && self.0.alerts.book().is_silenced(&alert.key, alert.severity, now);
        Ok((AlertView { alert, silenced }, notifications))
    }

    /// Records that a person has seen an alert, so that it is neither repeated nor escalated. If
    /// one has seen it before, returns it as it is.
    ///
    /// # Errors
    /// `host/alert-not-found`, `host/alert-resolved`; errors of the store.
    pub async fn acknowledge_alert(&self, id: AlertId, actor: String, note: String) -> Result<AlertView, ControlError> {
        let host = std::sync::Arc::clone(&self.0);
        run_to_completion(async move {
            let acknowledgement = Acknowledgement { at: host.clock.now(), actor, note };
            let alert = host.store.acknowledge_alert(id, acknowledgement).await.map_err(|error| match error {
                StoreError::NotFound { .. } => no_alert(id),
                error => error.into(),
            })?;
            let now = host.clock.now();
            let mut book = host.alerts.book();
            book.refresh(alert.clone());
            Ok(AlertView { silenced: book.is_silenced(&alert.key, alert.severity, now), alert })
        })
        .await
    }

    /// Returns the silences that have not ended, by creation time.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn silences(&self) -> Result<Vec<Silence>, ControlError> {
        let now = self.0.clock.now();
        let all = self.0.store.silences().await?;
        Ok(all.into_iter().filter(|silence| now < silence.ends_at).collect())
    }

    /// Adds a silence.
    ///
    /// # Errors
    /// `host/bad-field` if it matches everything, or has no valid end; `host/limit-silences`;
    /// errors of the store.
    pub async fn add_silence(&self, new: NewSilence) -> Result<Silence, ControlError> {
        let now = self.0.clock.now();
        let silence = Silence::new(SilenceId::new(now, rand::random()), new, now)
            .map_err(|why| ControlError::refused(Code::BadField, why.to_string()))?;
        let host = std::sync::Arc::clone(&self.0);
        run_to_completion(async move {
            host.store.put_silence(silence.clone()).await?;
            host.alerts.book().add_silence(silence.clone());
            host.alerts.look_soon();
            Ok(silence)
        })
        .await
    }

    /// Deletes a silence. What it silenced is announced.
    ///
    /// # Errors
    /// `host/silence-not-found`; errors of the store.
    pub async fn delete_silence(&self, id: SilenceId) -> Result<(), ControlError> {
        let host = std::sync::Arc::clone(&self.0);
        run_to_completion(async move {
            let existed = host.store.delete_silence(id).await?;
            host.alerts.book().remove_silence(id);
            host.alerts.look_soon();
            let missing = || ControlError::refused(Code::SilenceNotFound, format!("there is no silence {id}"));
            if existed { Ok(()) } else { Err(missing()) }
        })
        .await
    }

    /// Returns the channels with their queues, by name. A channel that the configuration does not
    /// name any more is listed while notifications wait for it.
    ///
    /// # Errors
    /// Errors of the store.
    pub async fn alert_channels(&self) -> Result<Vec<ChannelStatus>, ControlError> {
        let config = self.0.config.alerts.now();
        let counts = self.0.store.waiting_counts().await?;
        let mut names: Vec<_> = config.channels.keys().chain(counts.iter().map(|(name, _)| name)).cloned().collect();
        names.sort_unstable();
        names.dedup();
        let queues = self.0.alerts.queues.lock().clone();
        let status = |name: ChannelName| {
            let (spec, queue) = (config.channels.get(&name), queues.get(&name).cloned().unwrap_or_default());
            let waiting = counts.iter().find(|(other, _)| *other == name).map_or(0, |(_, waiting)| *waiting);
            ChannelStatus {
                kind: spec.map(ChannelSpec::kind),
                target: spec.map(ChannelSpec::target).unwrap_or_default(),
                waiting,
                failures: queue.failures,
                next: (queue.failures > 0 && waiting > 0).then_some(queue.not_before),
                error: queue.error,
                sent_at: queue.sent_at,
                name,
            }
        };
        Ok(names.into_iter().map(status).collect())
    }

    /// Sends a test message to a channel at once, and waits for its answer. Nothing is stored.
    ///
    /// # Errors
    /// `host/channel-not-found`.
    pub async fn test_alert_channel(&self, name: &ChannelName) -> Result<ChannelTest, ControlError> {
        let config = self.0.config.alerts.now();
        let missing = || ControlError::refused(Code::ChannelNotFound, format!("there is no channel `{name}`"));
        let spec = config.channels.get(name).ok_or_else(missing)?;
        let now = self.0.clock.now();
        let rule = "test".parse().map_err(|_| ControlError::refused(Code::Internal, "`test` is no name"))?;
        let notification = Notification {
            id: NotificationId::new(now, rand::random()),
            alert: AlertId::new(now, 0),
            channel: name.clone(),
            kind: NoticeKind::Firing,
            key: AlertKey { rule, deployment: None, subject: String::new() },
            severity: AlertSeverity::Ticket,
            labels: Vec::new(),
            summary: format!("This is a test of the channel `{name}`. Nothing is wrong."),
            fired_at: now,
            created_at: now,
            tries: 0,
            error: String::new(),
            state: NotificationState::Waiting,
        };
        let message = AlertMessage::test(&notification, self.0.owner.node.as_str());
        let sent = self.send_alert(name, spec, &message).await;
        Ok(ChannelTest { channel: name.clone(), id: notification.id, error: sent.err().map(|failure| failure.reason) })
    }

    /// Takes trouble that a source without a record of its own reports into account. It is kept in
    /// memory until the next commit of alerts, so that a source reports again after a restart what
    /// is still wrong. A key does not begin with `incident-`.
    pub fn report_alert(&self, event: &AlertEvent) {
        self.0.alerts.report(&self.0.config.alerts.now(), event);
    }

    /// Puts a changed configuration of alerts to use.
    pub fn apply_alerts(&self) {
        self.0.alerts.look_soon();
    }

    /// Sets the gauges of alerts. If the store cannot be read, the previous values stay.
    pub(crate) async fn measure_alerts(&self) {
        let metrics = &self.0.metrics.alerts;
        for severity in AlertSeverity::ALL {
            let count = self.0.alerts.book().alerts().filter(|alert| alert.severity == severity).count();
            metrics.set_firing(severity, count);
        }
        if let Ok(counts) = self.0.store.waiting_counts().await {
            metrics.set_waiting(&counts);
        }
    }

    /// Waits until no channel is sending. For tests.
    #[doc(hidden)]
    pub async fn alerts_idle(&self) {
        self.0.alerts.idle().await;
    }
}

/// Returns the place of a key in the list of pending alerts.
fn place_of(key: &AlertKey) -> Vec<u8> {
    let deployment = key.deployment.as_ref().map_or("", |name| name.as_str());
    format!("{}\0{deployment}\0{}", key.rule, key.subject).into_bytes()
}

fn no_alert(id: AlertId) -> ControlError {
    ControlError::refused(Code::AlertNotFound, format!("there is no alert {id}"))
}
