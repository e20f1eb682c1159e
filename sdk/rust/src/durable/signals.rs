//! Signals: what people and other runs tell a run while it goes on. Kept in the order in which they came until the run asks for them.

use super::wait::unasked;
use super::{Event, Target, WaitFor, await_first};
use crate::host::durable as host;
use crate::{Error, Result, Timestamp, clock, json};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::marker::PhantomData;
use std::time::Duration;

/// The next signal of that name sent to this run, with a payload that is read as a `T`.
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
#[must_use = "a signal is taken by waiting for it"]
pub fn signal<T: DeserializeOwned>(name: impl Into<String>) -> Signal<T> {
    Signal { name: name.into(), payload: PhantomData }
}

/// A signal that the run may wait for.
#[must_use = "a signal is taken by waiting for it"]
#[derive(Clone, Debug)]
pub struct Signal<T> {
    name: String,
    payload: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Signal<T> {
    /// Waits for it, for ever if need be.
    ///
    /// # Errors
    /// `bad-signal` where the payload does not have the shape of `T`, and the signal is taken all the same; `host/wait-in-step` inside a step,
    /// `host/cancelled` once this run is to end, `host/not-available` where the host does not do this yet.
    pub fn wait(self) -> Result<T> {
        self.within(None)?.ok_or_else(unasked)
    }

    /// Waits for it so long; `None` where it did not come.
    ///
    /// # Errors
    /// As [`Signal::wait`].
    pub fn wait_for(self, span: Duration) -> Result<Option<T>> {
        self.within(Some(span))
    }

    /// Waits for it until then; `None` where it did not come.
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

/// Sends a signal to a run, which is kept until that run asks for it. It leaves when this run next commits.
///
/// # Errors
/// `host/not-granted` without a grant for its deployment, `not-json` for a payload that does not serialise, `host/not-available` where the host does
/// not do this yet.
pub fn send_signal(to: impl Into<Target>, name: &str, payload: &(impl Serialize + ?Sized)) -> Result<()> {
    host::signal(&to.into().into_host(), name, &json::encode(payload)?).map_err(Error::from_failure)
}
