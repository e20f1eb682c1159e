//! The host's side of the contract: one file an interface, all of the same shape.
//!
//! Each file begins with what its interface is bounded by, then has `link`, which registers its functions, then the functions in
//! the order of the WIT. A function does, in this order: cancellation, grant, bounds, the work, what it leaves in the
//! stretch. It answers the guest with a failure, or, where the WIT has none, stops it with an [`End`](crate::end::End).
//! Fuel is charged in [`call`] for all of them alike.

pub(crate) mod abi;
pub(crate) mod clock;
mod context;
pub(crate) mod durable;
pub(crate) mod events;
mod http;
mod ledger;
mod log;
mod metrics;
mod random;
mod secrets;
mod state;
pub(crate) mod wasi;

use wasmtime::Engine;

pub(crate) use abi::Contract;

/// Everything that a component may import.
///
/// # Errors
/// Where wasmtime refuses a definition: a mistake of ours, which any test finds.
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
    Ok(contract)
}
