//! Deletes expired data: old entries of the event feed, expired idempotency keys, and runs,
//! components and events past their retention. Also checks periodically what no event announces.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_core::Timestamp;
use tidemill_core::delivery::{DEAD_NOTICE_MILLIS, RETENTION_MILLIS};
use tidemill_store::Store;
use tidemill_store::records::{DeliveryPolicy, EventPolicy, RetentionPolicy};
use tokio_util::sync::CancellationToken;

use crate::config::HostConfig;
use crate::deployment::active::DeploymentRegistry;
use crate::deployment::changes::DeploymentChanges;
use crate::deployment::component_files::remove_component;
use crate::error::ControlError;
use crate::guests::GuestExecutor;
use crate::metrics::Metrics;
use crate::reconcile::scrub_status::ScrubStatus;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::schedule::monitor::ScheduleMonitor;
use crate::state::HostState;

/// Interval between two passes, in milliseconds.
const INTERVAL: u64 = 60_000;
/// Maximum number of runs that one commit deletes.
const RUNS_PER_COMMIT: usize = 200;
/// Maximum number of events of one topic that one commit deletes.
const EVENTS_PER_COMMIT: usize = 250;
/// Maximum number of deliveries that one tick deletes or announces.
const DELIVERIES_PER_TICK: usize = 10_000;
/// Maximum number of journals and deliveries that one tick deletes as evidence that is old enough.
const EVIDENCE_PER_TICK: usize = 10_000;
/// Maximum number of deleting commits per tick. The next tick continues.
const COMMITS_PER_TICK: usize = 50;
/// Interval after a pass that left something to delete, in milliseconds.
const INTERVAL_IF_MORE: u64 = 1_000;

/// The loop that deletes expired data.
pub(crate) struct RetentionReconciler {
    config: Arc<HostConfig>,
    store: Arc<dyn Store>,
    guests: Arc<dyn GuestExecutor>,
    deployments: Arc<DeploymentRegistry>,
    changes: Arc<DeploymentChanges>,
    schedules: Arc<ScheduleMonitor>,
    scrubs: Arc<ScrubStatus>,
    metrics: Arc<Metrics>,
    closing: CancellationToken,
}

impl RetentionReconciler {
    pub(crate) fn new(host: &HostState) -> Self {
        Self {
            config: Arc::clone(&host.config),
            store: Arc::clone(&host.store),
            guests: Arc::clone(&host.guests),
            deployments: Arc::clone(&host.deployments),
            changes: Arc::clone(&host.changes),
            schedules: Arc::clone(&host.schedules),
            scrubs: Arc::clone(&host.scrubs),
            metrics: Arc::clone(&host.metrics),
            closing: host.shutdown.closing.clone(),
        }
    }

    /// Deletes runs and components past their retention. Returns their number, and whether there
    /// are more.
    async fn expire(&self, now: Timestamp) -> Result<(usize, bool), ControlError> {
        let Some(retention) = self.config.retention else { return Ok((0, false)) };
        let kept = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
        let before = Timestamp::from_millis(now.as_millis().saturating_sub(kept));
        let ended = RetentionPolicy { ended_before: Some(before), uploaded_before: None };
        let (mut deleted, mut more) = (0, false);
        for _ in 0..COMMITS_PER_TICK {
            let expired = self.store.expire(ended, RUNS_PER_COMMIT).await?;
            deleted += expired.runs;
            more = expired.more;
            if !more || self.closing.is_cancelled() {
                break;
            }
        }
        if !more {
            let unnamed = RetentionPolicy { ended_before: None, uploaded_before: Some(before) };
            // Hold the lock of changes so that no upload or deployment names a component during the
            // deletion.
            let _turn = self.changes.lock().await;
            let expired = self.store.expire(unnamed, RUNS_PER_COMMIT).await?;
            deleted += expired.components.len();
            for digest in expired.components {
                remove_component(&*self.guests, &self.config.components_dir, digest).await;
            }
        }
        if deleted > 0 {
            tracing::info!(deleted, "retention removed expired records");
        }
        Ok((deleted, more))
    }

    /// Deletes events past their retention or above the maximum of a topic. Returns their number,
    /// and whether there are more.
    async fn expire_events(&self, now: Timestamp) -> Result<(usize, bool), ControlError> {
        let config = &self.config;
        let before = config.event_retention.map(|kept| {
            let kept = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
            Timestamp::from_millis(now.as_millis().saturating_sub(kept))
        });
        let policy = EventPolicy { published_before: before, keep: config.events_max };
        let (mut deleted, mut lost, mut more) = (0, 0, false);
        for _ in 0..COMMITS_PER_TICK {
            let expired = self.store.expire_events(policy, EVENTS_PER_COMMIT, now).await?;
            deleted += expired.events;
            lost += expired.lost;
            more = expired.more;
            if !more || self.closing.is_cancelled() {
                break;
            }
        }
        if lost > 0 {
            self.metrics.events_lost.inc_by(lost);
            tracing::warn!(lost, "retention removed undelivered events");
        }
        Ok((usize::try_from(deleted).unwrap_or(usize::MAX), more))
    }

    /// Deletes deliveries past their retention, and announces dead ones before. Returns their
    /// number, and whether there are more.
    async fn expire_deliveries(&self, now: Timestamp) -> Result<(usize, bool), ControlError> {
        let before = |age: u64| Timestamp::from_millis(now.as_millis().saturating_sub(age));
        let policy = DeliveryPolicy {
            settled_before: before(RETENTION_MILLIS),
            dead_before: before(RETENTION_MILLIS - DEAD_NOTICE_MILLIS),
        };
        let expired = self.store.expire_deliveries(policy, DELIVERIES_PER_TICK, now).await?;
        if expired.announced > 0 {
            tracing::warn!(deliveries = expired.announced, "dead deliveries will be removed in 7 days");
        }
        Ok((expired.deleted, expired.more))
    }
}

#[async_trait]
impl Reconciler for RetentionReconciler {
    fn name(&self) -> &'static str {
        "housekeeping"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        self.store.trim(self.config.feed_keep, now).await?;
        self.scrubs.note_index_scrub(&*self.store, &self.metrics, now).await?;
        self.deployments.recount(&*self.store, &self.metrics).await?;
        if self.schedules.setback.found().is_some() {
            self.schedules.refresh_silent_schedules(now).await?;
        }
        let (deleted, more) = self.expire(now).await?;
        let (events, more_events) = self.expire_events(now).await?;
        let (deliveries, more_deliveries) = self.expire_deliveries(now).await?;
        let evidence = self.store.expire_evidence(now, EVIDENCE_PER_TICK).await?;
        let deleted = deleted + events + deliveries + evidence.removed;
        let more = more || more_events || more_deliveries || evidence.more;
        let next = NextTick::At(now.plus_millis(if more { INTERVAL_IF_MORE } else { INTERVAL }));
        Ok(TickReport { found: deleted, done: deleted, failed: 0, next })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{LoopFixture, START};

    #[tokio::test]
    async fn a_tick_deletes_ended_runs_past_their_retention_and_no_others() {
        let fixture = LoopFixture::with(json!({})).await;
        let (ended, queued) = (fixture.queue().await, fixture.queue().await);
        fixture.control().cancel(ended.id, false).await.unwrap();
        let retention = RetentionReconciler::new(&fixture.host);
        let report = retention.tick(START).await.unwrap();
        let next = NextTick::At(START.plus_millis(INTERVAL));
        assert_eq!(report, TickReport { found: 0, done: 0, failed: 0, next });
        let late = START.plus_millis(2 * 3_600_000);
        fixture.clock.set(late);
        assert_eq!(retention.tick(late).await.unwrap().done, 1);
        assert_eq!(fixture.runs().await.iter().map(|run| run.id).collect::<Vec<_>>(), [queued.id]);
    }
}
