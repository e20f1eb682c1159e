//! Waiting for a time, a signal or the end of a run. A wait is a commit point; the run need not be
//! in memory while it waits.
//!
//! A wait records two entries: its deadline when it starts, and its result as the first entry of
//! the next transaction.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemill_core::journal::{Hash, Kind};
use tidemill_core::limits::FETCH_ALL_BYTES;
use tidemill_core::run::{self, RunState, Wait};
use tidemill_core::spawn::OPEN_CHILDREN;
use tidemill_core::{Code, Failure, RunId, Timestamp};
use tidemill_store::records::ChildOutcome;

use super::{SIGNAL_NAME_BYTES, bad, not_in_step};
use crate::component::bindings::wit::durable::{Event, First, Outcome, WaitFor};
use crate::guest::cancel::Urgency;
use crate::guest::trap::GuestStop;
use crate::guest::{GuestState, read};
use crate::host::abi::{HostResult, answer};
use crate::replay::state::hash;

/// Maximum number of signals in one wait.
const SIGNALS: usize = 1_000;
/// Maximum number of runs in one wait: the maximum number of attached children that have not ended.
const RUNS: usize = OPEN_CHILDREN as usize;
/// Maximum number of items that the journal shows of a wait.
const SHOWN: usize = 100;

/// Sleeps for `span` milliseconds.
pub(in crate::host) async fn sleep(guest: &mut GuestState, span: u64) -> wasmtime::Result<HostResult<()>> {
    if let Err(failure) = allowed(guest, "clock.sleep") {
        return answer(Err(failure));
    }
    until(guest, &span.to_le_bytes(), |now| now.plus_millis(span)).await
}

/// Sleeps until `at`.
pub(in crate::host) async fn sleep_until(guest: &mut GuestState, at: Timestamp) -> wasmtime::Result<HostResult<()>> {
    if let Err(failure) = allowed(guest, "clock.sleep-until") {
        return answer(Err(failure));
    }
    until(guest, &at.as_millis().to_be_bytes(), |_| at).await
}

async fn until(
    guest: &mut GuestState,
    shown: &[u8],
    end: impl FnOnce(Timestamp) -> Timestamp,
) -> wasmtime::Result<HostResult<()>> {
    let request = hash(&[shown]);
    let until = match guest.replay::<u64>(Kind::Until, request)? {
        Some(until) => Timestamp::from_millis(until),
        None => {
            let now = guest.log.clock.now();
            let until = end(now);
            guest.record(Kind::Until, request, &until.as_millis(), None)?;
            // A sleep that is over by now commits, too. Otherwise, the speed of the host decides
            // what the run reads after it.
            if until > now {
                guest.wait(Wait::until(until)).await?;
            }
            until
        }
    };
    loop {
        if let Err(failure) = guest.check_cancelled() {
            return answer(Err(failure));
        }
        if guest.replay::<()>(Kind::Sleep, request)?.is_some() {
            guest.log.clock.not_before(until);
            return answer(Ok(()));
        }
        if guest.log.clock.now() >= until {
            guest.record(Kind::Sleep, request, &(), None)?;
            guest.keep();
            guest.begin_here();
            return answer(Ok(()));
        }
        guest.wait(Wait::until(until)).await?;
    }
}

/// Sleeps for a WASI function, which cannot fail: a cancellation request ends the sleep at once.
pub(in crate::host) async fn sleep_for_wasi(guest: &mut GuestState, until: Timestamp) -> wasmtime::Result<()> {
    guest.not_in_health_check("sleep").map_err(GuestStop::from)?;
    let request = hash(&[b"wasi", &until.as_millis().to_le_bytes()]);
    if guest.replay::<()>(Kind::Sleep, request)?.is_none() {
        let in_step = guest.history.depth() > 0;
        loop {
            let left = until.millis_since(guest.log.clock.now());
            if left == 0 || guest.cancel().urgency() >= Urgency::Requested {
                break;
            }
            if in_step {
                guest.save().await?;
                let cancel = guest.cancel().clone();
                tokio::select! {
                    () = cancel.reached(Urgency::Requested) => {}
                    () = tokio::time::sleep(Duration::from_millis(left)) => {}
                }
                break;
            }
            guest.wait(Wait::until(until)).await?;
        }
        guest.record(Kind::Sleep, request, &(), None)?;
        if !in_step {
            guest.keep();
            guest.begin_here();
        }
    }
    guest.log.clock.not_before(until);
    Ok(())
}

fn allowed(guest: &mut GuestState, call: &str) -> Result<(), Failure> {
    guest.check_cancelled()?;
    guest.not_in_health_check(call)?;
    not_in_step(guest, call)
}

/// Waits for the first of several items.
pub(super) async fn first(
    guest: &mut GuestState,
    any_of: Vec<WaitFor>,
    timeout: Option<u64>,
) -> wasmtime::Result<HostResult<Option<First>>> {
    let checked = allowed(guest, "durable.await-first").and_then(|()| wait_targets(any_of, timeout.is_some()));
    let any_of = match checked {
        Ok(any_of) => any_of,
        Err(failure) => return answer(Err(failure)),
    };
    let results = wait(guest, Kind::AwaitFirst, any_of, timeout).await?;
    answer(results.map(|results| {
        results.into_iter().next().map(|WaitResult { index, what }| First { index, event: what.into_event() })
    }))
}

/// Waits for the ends of several runs.
pub(super) async fn all(
    guest: &mut GuestState,
    runs: Vec<String>,
    timeout: Option<u64>,
) -> wasmtime::Result<HostResult<Option<Vec<Outcome>>>> {
    let any_of = runs.into_iter().map(WaitFor::Run).collect();
    let checked = allowed(guest, "durable.await-all").and_then(|()| wait_targets(any_of, true));
    let runs = match checked {
        Ok(runs) => runs,
        Err(failure) => return answer(Err(failure)),
    };
    if runs.is_empty() {
        return answer(Ok(Some(Vec::new())));
    }
    let results = wait(guest, Kind::AwaitAll, runs, timeout).await?;
    let outcomes = |results: Vec<WaitResult>| {
        (!results.is_empty()).then(|| results.into_iter().filter_map(|result| result.what.into_outcome()).collect())
    };
    answer(results.map(outcomes))
}

/// Validates the items of a wait.
fn wait_targets(any_of: Vec<WaitFor>, ends: bool) -> Result<Vec<WaitTarget>, Failure> {
    let signals = any_of.iter().filter(|target| matches!(target, WaitFor::Signal(_))).count();
    let runs = any_of.len() - signals;
    if signals > SIGNALS || runs > RUNS {
        return bad(format!(
            "the wait is for {signals} signals and {runs} runs; the maximum is {SIGNALS} signals and {RUNS} runs"
        ));
    }
    if any_of.is_empty() && !ends {
        return bad("the wait has neither an item nor a timeout, so it would never end");
    }
    any_of
        .into_iter()
        .map(|target| match target {
            WaitFor::Signal(name) if name.is_empty() || name.len() > SIGNAL_NAME_BYTES => {
                bad(format!("the name of a signal has 1 to {SIGNAL_NAME_BYTES} bytes"))
            }
            WaitFor::Signal(name) => Ok(WaitTarget::Signal(name)),
            WaitFor::Run(id) => match id.parse() {
                Ok(id) => Ok(WaitTarget::Run(id)),
                Err(_) => bad(format!("`{}` is not a run id", id.chars().take(64).collect::<String>())),
            },
        })
        .collect()
}

/// Waits for one of several items, or for all of them. The result is empty if the timeout expired
/// first.
async fn wait(
    guest: &mut GuestState,
    kind: Kind,
    targets: Vec<WaitTarget>,
    timeout: Option<u64>,
) -> wasmtime::Result<Result<Vec<WaitResult>, Failure>> {
    let parts: Vec<String> = targets
        .iter()
        .map(|target| match target {
            WaitTarget::Signal(name) => format!("signal {name}"),
            WaitTarget::Run(id) => format!("run {id}"),
        })
        .collect();
    let request =
        hash(&[parts.join("\n").as_bytes(), &timeout.unwrap_or_default().to_le_bytes(), &[timeout.is_some().into()]]);
    let began = match guest.replay::<Result<Option<u64>, Failure>>(Kind::Until, request)? {
        Some(began) => began,
        None => {
            let own = own_runs(guest, &targets).await?;
            let now = guest.log.clock.now();
            let began = own.map(|()| timeout.map(|timeout| now.plus_millis(timeout).as_millis()));
            guest.record(Kind::Until, request, &began, Some(shown(&parts).as_bytes()))?;
            began
        }
    };
    let until = match began {
        Ok(until) => until.map(Timestamp::from_millis),
        Err(failure) => return Ok(Err(failure)),
    };
    let all = kind == Kind::AwaitAll;
    loop {
        if let Err(failure) = guest.check_cancelled() {
            return Ok(Err(failure));
        }
        if let Some(results) = guest.replay::<Result<Vec<WaitResult>, Failure>>(kind, request)? {
            return Ok(results);
        }
        if let Some(results) = look(guest, &targets, all, until).await? {
            return record_result(guest, kind, request, results, until);
        }
        let any_of = targets
            .iter()
            .map(|target| match target {
                WaitTarget::Signal(name) => run::WaitCondition::Signal(name.clone()),
                WaitTarget::Run(id) => run::WaitCondition::Run(*id),
            })
            .collect();
        guest.wait(Wait { any_of, all, until }).await?;
    }
}

/// Returns what the journal shows of a wait: one line for each of the first items, and the number
/// of the others.
fn shown(parts: &[String]) -> String {
    match parts.get(..SHOWN) {
        Some(first) if parts.len() > SHOWN => format!("{}\n{} more", first.join("\n"), parts.len() - SHOWN),
        _ => parts.join("\n"),
    }
}

/// Checks that the run itself started every run that it waits for.
async fn own_runs(guest: &mut GuestState, targets: &[WaitTarget]) -> wasmtime::Result<Result<(), Failure>> {
    let store = Arc::clone(&guest.services.store);
    for target in targets {
        let WaitTarget::Run(id) = target else { continue };
        if guest.transaction.starting(*id).is_some() {
            continue;
        }
        let run = read(|| store.run(*id)).await?;
        if run.is_none_or(|run| run.trigger.parent != Some(guest.run.id)) {
            return Ok(Err(Code::BadArgument.failure(format!("run {id} was not started by this one"))));
        }
    }
    Ok(Ok(()))
}

/// Returns the result of a wait: `None` if there is none yet, otherwise the first item or all
/// items, or an empty list after the deadline. The earliest item counts, whenever it is looked up.
async fn look(
    guest: &mut GuestState,
    targets: &[WaitTarget],
    all: bool,
    until: Option<Timestamp>,
) -> wasmtime::Result<Option<Vec<WaitResult>>> {
    let now = guest.log.clock.now();
    let over = until.is_some_and(|until| now >= until);
    let in_time = |at: Timestamp| until.is_none_or(|until| at <= until);
    let store = Arc::clone(&guest.services.store);
    let me = guest.run.id;
    let mut found: Vec<(Timestamp, WaitResult)> = Vec::new();
    for (index, target) in (0u32..).zip(targets) {
        match target {
            WaitTarget::Signal(name) => {
                let after = guest.transaction.last_taken_position(name);
                if let Some(signal) = read(|| store.inbox(me, name, after)).await? {
                    let payload = String::from_utf8_lossy(&signal.payload).into_owned();
                    let what = WaitResultKind::Signal { name: name.clone(), place: signal.place, payload };
                    found.push((signal.at, WaitResult { index, what }));
                }
            }
            // A run that this transaction starts has not begun.
            WaitTarget::Run(id) if guest.transaction.starting(*id).is_some() => {}
            WaitTarget::Run(id) => {
                if let Some(outcome) = read(|| store.outcome(*id)).await? {
                    found.push((outcome.ended_at, WaitResult { index, what: WaitResultKind::of(*id, outcome) }));
                }
            }
        }
    }
    found.retain(|(at, _)| in_time(*at));
    if all {
        let whole = found.len() == targets.len();
        return Ok(if whole {
            Some(found.into_iter().map(|(_, result)| result).collect())
        } else {
            over.then(Vec::new)
        });
    }
    // Of items with the same time, the first in the call.
    let first = found.into_iter().min_by_key(|(at, result)| (*at, result.index));
    Ok(match first {
        Some((_, result)) => Some(vec![result]),
        None => over.then(Vec::new),
    })
}

/// Records the result of a wait as the first entry of the next transaction.
fn record_result(
    guest: &mut GuestState,
    kind: Kind,
    request: Hash,
    results: Vec<WaitResult>,
    until: Option<Timestamp>,
) -> wasmtime::Result<Result<Vec<WaitResult>, Failure>> {
    let size: usize = results.iter().map(|result| result.what.bytes()).sum();
    let results = if size > FETCH_ALL_BYTES {
        let message = format!("the outcomes have {size} bytes; one call returns at most {FETCH_ALL_BYTES}");
        Err(Code::LimitHostCall.failure(message))
    } else {
        Ok(results)
    };
    for result in results.iter().flatten() {
        match &result.what {
            WaitResultKind::Signal { name, place, .. } => guest.transaction.take(name, *place),
            WaitResultKind::Failed { run, .. } | WaitResultKind::Cancelled { run } => guest.transaction.observe(*run),
            WaitResultKind::Succeeded { .. } => {}
        }
    }
    let timed_out = results.as_ref().is_ok_and(Vec::is_empty);
    if let Some(until) = until.filter(|_| timed_out) {
        guest.log.clock.not_before(until);
    }
    guest.record(kind, request, &results, None)?;
    if timed_out {
        guest.keep();
    }
    guest.begin_here();
    Ok(results)
}

/// An item to wait for.
enum WaitTarget {
    Signal(String),
    Run(RunId),
}

/// The result of one item, as it is recorded.
#[derive(Serialize, Deserialize)]
struct WaitResult {
    /// Its index in the call.
    index: u32,
    what: WaitResultKind,
}

#[derive(Serialize, Deserialize)]
enum WaitResultKind {
    Signal { name: String, place: u64, payload: String },
    Succeeded { run: RunId, output: String },
    Failed { run: RunId, failure: Failure },
    Cancelled { run: RunId },
}

impl WaitResultKind {
    fn of(run: RunId, outcome: ChildOutcome) -> Self {
        match outcome.state {
            RunState::Succeeded => {
                let output =
                    outcome.output.map_or_else(|| "null".to_owned(), |it| String::from_utf8_lossy(&it).into_owned());
                Self::Succeeded { run, output }
            }
            // The enclosing step does not retry a child's final failure.
            RunState::Failed(failure) => Self::Failed { run, failure: Failure { retryable: false, ..failure } },
            _ => Self::Cancelled { run },
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Signal { payload, .. } => payload.len(),
            Self::Succeeded { output, .. } => output.len(),
            Self::Failed { failure, .. } => failure.message.len() + failure.details.as_ref().map_or(0, String::len),
            Self::Cancelled { .. } => 0,
        }
    }

    fn into_outcome(self) -> Option<Outcome> {
        match self {
            Self::Signal { .. } => None,
            Self::Succeeded { output, .. } => Some(Outcome::Succeeded(output)),
            Self::Failed { failure, .. } => Some(Outcome::Failed(failure.into())),
            Self::Cancelled { .. } => Some(Outcome::Cancelled),
        }
    }

    fn into_event(self) -> Event {
        match self {
            Self::Signal { payload, .. } => Event::Signal(payload),
            Self::Succeeded { output, .. } => Event::Ended(Outcome::Succeeded(output)),
            Self::Failed { failure, .. } => Event::Ended(Outcome::Failed(failure.into())),
            Self::Cancelled { .. } => Event::Ended(Outcome::Cancelled),
        }
    }
}
