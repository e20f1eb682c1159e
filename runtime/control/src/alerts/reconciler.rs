//! The loop that takes the steps of alerts: each is committed with its notifications.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tidemill_core::alerts::{Alert, AlertChange};
use tidemill_core::{AlertId, Timestamp};
use tidemill_store::records::{AlertCommand, AlertCommit};

use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::state::HostState;

/// Maximum number of changes in one commit.
const CHANGES_MAX: usize = 100;
/// Maximum time between two ticks, in milliseconds: the vitals of the host are read as often.
const TICK_MAX_MILLIS: u64 = 15_000;
/// Interval between two commits of the counts of attempts, in milliseconds. A host that is killed
/// loses at most as much of them.
const SAVE_MILLIS: u64 = 300_000;
/// Interval between two removals of old alerts, in milliseconds.
const REMOVE_MILLIS: u64 = 3_600_000;
/// How long an alert is kept after it was over, in milliseconds: 30 days.
const KEEP_MILLIS: u64 = 30 * 24 * 3_600_000;

/// The loop of alerts.
pub(crate) struct AlertReconciler {
    host: Arc<HostState>,
}

impl AlertReconciler {
    pub(crate) fn new(host: &Arc<HostState>) -> Self {
        Self { host: Arc::clone(host) }
    }

    /// Whether an interval has passed since `last`, which becomes `now` then. The clock may have
    /// been set back.
    fn is_due(last: &AtomicU64, interval: u64, now: Timestamp) -> bool {
        let is_due = now.as_millis().abs_diff(last.load(Ordering::Relaxed)) >= interval;
        if is_due {
            last.store(now.as_millis(), Ordering::Relaxed);
        }
        is_due
    }

    /// Takes the steps that are due. Returns their number, and when to look again.
    async fn step(&self, now: Timestamp) -> Result<(usize, Option<Timestamp>), ControlError> {
        let host = &self.host;
        let config = host.config.alerts.now();
        host.alerts.observe_host(&config, &host.health.vitals.last(), now);
        host.alerts.observe_incidents(&config, &host.healing.open_incidents(), now);
        let (plan, left_out) = {
            let mut book = host.alerts.book();
            let deployments = host.deployments.all();
            book.prune(|name| deployments.contains_key(name), &config);
            (book.plan(&config, now, CHANGES_MAX), book.take_left_out())
        };
        if left_out > 0 {
            tracing::warn!(count = left_out, "conditions raise no alerts because too many hold at once");
        }
        let count = plan.changes.len();
        if count > 0 {
            let changes = plan.changes.into_iter().map(|change| command(change, now)).collect();
            let changed = host.store.change_alerts(changes, now).await?;
            let mut book = host.alerts.book();
            changed.into_iter().for_each(|alert| book.adopt(alert));
            drop(book);
            host.alerts.send_wake.notify_one();
        }
        Ok((count, plan.next))
    }
}

/// Returns the command that commits a change.
fn command(change: AlertChange, now: Timestamp) -> AlertCommit {
    let change = match change {
        AlertChange::Fire { holding, labels, announcement } => {
            let (id, key) = (AlertId::new(now, rand::random()), holding.key);
            tracing::warn!(
                alert = %id, rule = %key.rule, deployment = key.deployment.as_ref().map(tracing::field::display),
                reason = holding.summary, "an alert fires"
            );
            let alert = Alert::new(id, key, holding.severity, labels, &holding.summary, holding.since, now);
            AlertCommand::Fire { alert: Box::new(alert), announcement }
        }
        AlertChange::Step { id, step } => AlertCommand::Step { id, step },
    };
    AlertCommit { change, random: rand::random() }
}

#[async_trait]
impl Reconciler for AlertReconciler {
    fn name(&self) -> &'static str {
        "alerts"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let (done, next) = self.step(now).await?;
        if Self::is_due(&self.host.alerts.saved_at, SAVE_MILLIS, now) {
            self.host.save_service_histories().await?;
        }
        if Self::is_due(&self.host.alerts.removed_at, REMOVE_MILLIS, now) {
            let before = Timestamp::from_millis(now.as_millis().saturating_sub(KEEP_MILLIS));
            while self.host.store.remove_alerts(before, CHANGES_MAX).await? == CHANGES_MAX {}
        }
        let latest = now.plus_millis(TICK_MAX_MILLIS);
        let next = if done > 0 { NextTick::Now } else { NextTick::At(next.map_or(latest, |next| next.min(latest))) };
        Ok(TickReport { found: done, done, failed: 0, next })
    }

    async fn woken(&self) {
        self.host.alerts.wake.notified().await;
    }
}
