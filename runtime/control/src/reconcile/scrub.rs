//! Scrubs on schedule: reads and verifies all stored data, so that damage is found while a sound
//! backup still exists. The store decides how a scrub runs alongside other work.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidemill_core::clock::Stopwatch;
use tidemill_core::{Code, ComponentDigest, Timestamp};
use tidemill_engine::EngineError;
use tidemill_store::StoreError;
use tidemill_store::records::{PageRequest, Scrub};

use crate::control_plane::HostState;
use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};

/// Maximum delay of the first scrub after a start, and of the next one after a failure, in
/// milliseconds.
const SOON: u64 = 600_000;
/// Number of module versions per page.
const PAGE: usize = 1_000;

/// The loop that scrubs.
pub(crate) struct ScrubReconciler {
    host: Arc<HostState>,
    every: u64,
}

/// The times and results of scrubs.
#[derive(Debug)]
pub(crate) struct ScrubStatus(Mutex<ScrubTimes>);

#[derive(Debug)]
struct ScrubTimes {
    /// The last scrub that found everything sound.
    last: Option<Scrub>,
    /// The last scrub of the index alone.
    index: Option<Scrub>,
    /// The earliest time of the next scrub.
    not_before: Timestamp,
}

impl ScrubStatus {
    /// Returns the status of a host that starts at `now` and whose store remembers `last`.
    pub(crate) fn new(last: Option<Scrub>, now: Timestamp, every: Option<Duration>) -> Self {
        let delay = every.map_or(SOON, |every| millis(every).min(SOON));
        Self(Mutex::new(ScrubTimes { last, index: None, not_before: now.plus_millis(delay) }))
    }

    /// Returns the last scrub that found its data sound, of everything or of the index alone.
    pub(crate) fn last(&self) -> Option<Scrub> {
        let known = self.known();
        known.last.into_iter().chain(known.index).max_by_key(|scrub| scrub.at)
    }

    /// Returns when the next scrub is due, with `every` milliseconds between. A last scrub in the
    /// future means that the clock was set back, and is ignored.
    fn due(&self, every: u64, now: Timestamp) -> Timestamp {
        let known = self.known();
        let last = known.last.filter(|last| last.at <= now);
        last.map_or(known.not_before, |last| last.at.plus_millis(every).max(known.not_before))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, ScrubTimes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostState {
    /// Records a scrub that the store made by itself after an unclean stop. It reads only the
    /// index, so the next full scrub is due all the same.
    pub(crate) async fn note_index_scrub(&self, now: Timestamp) -> Result<(), StoreError> {
        let Some(scrub) = self.store.index_scrub(now).await? else { return Ok(()) };
        let before = self.scrubs.known().index.replace(scrub);
        if before != Some(scrub) {
            // A result of an earlier process was counted there.
            if scrub.at == now {
                self.metrics.host.count_scrub("index", "sound");
            }
            self.metrics.host.scrubbed(scrub.at);
        }
        Ok(())
    }
}

impl ScrubReconciler {
    /// Returns the loop; `None` if scrubs are disabled.
    pub(crate) fn new(host: &Arc<HostState>) -> Option<Self> {
        let every = host.config.scrub_every?;
        Some(Self { host: Arc::clone(host), every: millis(every) })
    }
}

impl Reconciler for ScrubReconciler {
    const NAME: &'static str = "scrub";

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let scrubs = &self.host.scrubs;
        let report = |at| Ok(TickReport { found: 0, done: 0, failed: 0, next: NextTick::At(at) });
        let due = scrubs.due(self.every, now);
        if now < due {
            return report(due);
        }
        let scrubbed = tokio::select! {
            scrubbed = self.scrub(now) => scrubbed,
            () = self.host.closing() => Err(StoreError::Closed),
        };
        match scrubbed {
            Ok((scrub, 0)) => {
                tracing::info!(records = scrub.records, bytes = scrub.bytes, "scrub found the store sound");
                self.host.metrics.host.scrubbed(scrub.at);
                self.host.metrics.host.count_scrub("all", "sound");
                scrubs.known().last = Some(scrub);
                report(scrubs.due(self.every, now))
            }
            Ok((_, damaged)) => {
                tracing::error!(damaged, code = %Code::StoreDamaged, "components are damaged; upload them again");
                self.host.metrics.host.store_damaged.set(1);
                self.host.metrics.host.count_scrub("all", "damaged");
                let again = now.plus_millis(self.every);
                scrubs.known().not_before = again;
                report(again)
            }
            Err(StoreError::Closed) => report(now.plus_millis(self.every)),
            Err(error) => {
                // Damage has made the store read-only, so another scrub finds nothing new.
                let damaged = matches!(error, StoreError::Damaged { .. });
                tracing::error!(%error, code = %error.code(), "scrub failed");
                self.host.metrics.host.store_damaged.set(i64::from(damaged));
                self.host.metrics.host.count_scrub("all", if damaged { "damaged" } else { "failed" });
                self.host.metrics.store_errors.inc();
                let again = now.plus_millis(if damaged { self.every } else { self.every.min(SOON) });
                scrubs.known().not_before = again;
                report(again)
            }
        }
    }

    async fn woken(&self) {
        std::future::pending().await
    }
}

impl ScrubReconciler {
    /// Reads all bytes of the components, then all data of the store. Also returns the number of
    /// damaged components.
    async fn scrub(&self, now: Timestamp) -> Result<(Scrub, usize), StoreError> {
        let mut damaged = 0;
        for component in self.components().await? {
            let watch = Stopwatch::start();
            let verified = self.host.guests.verify(component).await;
            // Like the store's own scrub, use at most a quarter of one core.
            tokio::time::sleep(watch.elapsed() * 3).await;
            match verified {
                Ok(()) => {}
                // It was removed after the list was read.
                Err(EngineError::NotFound(_)) if self.host.store.component(&component).await?.is_none() => {}
                Err(error) => {
                    tracing::error!(%component, %error, code = %error.code(), "component failed verification");
                    damaged += 1;
                }
            }
        }
        Ok((self.host.store.scrub(now).await?, damaged))
    }

    async fn components(&self) -> Result<BTreeSet<ComponentDigest>, StoreError> {
        let mut all = BTreeSet::new();
        let mut page = PageRequest::first(PAGE);
        loop {
            let found = self.host.store.modules(page).await?;
            all.extend(found.items.into_iter().map(|version| version.digest));
            match found.next {
                Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: PAGE },
                None => return Ok(all),
            }
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
