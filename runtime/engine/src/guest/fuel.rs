//! A guest's fuel beside wasmtime's own counter: what its calls of WASI and work that the host does for it owe, and what a
//! cancellation leaves it.
//!
//! A function of `tidemill:guest` pays when it is called ([`crate::host`]). One of WASI has no hand on the store, so what it costs
//! is noted, and paid at the guest's next call of `tidemill:guest`, or when it returns: before anything that others see.
//! A guest that calls nothing but WASI is stopped at the tick that finds it owing more than it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tidemill_core::limits::{HOST_CALL_BYTES_PER_FUEL, HOST_CALL_FUEL};
use wasmtime::{AsContextMut as _, Store, StoreContextMut, Trap};

use crate::guest::GuestState;

/// What calls of WASI have cost and nobody has paid yet. Clones are the same debt.
#[derive(Debug, Clone, Default)]
pub(crate) struct WasiDebt(Arc<AtomicU64>);

impl WasiDebt {
    /// A call.
    pub fn call(&self) {
        self.0.fetch_add(HOST_CALL_FUEL, Relaxed);
    }

    /// Bytes that passed the border with one.
    pub fn bytes(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64 / HOST_CALL_BYTES_PER_FUEL, Relaxed);
    }

    /// Work of the host that costs a unit for each of these bytes, beyond what passing them costs.
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

/// How much a replay may use, in limits.
const REPLAY: u64 = 10;

/// The fuel of one activation. What a replay uses is bounded and counts for nothing; where it ends, the guest has what it had
/// when it came there first.
#[derive(Debug, Default)]
pub(crate) struct Fuel {
    /// What calls of WASI owe.
    pub owed: WasiDebt,
    /// What the generation had used where this activation goes on; none while it replays.
    before: Option<u64>,
    /// Set by the end of the replay, for whoever has a hand on the store next: what is left.
    pending: Option<u64>,
    /// What it may use in all: what was used before its grace and the grace, once that has begun.
    budget: u64,
    /// What was left at the last call: what counts where the epoch stops a guest, since wasmtime keeps the figure in
    /// registers between calls and loses it there.
    seen: u64,
}

impl Fuel {
    /// That of a guest that replays first, or that has used `before` of its `limit`.
    pub fn new(limit: u64, before: Option<u64>) -> Self {
        let budget = before.map_or_else(|| limit.saturating_mul(REPLAY), |before| limit.saturating_sub(before));
        Self { owed: WasiDebt::default(), before, pending: None, budget, seen: budget }
    }

    /// What the guest is given to begin with.
    pub fn begin(&mut self) -> u64 {
        self.pending = None;
        self.budget
    }

    /// What the generation had used where this activation went on.
    pub fn before(&self) -> u64 {
        self.before.unwrap_or_default()
    }

    /// What this activation used, where `left` is what wasmtime has left; none where that is not to be believed.
    pub fn used(&self, left: Option<u64>) -> u64 {
        if self.before.is_none() {
            return 0;
        }
        let left = self.pending.unwrap_or_else(|| left.unwrap_or(self.seen));
        self.budget.saturating_sub(left.saturating_sub(self.owed.get()))
    }

    /// What the generation had used at the last call.
    pub fn generation(&self) -> u64 {
        self.before.unwrap_or_default().saturating_add(self.used(None))
    }

    /// Of what the generation has used, what this activation did.
    pub fn of_this(&self, generation: u64) -> u64 {
        generation.saturating_sub(self.before.unwrap_or(generation))
    }

    /// The replay ends: the generation has used `before`, and `left` is left.
    pub fn replayed(&mut self, before: u64, left: u64) {
        self.owed.take();
        self.before = Some(before);
        self.pending = Some(left);
        self.budget = left;
        self.seen = left;
    }
}

/// Pays for a call, for bytes, and for what is owed.
///
/// # Errors
/// The trap of a guest that has too little left, which leaves it nothing.
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

/// Pays for the bytes of an answer. The answer that told the guest of its cancellation leaves it the fuel of its grace and no
/// more, whatever it had: one that was nearly out of fuel can clean up, one with much left cannot go on for long.
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

/// Pays what is owed at the end.
///
/// # Errors
/// As [`charge`].
pub(crate) fn settle(store: &mut Store<GuestState>) -> wasmtime::Result<()> {
    charge(&mut store.as_context_mut(), 0, 0)
}

/// At a tick: whether the guest has what it owes. The counter may be behind the guest here, never before it.
///
/// # Errors
/// The trap of a guest that has too little left.
pub(crate) fn check_balance(store: &StoreContextMut<'_, GuestState>) -> wasmtime::Result<()> {
    let fuel = &store.data().fuel;
    if fuel.pending.is_none() && fuel.owed.get() > store.get_fuel()? { Err(Trap::OutOfFuel.into()) } else { Ok(()) }
}
