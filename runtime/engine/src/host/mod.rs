//! The host's side of the contract: one file for each interface, all of the same shape.
//!
//! Each file begins with the bounds of its interface, then has `link`, which registers its
//! functions, then the functions in the order of the WIT. A function does, in this order:
//! cancellation, grant, bounds, work, effect on the transaction. It returns a failure to the guest,
//! or stops the guest with a [`GuestStop`](crate::guest::trap::GuestStop) if the WIT has no
//! failure. Fuel is charged in [`abi`] for all of them.

pub(crate) mod abi;
pub(crate) mod clock;
mod context;
pub(crate) mod durable;
pub(crate) mod events;
mod http;
mod ledger;
mod log;
mod metrics;
mod operator;
mod random;
mod secrets;
mod state;
pub(crate) mod wasi;

use wasmtime::Engine;

pub(crate) use abi::Contract;

/// Returns everything that a component may import.
///
/// # Errors
/// If wasmtime refuses a definition, which is a bug that any test finds.
pub(crate) fn contract(engine: &Engine) -> wasmtime::Result<Contract> {
    let mut contract = Contract::new(engine);
    wasi::link(&mut contract.linker)?;
    context::link(&mut contract)?;
    log::link(&mut contract)?;
    clock::link(&mut contract)?;
    random::link(&mut contract)?;
    http::link(&mut contract)?;
    secrets::link(&mut contract)?;
    state::link(&mut contract)?;
    durable::link(&mut contract)?;
    events::link(&mut contract)?;
    ledger::link(&mut contract)?;
    metrics::link(&mut contract)?;
    operator::link(&mut contract)?;
    Ok(contract)
}
