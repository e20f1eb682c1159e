//! What the hot path counts for the health of deployments and of the host, without waiting for a
//! lock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidemill_core::RunId;

/// Number of failed attempts that are remembered of each deployment.
const FAILURES_MAX: usize = 8;
/// Maximum length of a remembered code, in bytes.
const CODE_BYTES: usize = 128;

/// What the attempts of a deployment did since the host started.
#[derive(Debug, Default)]
pub(crate) struct HealthCounters {
    pub(crate) attempts: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Attempts that took longer than an objective of the deployment allows.
    pub(crate) slow: AtomicU64,
    pub(crate) busy_micros: AtomicU64,
    pub(crate) fuel: AtomicU64,
    pub(crate) dead_deliveries: AtomicU64,
    /// The maximum memory that an attempt used since it was last read, in bytes.
    pub(crate) peak_memory: AtomicU64,
    /// The last runs with a failed attempt, each with the code of its failure.
    failures: Mutex<VecDeque<(RunId, String)>>,
}

impl HealthCounters {
    /// Counts an attempt that has ended. `within_millis` is how long it may take by an objective.
    pub(crate) fn count_attempt(
        &self,
        failed: bool,
        took: Duration,
        within_millis: Option<u64>,
        fuel: u64,
        peak_memory: u64,
    ) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        if failed {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        if within_millis.is_some_and(|within| took > Duration::from_millis(within)) {
            self.slow.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.busy_micros.fetch_add(micros, Ordering::Relaxed);
        self.fuel.fetch_add(fuel, Ordering::Relaxed);
        // Most runs need no more than an earlier one, and then nothing is written.
        if self.peak_memory.load(Ordering::Relaxed) < peak_memory {
            self.peak_memory.fetch_max(peak_memory, Ordering::Relaxed);
        }
    }

    /// Remembers a failed attempt as evidence. If another thread is doing so, this one is left out.
    pub(crate) fn remember_failure(&self, run: RunId, code: &str) {
        if let Some(mut failures) = self.failures.try_lock() {
            if failures.len() == FAILURES_MAX {
                failures.pop_front();
            }
            failures.push_back((run, code[..code.floor_char_boundary(CODE_BYTES)].to_owned()));
        }
    }

    /// Returns the last failed attempts, the newest last.
    pub(crate) fn last_failures(&self) -> Vec<(RunId, String)> {
        self.failures.lock().iter().cloned().collect()
    }

    /// Counts a delivery whose run was parked.
    pub(crate) fn count_dead_delivery(&self) {
        self.dead_deliveries.fetch_add(1, Ordering::Relaxed);
    }
}

/// Time that commits took, which each commit adds to.
#[derive(Debug, Default)]
pub(crate) struct CommitTime {
    commits: AtomicU64,
    micros: AtomicU64,
}

impl CommitTime {
    pub(crate) fn add(&self, took: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns the number of commits, and their time in microseconds.
    pub(crate) fn read(&self) -> (u64, u64) {
        (self.commits.load(Ordering::Relaxed), self.micros.load(Ordering::Relaxed))
    }
}
