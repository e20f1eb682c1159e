//! What makes an ordinary function a durable workflow: steps, other runs, signals, waiting, sagas.
//!
//! A host without a journal refuses all that waits or remembers with `host/not-available`.

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

/// Shows people how far the run is.
pub fn set_progress(done: u64, total: Option<u64>, note: &str) {
    host::set_progress(done, total, note);
}

/// Shows people and programs a status of your own while the run goes on.
///
/// # Errors
/// `not-json` where it does not serialise.
pub fn set_status(status: &(impl Serialize + ?Sized)) -> Result<()> {
    host::set_status(&json::encode(status)?);
    Ok(())
}

/// Goes on as the same run with this input, an empty journal and the deployment's current revision. Returns only where that is refused,
/// with the reason: `return Err(continue_as_new(&next))`.
pub fn continue_as_new(input: &(impl Serialize + ?Sized)) -> Error {
    match json::encode(input) {
        Ok(input) => Error::from_failure(host::continue_as_new(&input)),
        Err(error) => error,
    }
}

/// The host sends JSON text; what were not JSON is better kept as text than lost.
fn value(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}
