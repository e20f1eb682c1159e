//! What is forgotten in time, and what is left over from large commits: the event feed's old entries, idempotency keys whose
//! time is over, runs and components that retention gives up, cancellations that were too many for one commit.

use std::sync::Arc;

use tidemill_core::Timestamp;
use tidemill_store::records::{EventPolicy, RetentionPolicy};

use crate::control_plane::{ControlPlane, HostState};
use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};

/// How often to forget, in milliseconds.
const EVERY: u64 = 60_000;
/// Runs that one commit forgets at most.
const FORGET: usize = 200;
/// Events of one topic that one commit forgets at most.
const FORGET_EVENTS: usize = 250;
/// Commits of that kind in one look; the next look goes on.
const FORGET_COMMITS: usize = 50;
/// Runs that one commit goes on to cancel at most.
const CANCEL: usize = 256;
/// How often to look for such runs, in milliseconds; to find none costs no commit.
const CANCEL_EVERY: u64 = 1_000;
/// After so many milliseconds there is more to forget.
const FORGET_MORE: u64 = 1_000;

/// The loop that forgets.
pub(crate) struct RetentionReconciler {
    host: Arc<HostState>,
}

impl RetentionReconciler {
    pub(crate) fn new(host: Arc<HostState>) -> Self {
        Self { host }
    }

    /// Forgets what has been kept for long enough; answers how much, and whether there is more.
    async fn expire(&self, now: Timestamp) -> Result<(usize, bool), ControlError> {
        let Some(retention) = self.host.config.retention else { return Ok((0, false)) };
        let kept = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
        let before = Timestamp::from_millis(now.as_millis().saturating_sub(kept));
        let ended = RetentionPolicy { ended_before: Some(before), uploaded_before: None };
        let (mut forgotten, mut more) = (0, false);
        for _ in 0..FORGET_COMMITS {
            let expired = self.host.store.expire(ended, FORGET).await?;
            forgotten += expired.runs;
            more = expired.more;
            if !more || self.host.is_closed() {
                break;
            }
        }
        if !more {
            let unnamed = RetentionPolicy { ended_before: None, uploaded_before: Some(before) };
            // An upload or a deployment that names a component comes before or after, not between.
            let _turn = self.host.changes.lock().await;
            let expired = self.host.store.expire(unnamed, FORGET).await?;
            forgotten += expired.components.len();
            for digest in expired.components {
                ControlPlane(Arc::clone(&self.host)).forget_component(digest).await;
            }
        }
        if forgotten > 0 {
            tracing::info!(forgotten, "retention gave up what was kept for long enough");
        }
        Ok((forgotten, more))
    }

    /// Forgets events that have been kept for long enough, or are too many; answers how many, and whether there are more.
    async fn expire_events(&self, now: Timestamp) -> Result<(usize, bool), ControlError> {
        let config = &self.host.config;
        let before = config.event_retention.map(|kept| {
            let kept = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
            Timestamp::from_millis(now.as_millis().saturating_sub(kept))
        });
        let policy = EventPolicy { published_before: before, keep: config.events_max };
        let (mut forgotten, mut lost, mut more) = (0, 0, false);
        for _ in 0..FORGET_COMMITS {
            let expired = self.host.store.expire_events(policy, FORGET_EVENTS, now).await?;
            forgotten += expired.events;
            lost += expired.lost;
            more = expired.more;
            if !more || self.host.is_closed() {
                break;
            }
        }
        if lost > 0 {
            self.host.metrics.events_lost.inc_by(lost);
            tracing::warn!(lost, "events were forgotten before subscriptions were given them");
        }
        Ok((usize::try_from(forgotten).unwrap_or(usize::MAX), more))
    }
}

impl Reconciler for RetentionReconciler {
    const NAME: &'static str = "housekeeping";

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        self.host.store.trim(self.host.config.feed_keep, now).await?;
        self.host.note_index_scrub(now).await?;
        self.host.recount().await?;
        if self.host.setback.found().is_some() {
            self.host.look_for_silent_schedules(now).await?;
        }
        let (forgotten, more) = self.expire(now).await?;
        let (events, more_events) = self.expire_events(now).await?;
        let (forgotten, more) = (forgotten + events, more || more_events);
        let rest = NextTick::At(now.plus_millis(if more { FORGET_MORE } else { EVERY }));
        Ok(TickReport { found: forgotten, done: forgotten, failed: 0, rest })
    }

    async fn woken(&self) {
        std::future::pending().await
    }
}

/// The loop that goes on with cancellations.
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
        let (more, caused) = self.host.store.drain_cancels(CANCEL, now).await?;
        let found = caused.cancelling.len() + caused.settled.len();
        self.host.apply_effects(caused);
        let rest = if more { NextTick::Now } else { NextTick::At(now.plus_millis(CANCEL_EVERY)) };
        Ok(TickReport { found, done: found, failed: 0, rest })
    }

    async fn woken(&self) {
        std::future::pending().await
    }
}
