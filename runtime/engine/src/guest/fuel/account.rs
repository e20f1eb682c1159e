//! The fuel of one activation, as numbers: what it may use, has used and owes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tidemill_core::limits::{HOST_CALL_BYTES_PER_FUEL, HOST_CALL_FUEL};

/// The unpaid cost of WASI calls. Clones share one debt.
#[derive(Debug, Clone, Default)]
pub(crate) struct WasiDebt(Arc<AtomicU64>);

impl WasiDebt {
    /// Adds the cost of a call.
    pub fn call(&self) {
        self.0.fetch_add(HOST_CALL_FUEL, Relaxed);
    }

    /// Adds the cost of bytes that a call passes.
    pub fn bytes(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64 / HOST_CALL_BYTES_PER_FUEL, Relaxed);
    }

    /// Adds one unit for each byte that the host processes, in addition to the cost of passing it.
    pub fn work(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(super) fn take(&self) -> u64 {
        self.0.swap(0, Relaxed)
    }
}

/// Maximum fuel of a replay, as a multiple of the limit.
const REPLAY: u64 = 10;

/// The fuel of one activation. A replay is bounded but counts for nothing: after it, the guest has
/// the fuel that it had there the first time.
#[derive(Debug, Default)]
pub(crate) struct Fuel {
    /// The unpaid cost of WASI calls.
    pub owed: WasiDebt,
    /// Fuel used by the generation before this activation continued; `None` during replay.
    before: Option<u64>,
    /// The fuel left, set at the end of the replay for the next access to the store.
    pub(super) pending: Option<u64>,
    /// Maximum fuel of this activation. In the grace period: what was used before it, plus the
    /// grace.
    pub(super) budget: u64,
    /// The fuel left at the last call. It is used if the epoch stops a guest, because wasmtime
    /// keeps the counter in registers between calls and loses it there.
    pub(super) seen: u64,
}

impl Fuel {
    /// Returns the fuel of a guest that replays first (`before` is `None`), or that has used
    /// `before` of its `limit`.
    pub fn new(limit: u64, before: Option<u64>) -> Self {
        let budget = before.map_or_else(|| limit.saturating_mul(REPLAY), |before| limit.saturating_sub(before));
        Self { owed: WasiDebt::default(), before, pending: None, budget, seen: budget }
    }

    /// Returns the fuel that the guest starts with.
    pub fn begin(&mut self) -> u64 {
        self.pending = None;
        self.budget
    }

    /// Returns the fuel used by the generation before this activation continued.
    pub fn before(&self) -> u64 {
        self.before.unwrap_or_default()
    }

    /// Returns the fuel used by this activation. `left` is wasmtime's counter; `None` if it is
    /// unreliable.
    pub fn used(&self, left: Option<u64>) -> u64 {
        if self.before.is_none() {
            return 0;
        }
        let left = self.pending.unwrap_or_else(|| left.unwrap_or(self.seen));
        self.budget.saturating_sub(left.saturating_sub(self.owed.get()))
    }

    /// Returns the fuel used by the generation at the last call.
    pub fn generation(&self) -> u64 {
        self.before.unwrap_or_default().saturating_add(self.used(None))
    }

    /// Returns the part of the fuel of `generation` that this activation used.
    pub fn of_this(&self, generation: u64) -> u64 {
        generation.saturating_sub(self.before.unwrap_or(generation))
    }

    /// Ends the replay: the generation has used `before`, and `left` is left.
    pub fn replayed(&mut self, before: u64, left: u64) {
        self.owed.take();
        self.before = Some(before);
        self.pending = Some(left);
        self.budget = left;
        self.seen = left;
    }
}
