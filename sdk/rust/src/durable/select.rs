//! Waits for the first of several signals and runs of different types. Each has a function for its
//! value.

use super::signals::payload_of;
use super::wait::unasked;
use super::{Event, Run, Signal, WaitFor, await_first};
use crate::Result;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Waits for the first of several events and converts it to one value.
///
/// ```no_run
/// # fn main() -> tidemill_sdk::Result<()> {
/// use std::time::Duration;
/// use tidemill_sdk::{select, signal, spawn};
///
/// let search = spawn::<Vec<String>>("search", "a flat with a garden")?;
/// let found = select()
///     .run(&search, |result| result)
///     .signal(signal::<String>("found-by-hand"), |flat| Ok(vec![flat]))
///     .after(Duration::from_secs(7 * 86_400), || Ok(Vec::new()))
///     .wait()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "it waits when `wait` is called"]
pub fn select<'a, R>() -> Select<'a, R> {
    Select { waits: Vec::new(), arms: Vec::new(), timeout: None }
}

type Arm<'a, R> = Box<dyn FnOnce(Event) -> Result<R> + 'a>;
type Timeout<'a, R> = (Duration, Box<dyn FnOnce() -> Result<R> + 'a>);

/// The awaited signals and runs. The first in the list wins a tie.
#[must_use = "it waits when `wait` is called"]
pub struct Select<'a, R> {
    waits: Vec<WaitFor>,
    arms: Vec<Arm<'a, R>>,
    timeout: Option<Timeout<'a, R>>,
}

impl<'a, R> Select<'a, R> {
    /// Awaits the next signal of this name.
    pub fn signal<T: DeserializeOwned>(mut self, signal: Signal<T>, then: impl FnOnce(T) -> Result<R> + 'a) -> Self {
        let name = signal.into_name();
        self.waits.push(WaitFor::Signal(name.clone()));
        self.arms.push(Box::new(move |event| match event {
            Event::Signal(payload) => then(payload_of(&name, payload)?),
            Event::Ended(_) => Err(unasked()),
        }));
        self
    }

    /// Awaits the end of a run: its output, or its failure as in [`Run::join`].
    pub fn run<T: DeserializeOwned>(mut self, run: &Run<T>, then: impl FnOnce(Result<T>) -> Result<R> + 'a) -> Self {
        self.waits.push(WaitFor::Run(run.id().clone()));
        self.arms.push(Box::new(move |event| match event {
            Event::Ended(outcome) => then(outcome.output()),
            Event::Signal(_) => Err(unasked()),
        }));
        self
    }

    /// Sets the timeout. A second call replaces the first.
    pub fn after(mut self, span: Duration, then: impl FnOnce() -> Result<R> + 'a) -> Self {
        self.timeout = Some((span, Box::new(then)));
        self
    }

    /// Waits.
    ///
    /// # Errors
    /// The error of the called function; `bad-signal` if a payload does not match its type;
    /// `host/wait-in-step` inside a step, `host/cancelled` if this run is being cancelled;
    /// `host/bad-argument` if there is nothing to wait for; `too-many-waits` if none of more than
    /// 1,000 signals or 4,096 runs has arrived or ended.
    pub fn wait(mut self) -> Result<R> {
        let span = self.timeout.as_ref().map(|(span, _)| *span);
        match await_first(&self.waits, span)? {
            Some((index, event)) if index < self.arms.len() => self.arms.swap_remove(index)(event),
            Some(_) => Err(unasked()),
            None => self.timeout.map_or_else(|| Err(unasked()), |(_, then)| then()),
        }
    }
}
