//! Scrubs on schedule: reads and verifies all stored data, so that damage is found while a sound
//! backup still exists, and checks the ledger. The store decides how a scrub runs alongside other
//! work.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use tidemill_core::clock::Stopwatch;
use tidemill_core::{Code, ComponentDigest, Timestamp};
use tidemill_engine::EngineError;
use tidemill_store::records::{PageRequest, Scrub};
use tidemill_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::error::ControlError;
use crate::guests::GuestExecutor;
use crate::metrics::Metrics;
use crate::reconcile::scrub_status::{SOON, ScrubStatus, millis};
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::state::HostState;

/// Number of module versions per page.
const PAGE: usize = 1_000;

/// The loop that scrubs.
pub(crate) struct ScrubReconciler {
    store: Arc<dyn Store>,
    guests: Arc<dyn GuestExecutor>,
    metrics: Arc<Metrics>,
    scrubs: Arc<ScrubStatus>,
    closing: CancellationToken,
    every: u64,
}

impl ScrubReconciler {
    /// Returns the loop; `None` if scrubs are disabled.
    pub(crate) fn new(host: &HostState) -> Option<Self> {
        Some(Self {
            every: millis(host.config.scrub_every?),
            store: Arc::clone(&host.store),
            guests: Arc::clone(&host.guests),
            metrics: Arc::clone(&host.metrics),
            scrubs: Arc::clone(&host.scrubs),
            closing: host.shutdown.closing.clone(),
        })
    }
}

#[async_trait]
impl Reconciler for ScrubReconciler {
    fn name(&self) -> &'static str {
        "scrub"
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let scrubs = &self.scrubs;
        let report = |at| Ok(TickReport { found: 0, done: 0, failed: 0, next: NextTick::At(at) });
        let due = scrubs.due(self.every, now);
        if now < due {
            return report(due);
        }
        let scrubbed = tokio::select! {
            scrubbed = self.scrub_and_check(now) => scrubbed,
            () = self.closing.cancelled() => Err(StoreError::Closed),
        };
        match scrubbed {
            Ok((scrub, 0)) => {
                tracing::info!(records = scrub.records, bytes = scrub.bytes, "scrub found the store sound");
                self.metrics.host.scrubbed(scrub.at);
                self.metrics.host.count_scrub("all", "sound");
                scrubs.note_sound(scrub);
                report(scrubs.due(self.every, now))
            }
            Ok((_, damaged)) => {
                tracing::error!(damaged, code = %Code::StoreDamaged, "components are damaged; upload them again");
                self.metrics.host.store_damaged.set(1);
                self.metrics.host.count_scrub("all", "damaged");
                let again = now.plus_millis(self.every);
                scrubs.delay(again);
                report(again)
            }
            Err(StoreError::Closed) => report(now.plus_millis(self.every)),
            Err(error) => {
                // Damage has made the store read-only, so another scrub finds nothing new.
                let damaged = matches!(error, StoreError::Damaged { .. });
                tracing::error!(%error, code = %error.code(), "scrub failed");
                self.metrics.host.store_damaged.set(i64::from(damaged));
                self.metrics.host.count_scrub("all", if damaged { "damaged" } else { "failed" });
                self.metrics.store_errors.inc();
                let again = now.plus_millis(if damaged { self.every } else { self.every.min(SOON) });
                scrubs.delay(again);
                report(again)
            }
        }
    }
}

impl ScrubReconciler {
    /// Scrubs everything, then checks the ledger.
    async fn scrub_and_check(&self, now: Timestamp) -> Result<(Scrub, usize), StoreError> {
        let scrubbed = self.scrub(now).await?;
        let check = self.store.check_ledger().await?;
        self.metrics.ledger.checked(now, &check);
        match check.problems.first() {
            None => tracing::info!(entries = check.entries, "the ledger is right"),
            Some(first) => {
                let problems = check.problems.len();
                tracing::error!(problems, first, entry = check.first_wrong, "the ledger differs from its entries");
            }
        }
        Ok(scrubbed)
    }

    /// Reads all bytes of the components, then all data of the store. Also returns the number of
    /// damaged components.
    async fn scrub(&self, now: Timestamp) -> Result<(Scrub, usize), StoreError> {
        let mut damaged = 0;
        for component in self.components().await? {
            let watch = Stopwatch::start();
            let verified = self.guests.verify(component).await;
            // Like the store's own scrub, use at most a quarter of one core.
            tokio::time::sleep(watch.elapsed() * 3).await;
            match verified {
                Ok(()) => {}
                // It was removed after the list was read.
                Err(EngineError::NotFound(_)) if self.store.component(&component).await?.is_none() => {}
                Err(error) => {
                    tracing::error!(%component, %error, code = %error.code(), "component failed verification");
                    damaged += 1;
                }
            }
        }
        Ok((self.store.scrub(now).await?, damaged))
    }

    async fn components(&self) -> Result<BTreeSet<ComponentDigest>, StoreError> {
        let mut all = BTreeSet::new();
        let mut page = PageRequest::first(PAGE);
        loop {
            let found = self.store.modules(page).await?;
            all.extend(found.items.into_iter().map(|version| version.digest));
            match found.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: PAGE },
                None => return Ok(all),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{LoopFixture, START};

    #[tokio::test]
    async fn a_tick_scrubs_once_it_is_due_and_then_after_the_interval() {
        let fixture = LoopFixture::with(json!({})).await;
        let scrub = ScrubReconciler::new(&fixture.host).unwrap();
        let first = START.plus_millis(SOON);
        assert_eq!(scrub.tick(START).await.unwrap().next, NextTick::At(first));
        assert_eq!(fixture.host.scrubs.last(), None);
        assert_eq!(scrub.tick(first).await.unwrap().next, NextTick::At(first.plus_millis(scrub.every)));
        assert_eq!(fixture.host.scrubs.last().unwrap().at, first);
    }
}
