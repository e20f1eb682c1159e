//! Sagas: steps in several systems without a common transaction, each with its undo.

use super::{step, step_with};
use crate::{Error, Result, Retry};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use std::fmt;

/// Runs `work`. If it fails or the run is cancelled, it undoes the registered steps in reverse
/// order and returns the error of `work`.
///
/// ```no_run
/// # fn main() -> tidemill_sdk::Result<()> {
/// # #[derive(Clone, serde::Serialize, serde::Deserialize)] struct Booking { id: String }
/// # fn book(what: &str) -> tidemill_sdk::Result<Booking> { Ok(Booking { id: what.into() }) }
/// # fn cancel(booking: &Booking) -> tidemill_sdk::Result<()> { Ok(()) }
/// use tidemill_sdk::saga;
///
/// let (room, flight) = saga(|saga| {
///     let room = saga.step("book the room", || book("room"), cancel)?;
///     let flight = saga.step("book the flight", || book("flight"), cancel)?;
///     Ok((room, flight))
/// })?;
/// # Ok(())
/// # }
/// ```
///
/// Each undo runs in its own step, `undo …`, so that it is retried and recorded like any step.
/// After a cancellation, the undo actions must end within the grace period. A panic or a limit
/// stops the run without an undo. The run is parked, and continues from its last step when it is
/// retried.
///
/// # Errors
/// The error of `work`, which is not retryable if something was undone. `saga-incomplete` if an
/// undo failed: the others were executed, and the details name the failed ones and the first
/// failure.
pub fn saga<'a, T>(work: impl FnOnce(&mut Saga<'a>) -> Result<T>) -> Result<T> {
    let mut saga = Saga { undo: Vec::new(), retry: None };
    work(&mut saga).map_err(|error| saga.unwind(error))
}

type Undo<'a> = Box<dyn Fn() -> Result<()> + 'a>;

/// The undo actions to run if the rest fails.
pub struct Saga<'a> {
    undo: Vec<(String, Undo<'a>)>,
    retry: Option<Retry>,
}

impl<'a> Saga<'a> {
    /// Sets the retry policy of all undo actions. The default is the deployment's policy.
    pub fn undo_with(&mut self, retry: Retry) {
        self.retry = Some(retry);
    }

    /// Executes a step, and registers its undo, which receives the result.
    ///
    /// A step that failed is not undone. If its failure leaves open whether it took effect, as with
    /// a timeout, register [`Saga::undo`] before it.
    ///
    /// # Errors
    /// As [`step`].
    pub fn step<T, E, U>(
        &mut self,
        name: &str,
        work: impl Fn() -> Result<T, E>,
        undo: impl Fn(&T) -> Result<(), U> + 'a,
    ) -> Result<T>
    where
        T: Serialize + DeserializeOwned + Clone + 'a,
        E: Into<Error>,
        U: Into<Error>,
    {
        let result = step(name, work)?;
        self.keep(name, result, undo)
    }

    /// As [`Saga::step`], with its own retry policy for the step. The work receives the number of
    /// the attempt, from 1.
    ///
    /// # Errors
    /// As [`step`].
    pub fn step_with<T, E, U>(
        &mut self,
        name: &str,
        retry: Retry,
        work: impl Fn(u32) -> Result<T, E>,
        undo: impl Fn(&T) -> Result<(), U> + 'a,
    ) -> Result<T>
    where
        T: Serialize + DeserializeOwned + Clone + 'a,
        E: Into<Error>,
        U: Into<Error>,
    {
        let result = step_with(name, retry, work)?;
        self.keep(name, result, undo)
    }

    /// Registers an undo, which runs in a step `undo NAME` if the rest of the saga fails.
    pub fn undo<U: Into<Error>>(&mut self, name: &str, undo: impl Fn() -> Result<(), U> + 'a) {
        self.undo.push((format!("undo {name}"), Box::new(move || undo().map_err(Into::into))));
    }

    fn keep<T, U>(&mut self, name: &str, result: T, undo: impl Fn(&T) -> Result<(), U> + 'a) -> Result<T>
    where
        T: Clone + 'a,
        U: Into<Error>,
    {
        let kept = result.clone();
        self.undo(name, move || undo(&kept));
        Ok(result)
    }

    fn unwind(mut self, cause: Error) -> Error {
        if self.undo.is_empty() {
            return cause;
        }
        let mut left = Vec::new();
        while let Some((name, undo)) = self.undo.pop() {
            let mut undone = self.undone(&name, &undo);
            // The host reports a cancellation once, possibly only here. The call that received it
            // had no effect, so call it again.
            if undone.as_ref().is_err_and(Error::is_cancelled) {
                undone = self.undone(&name, &undo);
            }
            if let Err(error) = undone {
                left.push(json!({ "step": name, "code": error.code(), "message": error.message() }));
            }
        }
        if left.is_empty() {
            return cause.not_retryable();
        }
        let message = format!("the saga failed with {cause}, and {} of its steps could not be undone", left.len());
        Error::new("saga-incomplete", message)
            .with_details(json!({ "left": left, "cause": { "code": cause.code(), "message": cause.message() } }))
    }

    fn undone(&self, name: &str, undo: &Undo<'a>) -> Result<()> {
        match self.retry {
            Some(retry) => step_with(name, retry, |_| undo()),
            None => step(name, undo),
        }
    }
}

impl fmt::Debug for Saga<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.undo.iter().map(|(name, _)| name)).finish()
    }
}
