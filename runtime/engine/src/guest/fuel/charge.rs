//! Charges a guest: moves the cost of calls and bytes from the account to wasmtime's counter.

use tidemill_core::limits::HOST_CALL_BYTES_PER_FUEL;
use wasmtime::{AsContextMut as _, Store, StoreContextMut, Trap};

use crate::guest::GuestState;

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
    if let Some(grace) = store.data_mut().take_grace_fuel() {
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
