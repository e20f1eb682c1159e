//! Creates ids and seeds from the operating system's random source, which is read in blocks so that
//! a run costs no system call.

use std::cell::RefCell;

use tidemill_core::run::Seed;
use tidemill_core::{Code, EventId, RunId, Timestamp};

use crate::error::ControlError;

/// Number of bytes per system call.
const BUFFERED: usize = 4096;

struct Buffer {
    bytes: [u8; BUFFERED],
    used: usize,
}

thread_local! {
    static BUFFER: RefCell<Buffer> = const { RefCell::new(Buffer { bytes: [0; BUFFERED], used: BUFFERED }) };
}

/// Returns a new run's id.
pub(crate) fn run_id(at: Timestamp) -> Result<RunId, ControlError> {
    take::<16>().map(|bytes| RunId::new(at, u128::from_le_bytes(bytes)))
}

/// Returns `count` new run ids in ascending order.
pub(crate) fn run_ids(at: Timestamp, count: usize) -> Result<Vec<RunId>, ControlError> {
    let mut ids = (0..count).map(|_| run_id(at)).collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    Ok(ids)
}

/// Returns a new event's id.
pub(crate) fn event_id(at: Timestamp) -> Result<EventId, ControlError> {
    take::<16>().map(|bytes| EventId::new(at, u128::from_le_bytes(bytes)))
}

/// Returns a new run's seed.
pub(crate) fn seed() -> Result<Seed, ControlError> {
    take::<32>().map(Seed)
}

/// Returns a random number for jitter.
pub(crate) fn number() -> u64 {
    take::<8>().map_or(0, u64::from_le_bytes)
}

/// Returns `N` fresh bytes. They are erased from the buffer, so that it never reveals a run's seed.
fn take<const N: usize>() -> Result<[u8; N], ControlError> {
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.used + N > BUFFERED {
            getrandom::fill(&mut buffer.bytes)
                .map_err(|error| ControlError::refused(Code::Internal, format!("no randomness: {error}")))?;
            buffer.used = 0;
        }
        let mut out = [0; N];
        if let Some(fresh) = buffer.bytes.get_mut(buffer.used..buffer.used + N) {
            out.copy_from_slice(fresh);
            fresh.fill(0);
        }
        buffer.used += N;
        Ok(out)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_and_seeds_are_unique_over_many_refills() {
        let ids: HashSet<_> = (0..5_000).map(|_| run_id(Timestamp::default()).unwrap()).collect();
        assert_eq!(ids.len(), 5_000);
        let seeds: HashSet<_> = (0..5_000).map(|_| seed().unwrap().0).collect();
        assert_eq!(seeds.len(), 5_000);
        assert!(!seeds.contains(&[0; 32]));
    }
}
