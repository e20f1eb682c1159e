//! The host's side of the contract: one file an interface, all of the same shape.
//!
//! Each file begins with what its interface is bounded by, then has `link`, which registers its functions, then the functions in
//! the order of the WIT. A function does, in this order: cancellation, grant, bounds, the work, what it leaves in the
//! stretch. It answers the guest with a failure, or, where the WIT has none, stops it with an [`End`](crate::end::End).
//! Fuel is charged in [`call`] for all of them alike.

pub(crate) mod call;
mod clock;
mod context;
mod durable;
mod events;
mod http;
mod ledger;
mod log;
mod metrics;
mod random;
mod secrets;
mod state;
pub(crate) mod wasi;

use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::guest::Guest;

/// A linker with everything that a component may import.
///
/// # Errors
/// Where wasmtime refuses a definition: a mistake of ours, which any test finds.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasi::link(&mut linker)?;
    context::link(&mut linker)?;
    log::link(&mut linker)?;
    clock::link(&mut linker)?;
    random::link(&mut linker)?;
    http::link(&mut linker)?;
    secrets::link(&mut linker)?;
    state::link(&mut linker)?;
    durable::link(&mut linker)?;
    events::link(&mut linker)?;
    ledger::link(&mut linker)?;
    metrics::link(&mut linker)?;
    Ok(linker)
}
