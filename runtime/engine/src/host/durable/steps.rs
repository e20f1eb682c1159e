//! Steps: units of work that are retried and remembered as a whole. A name holds 1 to 255 bytes, a
//! result 4 MiB, and at most 64 steps are nested.

use std::sync::Arc;
use std::time::Duration;

use tidemill_core::journal::{Position, StepReplay};
use tidemill_core::limits::OUTPUT_BYTES;
use tidemill_core::money::LedgerStream;
use tidemill_core::retry::RetryPolicy;
use tidemill_core::{Code, Failure, Timestamp};
use tidemill_store::records::{FailedPart, FailureRecord};

use super::{bad, bounded_json};
use crate::activation::channel::CommitReason;
use crate::component::bindings::wit::durable::{Begun, Step, Verdict};
use crate::component::bindings::wit::types;
use crate::guest::cancel::Urgency;
use crate::guest::{GRACE_WAITS, GuestState, read};
use crate::host::abi::{HostResult, answer};
use crate::replay::cancelled;
use crate::replay::state::{JournalMark, NameCounters, hash};
use crate::transaction::held::HeldVersions;

/// Maximum size of a name, in bytes.
const NAME_BYTES: usize = 255;
/// Maximum number of nested steps.
const DEPTH: u32 = 64;
/// Maximum delay before the next attempt that is waited in memory, in milliseconds.
const IN_MEMORY: u64 = 2_000;
/// Prefix of the name of a compensating step, as the SDK's sagas name them.
const UNDO: &str = "undo ";
/// Maximum jitter before attempts that an open circuit refused are repeated, in milliseconds.
const APART_MILLIS: u64 = 5_000;

/// Begins a step, resumes it, or returns its recorded result.
pub(super) async fn begin(
    guest: &mut GuestState,
    name: String,
    retry: Option<types::RetryPolicy>,
) -> wasmtime::Result<HostResult<Begun>> {
    let allowed = guest
        .check_cancelled()
        .and_then(|()| guest.not_in_health_check("durable.begin-step"))
        .and_then(|()| check(guest, &name, retry));
    let retry = match allowed {
        Ok(retry) => retry,
        Err(failure) => return answer(Err(failure)),
    };
    let met = guest.history.journal.begin_step(&name).map_err(|mismatch| guest.mismatch(&mismatch))?;
    let begun = |id, attempt| answer(Ok(Begun { id, step: Step::Execute(attempt) }));
    match met {
        StepReplay::Completed { id, result } => {
            guest.replayed_one()?;
            let result = String::from_utf8_lossy(&result).into_owned();
            answer(Ok(Begun { id, step: Step::Completed(result) }))
        }
        StepReplay::GaveUp { failure, .. } | StepReplay::Refused { failure, .. } => {
            guest.replayed_one()?;
            answer(Err(recorded(&failure)))
        }
        StepReplay::Resumed { id, attempt, not_before } => {
            guest.history.frames.push(frame(guest, id, &name, attempt, retry));
            set_log_attempt(guest);
            guest.replayed_one()?;
            if guest.history.live && !back_off(guest, not_before).await? {
                return give_up(guest, id, cancelled()).await.map(|failure| Err(failure.into()));
            }
            begun(id, attempt)
        }
        StepReplay::New { id } => {
            // A dry run has reached a new call.
            guest.go_live()?;
            let (at, fuel) = guest.moment();
            guest.history.journal.open_step(id, 1, at, fuel);
            guest.history.frames.push(frame(guest, id, &name, 1, retry));
            set_log_attempt(guest);
            guest.transaction.open();
            guest.recorded(name.len())?;
            begun(id, 1)
        }
    }
}

/// Ends the innermost open step, or begins its next attempt.
pub(super) async fn end(
    guest: &mut GuestState,
    id: u32,
    outcome: Result<String, types::Failure>,
) -> wasmtime::Result<HostResult<Verdict>> {
    if let Err(failure) = guest.not_in_health_check("durable.end-step") {
        return answer(Err(failure));
    }
    let depth = guest.history.depth();
    if depth == 0 || guest.history.frame().id != id {
        return answer(Err(Code::StepOrder.failure("only the innermost open step can be ended")));
    }
    let failure = match outcome {
        Ok(result) => {
            if let Err(failure) = bounded_json("the result of the step", &result, OUTPUT_BYTES) {
                return answer(Err(failure));
            }
            settle_reads(guest, depth).await?;
            if is_held(guest).await? {
                complete(guest, id, depth, &result)?;
                return answer(Ok(Verdict::Done));
            }
            Code::Conflict.failure("another run has changed a value that this step read before its request left")
        }
        Err(failure) => guest.accept(failure.into()),
    };
    let frame = guest.history.frame();
    let (attempt, retry) = (frame.attempt, frame.retry);
    // The attempt sent nothing, so it does not count: the next one waits for the circuit.
    let refused =
        frame.next_attempt.refused && failure.code == Code::HttpCircuitOpen.as_str() && retry.max_attempts != 1;
    if !refused {
        report_failed_attempt(guest, attempt, &failure);
    }
    let next = if refused { attempt } else { attempt.saturating_add(1) };
    // A compensating step uses its policy for as long as the grace period allows.
    let not_before = next_attempt_at(guest, next);
    let in_grace = guest.history.notice.is_none_or(|notice| not_before < notice.at.plus_millis(GRACE_WAITS));
    let another = failure.retryable && (refused || retry.has_another(attempt));
    if !another || guest.is_cancel_requested() || !in_grace {
        return give_up(guest, id, failure).await.map(|failure| Ok(Verdict::GiveUp(failure.into())));
    }
    again(guest, id, depth, next, not_before)?;
    if back_off(guest, not_before).await? {
        answer(Ok(Verdict::Again(next)))
    } else {
        give_up(guest, id, cancelled()).await.map(|failure| Ok(Verdict::GiveUp(failure.into())))
    }
}

/// Checks that a step may begin, and returns its retry policy.
fn check(guest: &GuestState, name: &str, retry: Option<types::RetryPolicy>) -> Result<RetryPolicy, Failure> {
    if name.is_empty() || name.len() > NAME_BYTES {
        return bad(format!("the name of a step has 1 to {NAME_BYTES} bytes; this one has {}", name.len()));
    }
    if guest.history.depth() >= DEPTH {
        return bad(format!("{DEPTH} steps are nested, which is the maximum"));
    }
    let Some(retry) = retry else { return Ok(guest.run.step_retry) };
    let policy = RetryPolicy {
        max_attempts: retry.max_attempts,
        initial_millis: retry.initial_delay,
        factor_permille: retry.factor_permille,
        max_millis: retry.max_delay,
        jitter_permille: retry.jitter_permille,
    };
    policy.checked().or_else(|error| bad(format!("the retry policy: {error}")))
}

fn frame(guest: &GuestState, id: u32, name: &str, attempt: u32, retry: RetryPolicy) -> NameCounters {
    let path = guest.history.journal.path_hash();
    let frame = NameCounters::step(guest.run.seed, guest.run.generation, id, path, attempt, retry);
    NameCounters { undoes: name.starts_with(UNDO), ..frame }
}

/// Sets the attempt number of later log lines: that of the innermost retried step.
fn set_log_attempt(guest: &GuestState) {
    let again = guest.history.frames.iter().rev().map(|frame| frame.attempt).find(|attempt| *attempt > 1);
    guest.log.in_attempt(again.unwrap_or_default());
}

fn recorded(failure: &[u8]) -> Failure {
    postcard::from_bytes(failure)
        .unwrap_or_else(|_| Code::StoreDamaged.failure("the recorded failure of a step cannot be read"))
}

/// Commits the reads if the transaction began inside the step. Otherwise they would be lost with
/// the step's entries. Here the transaction can still be redone.
async fn settle_reads(guest: &mut GuestState, depth: u32) -> wasmtime::Result<()> {
    if guest.history.marks.first.depth >= depth && guest.transaction.has_reads() {
        guest.commit(CommitReason::Leaving).await?;
    }
    Ok(())
}

/// Whether everything that the outermost step had read and written before a request left is
/// unchanged.
async fn is_held(guest: &mut GuestState) -> wasmtime::Result<bool> {
    let HeldVersions { keys, ids, reservations, decisions, entries } = guest.transaction.held();
    let store = Arc::clone(&guest.services.store);
    let run = Arc::clone(&guest.run);
    let deployment = &run.deployment;
    let stream = LedgerStream::of(deployment);
    for (key, version) in &keys {
        if !version.is_current(&read(|| store.state(deployment, key)).await?) {
            return Ok(false);
        }
    }
    for (id, version) in &ids {
        if read(|| store.external_id(&stream, id)).await?.version != *version {
            return Ok(false);
        }
    }
    for id in &reservations {
        if read(|| store.reservation(id)).await?.is_none_or(|reservation| reservation.closed.is_some()) {
            return Ok(false);
        }
    }
    if decisions.is_empty() {
        return Ok(true);
    }
    let now = guest.log.clock.now();
    Ok(read(|| store.decisions_hold(&decisions, &entries, now)).await?)
}

fn complete(guest: &mut GuestState, id: u32, depth: u32, result: &str) -> wasmtime::Result<()> {
    close(guest, id, Ok(result.as_bytes()))?;
    guest.transaction.close(true);
    if depth == 1 {
        guest.keep();
    } else if guest.history.marks.kept.depth >= depth {
        guest.transaction.keep_steps();
        guest.history.marks.kept = guest.history.mark();
    }
    if guest.history.marks.first.depth >= depth {
        guest.begin_here();
    }
    Ok(())
}

/// Ends the step with its failure, which the enclosing step does not retry. A retry of the run
/// repeats the step.
async fn give_up(guest: &mut GuestState, id: u32, failure: Failure) -> wasmtime::Result<Failure> {
    let depth = guest.history.depth();
    settle_reads(guest, depth).await?;
    if guest.is_cancel_requested() && failure.code == Code::Cancelled.as_str() {
        guest.notify_cancelled();
    }
    let failure = Failure { retryable: false, ..failure };
    let bytes = postcard::to_stdvec(&failure).unwrap_or_default();
    close(guest, id, Err(&bytes))?;
    guest.transaction.close(false);
    if guest.history.marks.kept.depth >= depth {
        // The position before the step: only the step's own entry follows it.
        let before = guest.history.journal.position().get().saturating_sub(1);
        guest.history.marks.kept = JournalMark { at: Position::new(before), depth: depth - 1 };
        guest.transaction.keep_steps();
    }
    if guest.history.marks.first.depth >= depth {
        guest.begin_here();
    }
    Ok(failure)
}

fn close(guest: &mut GuestState, id: u32, result: Result<&[u8], &[u8]>) -> wasmtime::Result<()> {
    let (at, fuel) = guest.moment();
    let size = result.unwrap_or_else(|failure| failure).len();
    guest.history.journal.step_done(id, result, at, fuel).map_err(|mismatch| guest.mismatch(&mismatch))?;
    guest.history.frames.pop();
    set_log_attempt(guest);
    let here = guest.history.journal.position();
    if let Some(notice) = &mut guest.history.notice {
        notice.entry = notice.entry.min(here);
    }
    guest.recorded(size)
}

/// Returns the earliest time of an attempt of the innermost open step that follows one that failed
/// now.
fn next_attempt_at(guest: &mut GuestState, attempt: u32) -> Timestamp {
    let (now, seed) = (guest.log.clock.now(), guest.run.seed);
    let frame = guest.history.frame();
    let random = hash(&[&frame.path, &attempt.to_le_bytes(), &seed.0]);
    let random = random.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    // The first attempt has no delay; a repeated first attempt waits as the second does.
    let mut not_before = now.plus_millis(frame.retry.delay_before(attempt.max(2), random));
    if let Some(earliest) = frame.next_attempt.not_before {
        let apart = if frame.next_attempt.refused { random % APART_MILLIS } else { 0 };
        not_before = not_before.max(earliest.plus_millis(apart));
    }
    not_before
}

/// Reports a failed attempt of the innermost open step. A cancellation of the run is not a failure
/// of its step.
fn report_failed_attempt(guest: &GuestState, attempt: u32, failure: &Failure) {
    if guest.history.live && failure.code != Code::Cancelled.as_str() {
        let part = FailedPart::Step { path: guest.history.journal.step_path(), attempt };
        let (at, run_attempt) = (guest.log.clock.now(), guest.run.attempt);
        guest.channel.failed(FailureRecord { at, attempt: run_attempt, part, failure: failure.clone() }.bounded());
    }
}

/// Drops the attempt. The next one may begin at `not_before`.
fn again(guest: &mut GuestState, id: u32, depth: u32, attempt: u32, not_before: Timestamp) -> wasmtime::Result<()> {
    let (at, fuel) = guest.moment();
    let (seed, generation) = (guest.run.seed, guest.run.generation);
    guest.history.frame().again(seed, generation, attempt);
    set_log_attempt(guest);
    guest
        .history
        .journal
        .step_again(id, attempt, not_before, at, fuel)
        .map_err(|mismatch| guest.mismatch(&mismatch))?;
    guest.transaction.drop_attempt();
    if guest.history.marks.kept.depth >= depth {
        guest.transaction.keep_steps();
        guest.history.marks.kept = guest.history.mark();
    }
    if guest.history.marks.first.depth >= depth {
        guest.begin_here();
    }
    guest.recorded(0)
}

/// Waits until the next attempt may begin. Returns false if a cancellation is requested first.
async fn back_off(guest: &mut GuestState, not_before: Timestamp) -> wasmtime::Result<bool> {
    loop {
        if guest.is_cancel_requested() {
            return Ok(false);
        }
        let left = not_before.millis_since(guest.log.clock.now());
        if left == 0 {
            return Ok(true);
        }
        if left > IN_MEMORY {
            guest.commit(CommitReason::BackOff { until: not_before }).await?;
            continue;
        }
        guest.save().await?;
        let cancel = guest.cancel().clone();
        tokio::select! {
            biased;
            () = cancel.reached(Urgency::Requested), if guest.history.notice.is_none() => return Ok(false),
            () = tokio::time::sleep(Duration::from_millis(left)) => {}
        }
        guest.log.clock.not_before(not_before);
    }
}
