//! A saga: several steps at different places that no transaction spans, and how to undo each of them.

use super::{step, step_with};
use crate::{Error, Result, Retry};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use std::fmt;

/// Runs `work`; where it fails, or the run is cancelled in it, undoes what it did so far in reverse order, and gives its error.
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
/// Each is undone in a step of its own, `undo …`, so that it is tried again and remembered like any other. When the run was cancelled, all that
/// takes place in the time that is left for it. A panic or a limit ends the run where it is: then nothing is undone here, the run parks, and goes on from
/// its last step when it is tried again.
///
/// # Errors
/// What `work` failed with, which is not retryable any more once something was undone. `saga-incomplete` where something could not be undone: the
/// rest was, its details name what was not, and why all this began.
pub fn saga<'a, T>(work: impl FnOnce(&mut Saga<'a>) -> Result<T>) -> Result<T> {
    let mut saga = Saga { undo: Vec::new(), retry: None };
    work(&mut saga).map_err(|error| saga.unwind(error))
}

type Undo<'a> = Box<dyn Fn() -> Result<()> + 'a>;

/// What is to be undone if the rest fails.
pub struct Saga<'a> {
    undo: Vec<(String, Undo<'a>)>,
    retry: Option<Retry>,
}

impl<'a> Saga<'a> {
    /// How what undoes is tried again; the deployment's policy if not said. It counts for all of them.
    pub fn undo_with(&mut self, retry: Retry) {
        self.retry = Some(retry);
    }

    /// Carries out a step, and keeps how to undo it, given its result.
    ///
    /// A step that failed is not undone. Where its failure leaves it open whether it took place, such as a timeout, say [`Saga::undo`] before it.
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

    /// As [`Saga::step`], with a retry policy of its own for the step; its work is told which attempt it is, counting from 1.
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

    /// From here on, also this is done where the rest fails, in a step `undo NAME`.
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
            // A cancellation is told once, maybe only here, and what is told is not done: the same again is.
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
        let message = format!("{} of a saga could not be undone, which failed with {cause}", left.len());
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
