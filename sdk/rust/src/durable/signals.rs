//! Signals: messages of callers and other runs to a run. They wait in the run's inbox, in the order
//! of arrival, until the run awaits them.

use super::wait::unasked;
use super::{Event, Target, WaitFor, await_first};
use crate::host::durable as host;
use crate::{Error, Result, Timestamp, clock, json};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::marker::PhantomData;
use std::time::Duration;

/// Returns the next signal of this name to this run, with a payload of type `T`.
///
/// ```no_run
/// # fn main() -> tidemill_sdk::Result<()> {
/// use std::time::Duration;
/// use tidemill_sdk::signal;
///
/// let approved = match signal::<bool>("decision").wait_for(Duration::from_secs(3 * 86_400))? {
///     Some(decision) => decision,
///     None => signal("decision-of-the-deputy").wait()?,
/// };
/// # Ok(())
/// # }
/// ```
#[must_use = "a signal is consumed by waiting for it"]
pub fn signal<T: DeserializeOwned>(name: impl Into<String>) -> Signal<T> {
    Signal { name: name.into(), payload: PhantomData }
}

/// A signal that the run can await.
#[must_use = "a signal is consumed by waiting for it"]
#[derive(Clone, Debug)]
pub struct Signal<T> {
    name: String,
    payload: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Signal<T> {
    /// Waits for the signal without a timeout.
    ///
    /// # Errors
    /// `bad-signal` if the payload does not match `T`, although the signal is then consumed;
    /// `host/wait-in-step` inside a step, `host/cancelled` if the run is being cancelled,
    /// `host/not-available` if the host does not implement it.
    pub fn wait(self) -> Result<T> {
        self.within(None)?.ok_or_else(unasked)
    }

    /// Waits for the signal with a timeout. Returns `None` if the timeout ends first.
    ///
    /// # Errors
    /// As [`Signal::wait`].
    pub fn wait_for(self, span: Duration) -> Result<Option<T>> {
        self.within(Some(span))
    }

    /// Waits for the signal until a time. Returns `None` if the time passes first.
    ///
    /// # Errors
    /// As [`Signal::wait`].
    pub fn wait_until(self, at: Timestamp) -> Result<Option<T>> {
        let span = at.since(clock::now());
        self.within(Some(span))
    }

    fn within(self, timeout: Option<Duration>) -> Result<Option<T>> {
        match await_first(&[WaitFor::Signal(self.name.clone())], timeout)? {
            Some((_, Event::Signal(payload))) => payload_of(&self.name, payload).map(Some),
            Some((_, Event::Ended(_))) => Err(unasked()),
            None => Ok(None),
        }
    }

    pub(super) fn into_name(self) -> String {
        self.name
    }
}

pub(super) fn payload_of<T: DeserializeOwned>(name: &str, payload: Value) -> Result<T> {
    serde_path_to_error::deserialize(payload)
        .map_err(|why| Error::new("bad-signal", format!("the payload of signal `{name}`: {why}")))
}

/// Sends a signal to a run. It waits in that run's inbox until the run awaits it. It is sent with
/// the next commit of this run.
///
/// # Errors
/// `host/not-granted` without a grant for the run's deployment, `not-json` for a payload that does
/// not serialize, `host/not-available` if the host does not implement it.
pub fn send_signal(to: impl Into<Target>, name: &str, payload: &(impl Serialize + ?Sized)) -> Result<()> {
    host::signal(&to.into().into_host(), name, &json::encode(payload)?).map_err(Error::from_failure)
}
