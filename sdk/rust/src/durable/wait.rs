//! The untyped waits of the contract. `signals`, `children` and `select` add types.

use super::{RunId, value};
use crate::host::durable as host;
use crate::time::to_millis;
use crate::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It succeeded with this output.
    Succeeded(Value),
    /// It failed with this failure.
    Failed(Error),
    /// It was cancelled.
    Cancelled,
}

impl Outcome {
    fn from_host(outcome: host::Outcome) -> Self {
        match outcome {
            host::Outcome::Succeeded(output) => Self::Succeeded(value(output)),
            host::Outcome::Failed(failure) => Self::Failed(Error::from_failure(failure)),
            host::Outcome::Cancelled => Self::Cancelled,
        }
    }

    /// Reads the output as JSON.
    ///
    /// # Errors
    /// The failure of the run, `cancelled`, or `bad-output` if the output does not match `T`.
    pub fn output<T: DeserializeOwned>(self) -> Result<T> {
        match self {
            Self::Succeeded(output) => serde_path_to_error::deserialize(output)
                .map_err(|why| Error::new("bad-output", format!("the run's output: {why}"))),
            Self::Failed(error) => Err(error),
            Self::Cancelled => Err(Error::new("cancelled", "the run was cancelled")),
        }
    }
}

/// A signal or a run to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// The next signal of this name to this run.
    Signal(String),
    /// The end of a run that this run started.
    Run(RunId),
}

/// The event that ended a wait.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A signal's payload.
    Signal(Value),
    /// A run's end.
    Ended(Outcome),
}

/// The maximum number of signals in one wait of the host.
const SIGNALS: usize = 1_000;
/// The maximum number of runs in one wait of the host. It is also the maximum number of open runs
/// that one run can have started, detached runs not counted.
const RUNS: usize = 4_096;
/// The number of entries per wait, if the list is longer than one wait takes.
const PIECE: usize = 1_000;

/// Waits for the first event and returns its index in the list. Returns `None` if the timeout ends
/// first.
///
/// One wait takes 1,000 signals and 4,096 runs. In a longer list, the first group of 1,000 with an
/// event that has already occurred decides. A run can have at most 4,096 open runs that are not
/// detached, so a longer list of these contains one that has ended.
///
/// # Errors
/// `host/wait-in-step` inside a step, `host/cancelled` if this run is being cancelled,
/// `too-many-waits` if the list is longer than one wait takes and no event has occurred.
pub fn await_first(any_of: &[WaitFor], timeout: Option<Duration>) -> Result<Option<(usize, Event)>> {
    let signals = any_of.iter().filter(|wait| matches!(wait, WaitFor::Signal(_))).count();
    let runs = any_of.len() - signals;
    if signals <= SIGNALS && runs <= RUNS {
        return first_of(any_of, timeout);
    }
    for (nth, piece) in any_of.chunks(PIECE).enumerate() {
        if let Some((index, event)) = first_of(piece, Some(Duration::ZERO))? {
            return Ok(Some((nth * PIECE + index, event)));
        }
    }
    if timeout == Some(Duration::ZERO) {
        return Ok(None);
    }
    let message = format!("nothing has come of {signals} signals and {runs} runs; one wait takes {SIGNALS} and {RUNS}");
    Err(Error::new("too-many-waits", message))
}

fn first_of(any_of: &[WaitFor], timeout: Option<Duration>) -> Result<Option<(usize, Event)>> {
    let any_of: Vec<host::WaitFor> = any_of
        .iter()
        .map(|wait| match wait {
            WaitFor::Signal(name) => host::WaitFor::Signal(name.clone()),
            WaitFor::Run(run) => host::WaitFor::Run(run.as_str().to_owned()),
        })
        .collect();
    let first = host::await_first(&any_of, timeout.map(to_millis)).map_err(Error::from_failure)?;
    Ok(first.map(|host::First { index, event }| {
        let event = match event {
            host::Event::Signal(payload) => Event::Signal(value(payload)),
            host::Event::Ended(outcome) => Event::Ended(Outcome::from_host(outcome)),
        };
        (index as usize, event)
    }))
}

/// Waits for all runs, which this run started, and returns their outcomes in the same order.
/// Returns `None` if the timeout ends first.
///
/// # Errors
/// As [`await_first`].
pub fn await_all(runs: &[RunId], timeout: Option<Duration>) -> Result<Option<Vec<Outcome>>> {
    let runs: Vec<String> = runs.iter().map(|run| run.as_str().to_owned()).collect();
    let outcomes = host::await_all(&runs, timeout.map(to_millis)).map_err(Error::from_failure)?;
    Ok(outcomes.map(|outcomes| outcomes.into_iter().map(Outcome::from_host).collect()))
}

/// The host violated the contract: the result does not match the request.
pub(super) fn unasked() -> Error {
    Error::new("bad-wait", "the host returned a result that the wait did not request")
}
