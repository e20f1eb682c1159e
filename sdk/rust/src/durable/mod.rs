//! Steps, child runs, signals, waits and sagas: the parts of a durable workflow.
//!
//! A host without a journal refuses waits and steps with `host/not-available`.

use crate::host::durable as host;
use crate::{Error, Result, json};
use serde::Serialize;
use serde_json::Value;

pub use children::{Run, fan_out, join_all, join_next, spawn, try_join_all};
pub use saga::{Saga, saga};
pub use select::{Select, select};
pub use signals::{Signal, send_signal, signal};
pub use start::{RunId, Start, Target, cancel, start};
pub use step::{step, step_with};
pub use wait::{Event, Outcome, WaitFor, await_all, await_first};

pub(crate) use step::new_key;
#[cfg(all(feature = "testing", not(target_arch = "wasm32")))]
pub(crate) use step::set_aside;

mod children;
mod saga;
mod select;
mod signals;
mod start;
mod step;
mod wait;

/// Sets the progress of the run that operators and programs see.
pub fn set_progress(done: u64, total: Option<u64>, note: &str) {
    host::set_progress(done, total, note);
}

/// Sets a status that operators and programs see while the run executes.
///
/// # Errors
/// `not-json` if it does not serialize.
pub fn set_status(status: &(impl Serialize + ?Sized)) -> Result<()> {
    host::set_status(&json::encode(status)?);
    Ok(())
}

/// Starts the next generation of this run, with this input, an empty journal and the deployment's
/// current revision. Returns only if the host refuses it, with the reason:
/// `return Err(continue_as_new(&next))`.
pub fn continue_as_new(input: &(impl Serialize + ?Sized)) -> Error {
    match json::encode(input) {
        Ok(input) => Error::from_failure(host::continue_as_new(&input)),
        Err(error) => error,
    }
}

/// The host sends JSON text. Text that is not JSON is kept as text rather than dropped.
fn value(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}
