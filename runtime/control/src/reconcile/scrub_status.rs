//! The times and results of scrubs.

use std::time::Duration;

use parking_lot::Mutex;
use tidemill_core::Timestamp;
use tidemill_store::records::Scrub;
use tidemill_store::{Store, StoreError};

use crate::metrics::Metrics;

/// Maximum delay of the first scrub after a start, and of the next one after a failure, in
/// milliseconds.
pub(crate) const SOON: u64 = 600_000;

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
        let known = self.0.lock();
        known.last.into_iter().chain(known.index).max_by_key(|scrub| scrub.at)
    }

    /// Returns when the next scrub is due, with `every` milliseconds between. A last scrub in the
    /// future means that the clock was set back, and is ignored.
    pub(crate) fn due(&self, every: u64, now: Timestamp) -> Timestamp {
        let known = self.0.lock();
        let last = known.last.filter(|last| last.at <= now);
        last.map_or(known.not_before, |last| last.at.plus_millis(every).max(known.not_before))
    }

    /// Records a scrub that the store made by itself after an unclean stop. It reads only the
    /// index, so the next full scrub is due all the same.
    pub(crate) async fn note_index_scrub(
        &self,
        store: &dyn Store,
        metrics: &Metrics,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(scrub) = store.index_scrub(now).await? else { return Ok(()) };
        let before = self.0.lock().index.replace(scrub);
        if before != Some(scrub) {
            // A result of an earlier process was counted there.
            if scrub.at == now {
                metrics.host.count_scrub("index", "sound");
            }
            metrics.host.scrubbed(scrub.at);
        }
        Ok(())
    }

    /// Records a scrub that found everything sound.
    pub(crate) fn note_sound(&self, scrub: Scrub) {
        self.0.lock().last = Some(scrub);
    }

    /// Delays the next scrub to `at`.
    pub(crate) fn delay(&self, at: Timestamp) {
        self.0.lock().not_before = at;
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
