//! Steps: what is retried and remembered as a whole. Which of them are open is known here, for keys that are to differ from one attempt to the
//! next; the record itself is the host's.

use crate::host::durable as host;
use crate::retry::Retry;
use crate::{Error, Result, context, json};
use serde::{Serialize, de::DeserializeOwned};
use std::cell::RefCell;

/// Carries out a named part of the run that is retried by the deployment's policy and remembered as a whole: when the run is brought
/// back, a completed step is skipped and its result taken from the record.
///
/// **Only its result leaves a step**, which is why it takes `Fn`: what it would change around it is not there again when it is skipped.
/// The result is what was recorded, also the first time. Steps nest: the record of a completed one no longer holds what was inside, so that
/// a run of a million steps in a thousand by a thousand stays small. A step is work: sleeping, waiting and starting runs inside one is refused.
///
/// # Errors
/// What the work failed with once its retries are exhausted, or at once where that is not retryable: such an error is not retryable to what
/// encloses the step. `host/cancelled` once the run is to end; `host/not-available` where the host does not do this yet.
pub fn step<T, E>(name: &str, work: impl Fn() -> Result<T, E>) -> Result<T>
where
    T: Serialize + DeserializeOwned,
    E: Into<Error>,
{
    run_step(name, None, &|_| work().map_err(Into::into))
}

/// As [`step`], with a retry policy of its own; the work is told which attempt it is, counting from 1.
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
    // Decoded the first time too, so that what a skipped step gives is what it gave.
    json::decode(&record).map_err(|why| Error::new("bad-step", format!("the result of step `{name}`: {why}")))
}

/// Once for all types, so that each use of a step costs a component little.
fn attempts(name: &str, retry: Option<Retry>, work: &dyn Fn(u32) -> Result<String>) -> Result<String> {
    let policy = retry.map(Retry::to_policy);
    // A step that gave up before answers its failure here.
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

/// Where the run is among its steps, from the outside in: a hash of their names and attempts, and how many keys were made there.
#[derive(Clone, Copy)]
struct Place {
    hash: u64,
    keys: u64,
}

thread_local! {
    static PLACES: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
    static OUTERMOST_KEYS: RefCell<u64> = const { RefCell::new(0) };
}

/// A step's attempt under way. Closed when dropped, so that an unwinding test leaves no step open behind it.
struct Open;

impl Open {
    fn new(name: &str, attempt: u32) -> Self {
        PLACES.with_borrow_mut(|places| {
            let outer = places.last().map_or(FNV_OFFSET, |place| place.hash);
            // 0xff is in no UTF-8 text, so two names never run into one another.
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

/// A key that is the same in every try and after a crash, and another in each attempt of the run and of the steps that are open.
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

/// FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv/. The run's id before it makes the key unique; this only tells apart what one
/// run asks for.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// A new instance has made no key yet; a test that runs one on the thread of another sets that one's keys aside until this is dropped.
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
