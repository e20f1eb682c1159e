//! Deletes expired data and continues large commits: old entries of the event feed, expired
//! idempotency keys, runs, components and events past their retention, and cancellations that did
//! not fit into one commit.

use std::sync::Arc;

use tidemill_core::Timestamp;
use tidemill_store::records::{EventPolicy, RetentionPolicy};

use crate::control_plane::{ControlPlane, HostState};
use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};

/// Interval between two passes, in milliseconds.
const INTERVAL: u64 = 60_000;
/// Maximum number of runs that one commit deletes.
const RUNS_PER_COMMIT: usize = 200;
/// Maximum number of events of one topic that one commit deletes.
const EVENTS_PER_COMMIT: usize = 250;
/// Maximum number of deleting commits per tick. The next tick continues.
const COMMITS_PER_TICK: usize = 50;
/// Maximum number of runs that one commit continues to cancel.
const CANCELS_PER_COMMIT: usize = 256;
/// Interval between two looks for such runs, in milliseconds. Finding none costs no commit.
const CANCEL_INTERVAL: u64 = 1_000;
/// Interval after a pass that left something to delete, in milliseconds.
const INTERVAL_IF_MORE: u64 = 1_000;

/// The loop that deletes expired data.
pub(crate) struct RetentionReconciler {
    host: Arc<HostState>,
}

impl RetentionReconciler {
    pub(crate) fn new(host: Arc<HostState>) -> Self {
        Self { host }
    }

    /// Deletes runs and components past their retention. Returns their number, and whether there
    /// are more.
    async fn expire(&self, now: Timestamp) -> Result<(usize, bool), ControlError> {
        let Some(retention) = self.host.config.retention else { return Ok((0, false)) };
        let kept = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
        let before = Timestamp::from_millis(now.as_millis().saturating_sub(kept));
        let ended = RetentionPolicy { ended_before: Some(before), uploaded_before: None };
        let (mut deleted, mut more) = (0, false);
        for _ in 0..COMMITS_PER_TICK {
            let expired = self.host.store.expire(ended, RUNS_PER_COMMIT).await?;
            deleted += expired.runs;
            more = expired.more;
            if !more || self.host.is_closed() {
                break;
            }
        }
        if !more {
            let unnamed = RetentionPolicy { ended_before: None, uploaded_before: Some(before) };
            // Hold the lock of changes so that no upload or deployment names a component during the
            // deletion.
            let _turn = self.host.changes.lock().await;
            let expired = self.host.store.expire(unnamed, RUNS_PER_COMMIT).await?;
            deleted += expired.components.len();
            for digest in expired.components {
                ControlPlane(Arc::clone(&self.host)).forget_component(digest).await;
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
        let config = &self.host.config;
        let before = config.event_retention.map(|kept| {
            let kept = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
            Timestamp::from_millis(now.as_millis().saturating_sub(kept))
        });
        let policy = EventPolicy { published_before: before, keep: config.events_max };
        let (mut deleted, mut lost, mut more) = (0, 0, false);
        for _ in 0..COMMITS_PER_TICK {
            let expired = self.host.store.expire_events(policy, EVENTS_PER_COMMIT, now).await?;
            deleted += expired.events;
            lost += expired.lost;
            more = expired.more;
            if !more || self.host.is_closed() {
                break;
            }
        }
        if lost > 0 {
            self.host.metrics.events_lost.inc_by(lost);
            tracing::warn!(lost, "retention removed undelivered events");
        }
        Ok((usize::try_from(deleted).unwrap_or(usize::MAX), more))
    }
}

impl Reconciler for RetentionReconciler {
    const NAME: &'static str = "housekeeping";

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        self.host.store.trim(self.host.config.feed_keep, now).await?;
        self.host.note_index_scrub(now).await?;
        self.host.recount().await?;
        if self.host.setback.found().is_some() {
            self.host.refresh_silent_schedules(now).await?;
        }
        let (deleted, more) = self.expire(now).await?;
        let (events, more_events) = self.expire_events(now).await?;
        let (deleted, more) = (deleted + events, more || more_events);
        let next = NextTick::At(now.plus_millis(if more { INTERVAL_IF_MORE } else { INTERVAL }));
        Ok(TickReport { found: deleted, done: deleted, failed: 0, next })
    }

    async fn woken(&self) {
        std::future::pending().await
    }
}

/// The loop that continues cancellations.
pub(crate) struct CancellationReconciler {
    host: Arc<HostState>,
}

impl CancellationReconciler {
    pub(crate) fn new(host: Arc<HostState>) -> Self {
        Self { host }
    }
}

impl Reconciler for CancellationReconciler {
    const NAME: &'static str = "cancels";

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let (more, caused) = self.host.store.drain_cancels(CANCELS_PER_COMMIT, now).await?;
        let found = caused.cancelling.len() + caused.settled.len();
        self.host.apply_effects(caused);
        let next = if more { NextTick::Now } else { NextTick::At(now.plus_millis(CANCEL_INTERVAL)) };
        Ok(TickReport { found, done: found, failed: 0, next })
    }

    async fn woken(&self) {
        std::future::pending().await
    }
}
