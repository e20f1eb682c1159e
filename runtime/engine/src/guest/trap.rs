//! Maps the many ways in which wasmtime reports a stopped guest to one code each.

use std::collections::BTreeSet;
use std::fmt;

use tidemill_core::{Code, Failure, Limits};
use wasmtime::{Trap, WasmBacktrace};

use crate::guest::stack;
use crate::guest::stack::first_line;

/// Minimum depth of a trace that counts as a deep recursion: the maximum that wasmtime collects.
const FRAMES: usize = 20;

/// The source of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The export returned it.
    Guest,
    /// The guest trapped, called exit, or returned an invalid value.
    Trap,
    /// The run reached one of its limits.
    Limit,
    /// The host could not execute the run.
    Host,
    /// The guest's calls differ from the journal. A retry does not help, and the run is parked.
    Mismatch,
    /// The run was cancelled, or the host shuts down.
    Cancelled,
}

/// Stops the guest with this failure. Host functions return it as their error.
#[derive(Debug, Clone)]
pub(crate) struct GuestStop {
    /// The failure that the run ends with.
    pub failure: Failure,
    /// Whether the epoch stopped the guest, after which wasmtime's fuel counter is unreliable.
    pub by_epoch: bool,
}

impl GuestStop {
    /// Returns a stop with a code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { failure: code.failure(message), by_epoch: false }
    }

    /// Marks the stop as raised by the epoch callback.
    pub fn by_epoch(self) -> Self {
        Self { by_epoch: true, ..self }
    }
}

impl fmt::Display for GuestStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl std::error::Error for GuestStop {}

impl From<Failure> for GuestStop {
    fn from(failure: Failure) -> Self {
        Self { failure, by_epoch: false }
    }
}

/// The meaning of a guest's error.
pub(crate) struct ClassifiedStop {
    /// The run's failure.
    pub failure: Failure,
    /// The source of the failure.
    pub cause: Cause,
    /// Whether the epoch stopped the guest.
    pub by_epoch: bool,
}

/// Converts the error of a call into the run's failure.
///
/// `panic` returns the guest's own panic message, if there is one.
pub(crate) fn classify(
    error: &wasmtime::Error,
    limits: &Limits,
    panic: impl FnOnce() -> Option<String>,
) -> ClassifiedStop {
    if let Some(end) = error.downcast_ref::<GuestStop>() {
        let mut failure = end.failure.clone();
        if failure.details.is_none() {
            failure.details = stack::details_of(error);
        }
        let cause = cause_of(&failure);
        return ClassifiedStop { failure, cause, by_epoch: end.by_epoch };
    }
    let (code, message) = if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        (Code::Exited, format!("the guest called exit with status {}", exit.0))
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        match trap {
            Trap::OutOfFuel => (Code::LimitFuel, out_of_fuel(limits)),
            Trap::StackOverflow => (Code::StackOverflow, "the guest's stack overflowed".to_owned()),
            Trap::MemoryOutOfBounds if is_below_the_stack(error) => {
                (Code::StackOverflow, "the guest's stack overflowed".to_owned())
            }
            Trap::UnreachableCodeReached => (Code::Trap, panic().unwrap_or_else(|| trapped(*trap))),
            other => (Code::Trap, trapped(*other)),
        }
    } else if error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some() {
        (Code::Internal, format!("the pool is full: {error}"))
    } else if is_host_call_bound(error) && error.downcast_ref::<WasmBacktrace>().is_none() {
        // No guest code is running: the value is the export's result.
        (Code::LimitOutput, "the output exceeds 8 MiB".to_owned())
    } else if is_host_call_bound(error) {
        (Code::LimitHostCall, "the arguments of one host call exceed 8 MiB in total".to_owned())
    } else {
        (Code::Trap, format!("the guest was stopped: {}", root(error)))
    };
    let mut failure = code.failure(message);
    failure.details = stack::details_of(error);
    let cause = cause_of(&failure);
    ClassifiedStop { failure, cause, by_epoch: false }
}

/// The stop of a guest whose replay used far more fuel than the run had used before.
pub(crate) fn out_of_replay(limits: &Limits) -> ClassifiedStop {
    let message = format!(
        "the replay used ten times the run's limit of {} units of fuel; raise it with `fuel = {}` under `[limits]`, or use steps",
        limits.fuel,
        limits.fuel.get().saturating_mul(2)
    );
    ClassifiedStop { failure: Code::LimitFuel.failure(message), cause: Cause::Limit, by_epoch: false }
}

/// The message of a run that used up its fuel.
pub(crate) fn out_of_fuel(limits: &Limits) -> String {
    format!(
        "the run used up its {0} units of fuel; raise it with `fuel = {1}` under `[limits]`",
        limits.fuel,
        limits.fuel.get().saturating_mul(2)
    )
}

/// The stop of a notified run that used up the fuel of its grace period.
pub(crate) fn out_of_grace() -> ClassifiedStop {
    let failure = Code::LimitGrace.failure("the run was cancelled and used up the fuel of its grace period");
    ClassifiedStop { cause: cause_of(&failure), failure, by_epoch: false }
}

/// Returns the source of a failure with a host code.
pub(crate) fn cause_of(failure: &Failure) -> Cause {
    match Code::parse(&failure.code) {
        Some(Code::Cancelled | Code::ShuttingDown) => Cause::Cancelled,
        Some(
            Code::LimitFuel
            | Code::LimitMemory
            | Code::LimitActive
            | Code::LimitLifetime
            | Code::LimitOutput
            | Code::LimitInput
            | Code::LimitHostCall
            | Code::LimitRandom
            | Code::LimitJournal
            | Code::LimitGrace,
        ) => Cause::Limit,
        Some(
            Code::Internal
            | Code::StoreDamaged
            | Code::StoreReadOnly
            | Code::StoreUnavailable
            | Code::DiskFull
            | Code::Conflict,
        ) => Cause::Host,
        _ => Cause::Trap,
    }
}

/// The type of wasmtime's error for too large arguments is private; a test pins its text.
fn is_host_call_bound(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| first_line(&cause).starts_with("too much data is being copied between"))
}

/// Whether the trap is a stack overflow. Compilers place values that have an address on a stack in
/// memory, which begins at the lowest address. If that stack overflows first, a deep recursion
/// accesses an address below zero. If `memory.copy` does so, no address is known; then only the
/// recursion of a few functions indicates it.
fn is_below_the_stack(error: &wasmtime::Error) -> bool {
    const BELOW: u64 = 1 << 20;
    let Some(trace) = error.downcast_ref::<WasmBacktrace>().filter(|trace| trace.frames().len() >= FRAMES) else {
        return false;
    };
    let address = error.chain().find_map(|cause| {
        let words = first_line(&cause);
        let (_, rest) = words.split_once("memory fault at wasm address 0x")?;
        u64::from_str_radix(rest.split(|c: char| !c.is_ascii_hexdigit()).next()?, 16).ok()
    });
    match address {
        Some(address) => (u64::from(u32::MAX) + 1 - BELOW..=u64::from(u32::MAX) + BELOW).contains(&address),
        None => {
            let functions: BTreeSet<_> = trace.frames().iter().map(wasmtime::FrameInfo::func_index).collect();
            functions.len() <= FRAMES / 4
        }
    }
}

fn trapped(trap: Trap) -> String {
    let words = trap.to_string();
    format!("the guest trapped: {}", words.strip_prefix("wasm trap: ").unwrap_or(&words))
}

fn root(error: &wasmtime::Error) -> String {
    let mut text = error.root_cause().to_string();
    text.truncate(text.floor_char_boundary(1000));
    text
}
