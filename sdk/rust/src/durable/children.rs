//! Runs that this run started, with the type of their output: one by one, all of them, or whichever ends next.

use super::wait::unasked;
use super::{Event, Outcome, RunId, WaitFor, await_all, await_first, cancel, start};
use crate::Result;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// Starts a run of another deployment, which must be granted; it is cancelled when this run ends before it. [`start`] says more.
///
/// ```no_run
/// # fn main() -> tidemill_sdk::Result<()> {
/// let a = tidemill_sdk::spawn::<u64>("square", &12)?;
/// let b = tidemill_sdk::spawn::<u64>("square", &5)?;
/// assert_eq!(a.join()? + b.join()?, 169);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Start::send`](super::Start::send).
pub fn spawn<T>(deployment: &str, input: &(impl Serialize + ?Sized)) -> Result<Run<T>> {
    start(deployment, input).spawn()
}

/// A run that this run started and may wait for. Dropping it changes nothing.
#[derive(PartialEq, Eq, Hash)]
pub struct Run<T> {
    id: RunId,
    output: PhantomData<fn() -> T>,
}

impl<T> Run<T> {
    /// The run of that id, whose output is to be read as a `T`.
    #[must_use]
    pub fn of(id: RunId) -> Self {
        Self { id, output: PhantomData }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Asks it to end.
    ///
    /// # Errors
    /// As [`cancel`](super::cancel).
    pub fn cancel(&self) -> Result<()> {
        cancel(self)
    }
}

impl<T: DeserializeOwned> Run<T> {
    /// Waits for its output.
    ///
    /// # Errors
    /// Its own failure, which is not retryable to this run; `cancelled`; `bad-output` where the output does not have the shape of `T`;
    /// `host/wait-in-step` inside a step, `host/cancelled` once this run is to end.
    pub fn join(&self) -> Result<T> {
        self.within(None)?.ok_or_else(unasked)
    }

    /// Waits for its output so long; `None` where it has not ended by then. It goes on.
    ///
    /// # Errors
    /// As [`Run::join`].
    pub fn join_for(&self, span: Duration) -> Result<Option<T>> {
        self.within(Some(span))
    }

    fn within(&self, timeout: Option<Duration>) -> Result<Option<T>> {
        match await_first(&[WaitFor::Run(self.id.clone())], timeout)? {
            Some((_, Event::Ended(outcome))) => outcome.output().map(Some),
            Some((_, Event::Signal(_))) => Err(unasked()),
            None => Ok(None),
        }
    }
}

impl<T> Clone for Run<T> {
    fn clone(&self) -> Self {
        Self::of(self.id.clone())
    }
}

impl<T> fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Run").field(&self.id.as_str()).finish()
    }
}

/// Number of runs that are waited for together, of the many that are waited for.
const AT_ONCE: usize = 1_000;
/// Inputs that one batch of starts holds together, in bytes: a commit has to take all of them.
const BATCH_BYTES: usize = 8 << 20;
/// The code of a wait whose outcomes are too large for one answer.
const TOO_LARGE: &str = "host/limit-host-call";

/// Waits for all of these runs: what each of them ended with, in that order. A wait is for at most 1,000 runs, and gives outcomes of at
/// most 6 MiB; of more runs, or larger outcomes, it waits piece by piece.
///
/// # Errors
/// What keeps this run from waiting, as in [`Run::join`]; what a child failed with stands in its place.
pub fn join_all<'a, T>(runs: impl IntoIterator<Item = &'a Run<T>>) -> Result<Vec<Result<T>>>
where
    T: DeserializeOwned + 'a,
{
    Ok(outcomes(runs)?.into_iter().map(Outcome::output).collect())
}

/// Waits for all of these runs, and gives their outputs in that order.
///
/// # Errors
/// As [`join_all`], and the failure of the first in the list that failed; all have ended by then.
pub fn try_join_all<'a, T>(runs: impl IntoIterator<Item = &'a Run<T>>) -> Result<Vec<T>>
where
    T: DeserializeOwned + 'a,
{
    outcomes(runs)?.into_iter().map(Outcome::output).collect()
}

fn outcomes<'a, T: 'a>(runs: impl IntoIterator<Item = &'a Run<T>>) -> Result<Vec<Outcome>> {
    let ids: Vec<RunId> = runs.into_iter().map(|run| run.id.clone()).collect();
    let mut outcomes = Vec::with_capacity(ids.len());
    for piece in ids.chunks(AT_ONCE) {
        outcomes_of(piece, &mut outcomes)?;
    }
    Ok(outcomes)
}

/// The outcomes of one piece, in halves if they are too large together.
fn outcomes_of(ids: &[RunId], outcomes: &mut Vec<Outcome>) -> Result<()> {
    match await_all(ids, None) {
        Ok(Some(all)) => outcomes.extend(all),
        Ok(None) => return Err(unasked()),
        Err(error) if error.code() == TOO_LARGE && ids.len() > 1 => {
            let (first, second) = ids.split_at(ids.len() / 2);
            outcomes_of(first, outcomes)?;
            outcomes_of(second, outcomes)?;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Waits for whichever of these runs ends next, takes it out of the list, and gives what it ended with. `None` if the list is empty.
///
/// # Errors
/// What keeps this run from waiting, as in [`Run::join`]; `too-many-waits` if none of more than 4,096 runs has ended, which only detached
/// ones can do. What the child failed with is inside.
pub fn join_next<T: DeserializeOwned>(runs: &mut Vec<Run<T>>) -> Result<Option<(Run<T>, Result<T>)>> {
    if runs.is_empty() {
        return Ok(None);
    }
    let waits: Vec<WaitFor> = runs.iter().map(|run| WaitFor::Run(run.id.clone())).collect();
    match await_first(&waits, None)? {
        Some((index, Event::Ended(outcome))) if index < runs.len() => Ok(Some((runs.remove(index), outcome.output()))),
        _ => Err(unasked()),
    }
}

/// Starts one run of a deployment for each input and waits for all of them: what each ended with, in the order of the inputs. At most so many
/// go on at the same time; each batch costs one wait. A batch holds at most 1,000 runs, and ends with the one whose input brings it to
/// 8 MiB.
///
/// ```no_run
/// # fn main() -> tidemill_sdk::Result<()> {
/// let pages: Vec<u32> = (1..=1_000).collect();
/// let sizes = tidemill_sdk::durable::fan_out::<u64>("measure", &pages, 100)?;
/// let whole: u64 = sizes.into_iter().flatten().sum();
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What keeps this run from starting or waiting, as in [`Run::join`]; what a child failed with stands in its place.
pub fn fan_out<T>(
    deployment: &str,
    inputs: impl IntoIterator<Item = impl Serialize>,
    at_most: usize,
) -> Result<Vec<Result<T>>>
where
    T: DeserializeOwned,
{
    let mut inputs = inputs.into_iter().peekable();
    let mut ended = Vec::new();
    while inputs.peek().is_some() {
        let (mut batch, mut bytes) = (Vec::<Run<T>>::new(), 0);
        for input in inputs.by_ref().take(at_most.clamp(1, AT_ONCE)) {
            let start = start(deployment, &input);
            bytes += start.input_bytes();
            batch.push(start.spawn()?);
            if bytes >= BATCH_BYTES {
                break;
            }
        }
        ended.extend(join_all(&batch)?);
    }
    Ok(ended)
}
