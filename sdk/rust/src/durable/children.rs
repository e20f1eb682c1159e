//! Handles of runs that this run started, with the type of their output: waits for one, for all, or
//! for the next to end.

use super::wait::unasked;
use super::{Event, Outcome, RunId, WaitFor, await_all, await_first, cancel, start};
use crate::Result;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// Starts a run of another deployment, which needs a grant. The host cancels it if this run ends
/// first. See also [`start`].
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

/// A run that this run started and can wait for. Dropping the handle has no effect.
#[derive(PartialEq, Eq, Hash)]
pub struct Run<T> {
    id: RunId,
    output: PhantomData<fn() -> T>,
}

impl<T> Run<T> {
    /// Creates a handle from an id. The output is read as a `T`.
    #[must_use]
    pub fn of(id: RunId) -> Self {
        Self { id, output: PhantomData }
    }

    /// Returns the id of the run.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Cancels the run.
    ///
    /// # Errors
    /// As [`cancel`](super::cancel).
    pub fn cancel(&self) -> Result<()> {
        cancel(self)
    }
}

impl<T: DeserializeOwned> Run<T> {
    /// Waits for the output.
    ///
    /// # Errors
    /// The failure of the run, which is not retryable for this run; `cancelled`; `bad-output` if
    /// the output does not match `T`; `host/wait-in-step` inside a step, `host/cancelled` if this
    /// run is being cancelled.
    pub fn join(&self) -> Result<T> {
        self.within(None)?.ok_or_else(unasked)
    }

    /// Waits for the output with a timeout. Returns `None` if the run has not ended by then. The
    /// run continues.
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

/// The number of runs per wait, if there are more.
const AT_ONCE: usize = 1_000;
/// The maximum total size of the inputs in one batch of starts, in bytes. One commit must take all
/// of them.
const BATCH_BYTES: usize = 8 << 20;
/// The code of a wait whose outcomes are too large for one call.
const TOO_LARGE: &str = "host/limit-host-call";

/// Waits for all runs and returns their results in the same order. A wait takes at most 1,000 runs
/// and returns outcomes of at most 6 MiB. For more runs or larger outcomes, it waits several times.
///
/// # Errors
/// The reason why this run cannot wait, as in [`Run::join`]. The failure of a child takes its place
/// in the results.
pub fn join_all<'a, T>(runs: impl IntoIterator<Item = &'a Run<T>>) -> Result<Vec<Result<T>>>
where
    T: DeserializeOwned + 'a,
{
    Ok(outcomes(runs)?.into_iter().map(Outcome::output).collect())
}

/// Waits for all runs and returns their outputs in the same order.
///
/// # Errors
/// As [`join_all`], and the failure of the first failed run in the list. All runs have ended by
/// then.
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

/// Appends the outcomes of one wait. If they are too large together, it waits for each half.
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

/// Waits for the next run to end, removes it from the list, and returns it with its result. Returns
/// `None` if the list is empty.
///
/// # Errors
/// The reason why this run cannot wait, as in [`Run::join`]; `too-many-waits` if none of more than
/// 4,096 runs has ended, which is possible only for detached runs. The failure of the child is in
/// the result.
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

/// Starts one run of a deployment per input, waits for all of them, and returns their results in
/// the order of the inputs. At most `at_most` runs are open at the same time. Each batch needs one
/// wait. A batch has at most 1,000 runs and inputs of at most 8 MiB, plus its last input.
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
/// The reason why this run cannot start runs or wait, as in [`Run::join`]. The failure of a child
/// takes its place in the results.
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
