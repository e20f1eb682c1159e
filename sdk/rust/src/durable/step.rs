//! Steps: named parts of a run that are retried and recorded as a unit. This file tracks the open
//! steps for keys that differ between attempts. The host keeps the record.

use crate::host::durable as host;
use crate::retry::Retry;
use crate::{Error, Result, context, json};
use serde::{Serialize, de::DeserializeOwned};
use std::cell::RefCell;

/// Executes a named step. The host retries it by the deployment's policy and records it as a unit.
/// Replay skips a completed step and returns its recorded result.
///
/// **Only the result leaves a step.** Therefore `work` is `Fn`: changes to its surroundings would
/// be missing when replay skips the step. The result is always the recorded one, also the first
/// time. Steps nest: the record of a completed step drops everything inside it, so that a run of a
/// thousand times a thousand steps has a small journal. A step may not sleep, wait or start runs.
///
/// # Errors
/// The failure of the work after its last attempt, or at once if it is not retryable. This failure
/// is not retryable for the enclosing step or run. `host/cancelled` if the run is being cancelled;
/// `host/not-available` if the host does not implement it.
pub fn step<T, E>(name: &str, work: impl Fn() -> Result<T, E>) -> Result<T>
where
    T: Serialize + DeserializeOwned,
    E: Into<Error>,
{
    run_step(name, None, &|_| work().map_err(Into::into))
}

/// As [`step`], with its own retry policy. The work receives the number of the attempt, from 1.
///
/// # Errors
/// As [`step`].
pub fn step_with<T, E>(name: &str, retry: Retry, work: impl Fn(u32) -> Result<T, E>) -> Result<T>
where
    T: Serialize + DeserializeOwned,
    E: Into<Error>,
{
    run_step(name, Some(retry), &|attempt| work(attempt).map_err(Into::into))
}

fn run_step<T>(name: &str, retry: Option<Retry>, work: &dyn Fn(u32) -> Result<T>) -> Result<T>
where
    T: Serialize + DeserializeOwned,
{
    let record = attempts(name, retry, &|attempt| work(attempt).and_then(|value| json::encode(&value)))?;
    // The result is decoded the first time too, so that a skipped step returns exactly the same.
    json::decode(&record).map_err(|why| Error::new("bad-step", format!("the result of step `{name}`: {why}")))
}

/// Not generic, so that each use of a step adds little code to a component.
fn attempts(name: &str, retry: Option<Retry>, work: &dyn Fn(u32) -> Result<String>) -> Result<String> {
    let policy = retry.map(Retry::to_policy);
    // A step that already failed finally returns its failure here.
    let begun = host::begin_step(name, policy).map_err(Error::from_failure)?;
    let mut attempt = match begun.step {
        host::Step::Completed(record) => return Ok(record),
        host::Step::Execute(attempt) => attempt,
    };
    loop {
        let open = Open::new(name, attempt);
        let outcome = work(attempt).map_err(Error::into_failure);
        drop(open);
        let verdict = host::end_step(begun.id, outcome.as_deref()).map_err(Error::from_failure)?;
        match (verdict, outcome) {
            (host::Verdict::Again(next), _) => attempt = next,
            (host::Verdict::GiveUp(failure), _) | (host::Verdict::Done, Err(failure)) => {
                return Err(Error::from_failure(failure));
            }
            (host::Verdict::Done, Ok(record)) => return Ok(record),
        }
    }
}

/// The position of the run among its steps: a hash of the names and attempts of the open steps, and
/// the number of keys created there.
#[derive(Clone, Copy)]
struct Place {
    hash: u64,
    keys: u64,
}

thread_local! {
    static PLACES: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
    static OUTERMOST_KEYS: RefCell<u64> = const { RefCell::new(0) };
}

/// An open attempt of a step. It is closed when dropped, so that a test that unwinds leaves no step
/// open.
struct Open;

impl Open {
    fn new(name: &str, attempt: u32) -> Self {
        PLACES.with_borrow_mut(|places| {
            let outer = places.last().map_or(FNV_OFFSET, |place| place.hash);
            // UTF-8 text never contains 0xff, so two adjacent names cannot be confused.
            let named = fnv(fnv(outer, name.as_bytes()), &[0xff]);
            places.push(Place { hash: fnv(named, &attempt.to_le_bytes()), keys: 0 });
        });
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        PLACES.with_borrow_mut(Vec::pop);
    }
}

/// Creates a key that is the same in every try and after a crash, and differs between attempts of
/// the run and of its open steps.
pub(crate) fn new_key() -> String {
    let attempt = context::attempt();
    let (hash, ordinal) = PLACES.with_borrow_mut(|places| match places.last_mut() {
        Some(place) => {
            place.keys += 1;
            (place.hash, place.keys)
        }
        None => OUTERMOST_KEYS.with_borrow_mut(|keys| {
            *keys += 1;
            (FNV_OFFSET, *keys)
        }),
    });
    let hash = fnv(fnv(hash, &attempt.to_le_bytes()), &ordinal.to_le_bytes());
    format!("{}-{}-{hash:016x}", context::id(), context::generation())
}

/// FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/. The run's id in front makes the key
/// unique. The hash only distinguishes the keys of one run.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// A new guest has created no key. A test that runs a guest on the thread of another one saves the
/// keys of that guest until this is dropped.
#[cfg(all(feature = "testing", not(target_arch = "wasm32")))]
pub(crate) fn set_aside() -> SetAside {
    SetAside { places: PLACES.take(), keys: OUTERMOST_KEYS.take() }
}

#[cfg(all(feature = "testing", not(target_arch = "wasm32")))]
pub(crate) struct SetAside {
    places: Vec<Place>,
    keys: u64,
}

#[cfg(all(feature = "testing", not(target_arch = "wasm32")))]
impl Drop for SetAside {
    fn drop(&mut self) {
        PLACES.set(std::mem::take(&mut self.places));
        OUTERMOST_KEYS.set(self.keys);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv(FNV_OFFSET, b"foobar"), 0x8594_4171_f739_67e8);
    }
}
