//! Accounts for a guest's fuel: adds to wasmtime's counter the cost of host work, the debt of WASI
//! calls and the grace period of a cancellation.
//!
//! A function of `tidemill:guest` pays when it is called ([`crate::host`]). A WASI function cannot
//! reach the store, so its cost becomes a debt. The debt is paid at the next call of
//! `tidemill:guest`, or when the guest returns: before any effect is visible to others. A guest
//! that calls only WASI is stopped at the tick that finds its debt larger than its fuel.
//!
//! # Example
//! The limit is 1,000. The run used 300 up to its last entry, and was suspended.
//!
//! 1. To replay, the guest gets a budget of 10 limits (10,000). [`Fuel::used`] is 0, whatever the
//!    replay consumes.
//! 2. The replay ends: `replayed(300, 700)` sets `before` = 300, and `budget`, `seen` and `pending`
//!    = 700. Wasmtime still holds the counter of the replay.
//! 3. The next call costs 20. [`charge`] takes `pending` instead of wasmtime's counter and sets the
//!    counter to 680. [`Fuel::used`] is 20 and [`Fuel::generation`] is 320.
//! 4. At a generation of 900 (used 600, left 100) the guest is notified. Its grace is limit / 10 =
//!    100, so [`charge_result`] sets the counter to 100 and `budget` to 600 + 100. The fuel used
//!    stays 600.
//!
//! # Invariants
//! - used = `budget` - (left - debt). It never decreases, and `generation` = `before` + used.
//! - A replay is bounded, but counts for nothing.
//! - `pending` is set only between the end of the replay and the next access to the store.
//! - Fuel never goes below zero: a charge that exceeds it sets the counter to 0 and traps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tidemill_core::limits::{HOST_CALL_BYTES_PER_FUEL, HOST_CALL_FUEL};
use wasmtime::{AsContextMut as _, Store, StoreContextMut, Trap};

use crate::guest::GuestState;

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

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn take(&self) -> u64 {
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
    pending: Option<u64>,
    /// Maximum fuel of this activation. In the grace period: what was used before it, plus the
    /// grace.
    budget: u64,
    /// The fuel left at the last call. It is used if the epoch stops a guest, because wasmtime
    /// keeps the counter in registers between calls and loses it there.
    seen: u64,
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

/// Charges a call, its bytes and the debt.
///
/// # Errors
/// The out-of-fuel trap. The guest then has no fuel left.
pub(crate) fn charge(store: &mut StoreContextMut<'_, GuestState>, call: u64, bytes: usize) -> wasmtime::Result<()> {
    let cost = call + bytes as u64 / HOST_CALL_BYTES_PER_FUEL + store.data().fuel.owed.take();
    let left = match store.data_mut().fuel.pending.take() {
        Some(left) => left,
        None => store.get_fuel()?,
    };
    let left = left.checked_sub(cost);
    store.set_fuel(left.unwrap_or(0))?;
    store.data_mut().fuel.seen = left.unwrap_or(0);
    if left.is_none() { Err(Trap::OutOfFuel.into()) } else { Ok(()) }
}

/// Charges the bytes of an answer. After the answer that notifies a guest of its cancellation, the
/// guest has exactly the fuel of its grace period: a guest that was nearly out of fuel can clean
/// up, and a guest with much fuel cannot continue for long.
///
/// # Errors
/// As [`charge`].
pub(crate) fn charge_result(store: &mut StoreContextMut<'_, GuestState>, bytes: usize) -> wasmtime::Result<()> {
    if let Some(grace) = store.data_mut().begins_grace() {
        let used = store.data().fuel.used(Some(store.get_fuel()?));
        store.data().fuel.owed.take();
        store.data_mut().fuel.pending = None;
        store.set_fuel(grace)?;
        let fuel = &mut store.data_mut().fuel;
        fuel.budget = used.saturating_add(grace);
        fuel.seen = grace;
    }
    charge(store, 0, bytes)
}

/// Charges the debt at the end.
///
/// # Errors
/// As [`charge`].
pub(crate) fn settle(store: &mut Store<GuestState>) -> wasmtime::Result<()> {
    charge(&mut store.as_context_mut(), 0, 0)
}

/// Checks at a tick that the guest has the fuel for its debt. The counter may lag here, but never
/// leads.
///
/// # Errors
/// The out-of-fuel trap if the debt exceeds the fuel.
pub(crate) fn check_balance(store: &StoreContextMut<'_, GuestState>) -> wasmtime::Result<()> {
    let fuel = &store.data().fuel;
    if fuel.pending.is_none() && fuel.owed.get() > store.get_fuel()? { Err(Trap::OutOfFuel.into()) } else { Ok(()) }
}
