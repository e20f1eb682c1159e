//! The scrub on schedule: all that is kept is read and verified, so that damage is found while a sound backup is there still.
//! How it is done beside the work is the store's business.

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

/// A start has other things to do first, and what failed is not tried again at once. In milliseconds.
const SOON: u64 = 600_000;
/// Versions that are read at once.
const PAGE: usize = 1_000;

/// The loop that scrubs.
pub(crate) struct ScrubReconciler {
    host: Arc<HostState>,
    every: u64,
}

/// What is known of scrubs.
#[derive(Debug)]
pub(crate) struct ScrubStatus(Mutex<ScrubTimes>);

#[derive(Debug)]
struct ScrubTimes {
    /// The last that found everything sound.
    last: Option<Scrub>,
    /// The last of the index alone.
    index: Option<Scrub>,
    /// None begins before.
    not_before: Timestamp,
}

impl ScrubStatus {
    /// The host starts at `now`, and the store remembers `last`.
    pub(crate) fn new(last: Option<Scrub>, now: Timestamp, every: Option<Duration>) -> Self {
        let rest = every.map_or(SOON, |every| millis(every).min(SOON));
        Self(Mutex::new(ScrubTimes { last, index: None, not_before: now.plus_millis(rest) }))
    }

    /// The last that found what it read to be sound: everything, or the index alone.
    pub(crate) fn last(&self) -> Option<Scrub> {
        let known = self.known();
        known.last.into_iter().chain(known.index).max_by_key(|scrub| scrub.at)
    }

    /// When the next is due, with `every` milliseconds between. A last one that is yet to come says that the clock was set back.
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
    /// Takes note of a scrub that the store made by itself after an unclean stop. It reads the index alone, so the next scrub of
    /// everything is due all the same.
    pub(crate) async fn note_index_scrub(&self, now: Timestamp) -> Result<(), StoreError> {
        let Some(scrub) = self.store.index_scrub(now).await? else { return Ok(()) };
        let before = self.scrubs.known().index.replace(scrub);
        if before != Some(scrub) {
            // What an earlier process found was counted there.
            if scrub.at == now {
                self.metrics.host.count_scrub("index", "sound");
            }
            self.metrics.host.scrubbed(scrub.at);
        }
        Ok(())
    }
}

impl ScrubReconciler {
    /// None where the host is never to scrub.
    pub(crate) fn new(host: &Arc<HostState>) -> Option<Self> {
        let every = host.config.scrub_every?;
        Some(Self { host: Arc::clone(host), every: millis(every) })
    }
}

impl Reconciler for ScrubReconciler {
    const NAME: &'static str = "scrub";

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let scrubs = &self.host.scrubs;
        let rest = |at| Ok(TickReport { found: 0, done: 0, failed: 0, rest: NextTick::At(at) });
        let due = scrubs.due(self.every, now);
        if now < due {
            return rest(due);
        }
        let scrubbed = tokio::select! {
            scrubbed = self.scrub(now) => scrubbed,
            () = self.host.closing() => Err(StoreError::Closed),
        };
        match scrubbed {
            Ok((scrub, 0)) => {
                tracing::info!(records = scrub.records, bytes = scrub.bytes, "the store was scrubbed and is sound");
                self.host.metrics.host.scrubbed(scrub.at);
                self.host.metrics.host.count_scrub("all", "sound");
                scrubs.known().last = Some(scrub);
                rest(scrubs.due(self.every, now))
            }
            Ok((_, damaged)) => {
                tracing::error!(damaged, code = %Code::StoreDamaged, "components are damaged; upload them again");
                self.host.metrics.host.store_damaged.set(1);
                self.host.metrics.host.count_scrub("all", "damaged");
                let again = now.plus_millis(self.every);
                scrubs.known().not_before = again;
                rest(again)
            }
            Err(StoreError::Closed) => rest(now.plus_millis(self.every)),
            Err(error) => {
                // Damage has made the store read-only: to look again finds nothing new.
                let damaged = matches!(error, StoreError::Damaged { .. });
                tracing::error!(%error, code = %error.code(), "the scrub did not end well");
                self.host.metrics.host.store_damaged.set(i64::from(damaged));
                self.host.metrics.host.count_scrub("all", if damaged { "damaged" } else { "failed" });
                self.host.metrics.store_errors.inc();
                let again = now.plus_millis(if damaged { self.every } else { self.every.min(SOON) });
                scrubs.known().not_before = again;
                rest(again)
            }
        }
    }

    async fn woken(&self) {
        std::future::pending().await
    }
}

impl ScrubReconciler {
    /// Reads all bytes of the components, then all that the store keeps. Returns with that how many components are damaged.
    async fn scrub(&self, now: Timestamp) -> Result<(Scrub, usize), StoreError> {
        let mut damaged = 0;
        for component in self.components().await? {
            let watch = Stopwatch::start();
            let verified = self.host.guests.verify(component).await;
            // As the store's own scrub, at most a quarter of one core.
            tokio::time::sleep(watch.elapsed() * 3).await;
            match verified {
                Ok(()) => {}
                // It was removed after the list was made.
                Err(EngineError::NotFound(_)) if self.host.store.component(&component).await?.is_none() => {}
                Err(error) => {
                    tracing::error!(%component, %error, code = %error.code(), "a component did not verify");
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
