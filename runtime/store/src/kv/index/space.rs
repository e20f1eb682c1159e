//! The known size of the index and of its records, and the state of the index's rewriting.

use std::thread::JoinHandle;

use parking_lot::{Mutex, MutexGuard};
use tidemill_core::clock::Stopwatch;

use crate::kv::commit::mvcc::DurableState;

/// The sound records that a scrub found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrubResult {
    /// Number of verified records.
    pub records: u64,
    /// Size of these records in bytes, keys included.
    pub bytes: u64,
}

/// The disk space that the index takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexSpace {
    /// Bytes of all records with their keys; `None` until they are counted.
    pub live_bytes: Option<u64>,
    /// Bytes of the index's files.
    pub used_bytes: u64,
    /// Free bytes of the disk; `None` if they cannot be read.
    pub free_bytes: Option<u64>,
    /// Free bytes below which the store refuses to write.
    pub reserve_bytes: u64,
}

/// The known size of the index, and the state of its rewriting.
#[derive(Default)]
pub(in crate::kv) struct SpaceTracker {
    state: Mutex<SpaceState>,
    /// Held by the thread that rewrites.
    pub rewriting: Mutex<()>,
}

#[derive(Default)]
pub(in crate::kv) struct SpaceState {
    /// Bytes of all records when the store was opened.
    base: Option<i64>,
    /// Number of running scrubs. A scrub also counts the bytes.
    pub scrubs: usize,
    /// The thread that rewrites or counts.
    pub thread: Option<JoinHandle<()>>,
    /// Time since the last attempt.
    pub tried: Option<Stopwatch>,
    /// The size of the index after its last rewrite. There is no new attempt before it has grown by
    /// half.
    pub smallest: u64,
}

impl SpaceTracker {
    pub fn state(&self) -> MutexGuard<'_, SpaceState> {
        self.state.lock()
    }

    /// Records that a scrub is running, until the guard is dropped.
    pub fn scrubs(&self) -> ScrubGuard<'_> {
        self.state().scrubs += 1;
        ScrubGuard(self)
    }

    /// Sets the bytes that all records had when the store was opened.
    pub fn set_base(&self, base: Option<i64>) {
        self.state().base = base;
    }

    /// Returns the bytes of all records after a group.
    pub fn live_bytes(&self, durable: &DurableState) -> Option<u64> {
        let base = self.state().base?;
        Some(u64::try_from(base.saturating_add(durable.grown_bytes)).unwrap_or_default())
    }

    /// Takes the thread that rewrites or counts, so that the caller can wait for it.
    pub fn take_rewriting(&self) -> Option<JoinHandle<()>> {
        self.state().thread.take()
    }
}

/// A running scrub.
pub(in crate::kv) struct ScrubGuard<'a>(&'a SpaceTracker);

impl Drop for ScrubGuard<'_> {
    fn drop(&mut self) {
        self.0.state().scrubs -= 1;
    }
}
