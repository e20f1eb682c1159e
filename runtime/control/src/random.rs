//! Creates ids and seeds from a random generator that each thread seeds from the operating system,
//! so that a run costs no system call.

use tidemill_core::run::Seed;
use tidemill_core::{DeliveryId, EventId, RunId, Timestamp};

/// Returns a new run's id.
pub(crate) fn run_id(at: Timestamp) -> RunId {
    RunId::new(at, rand::random())
}

/// Returns `count` new run ids in ascending order.
pub(crate) fn run_ids(at: Timestamp, count: usize) -> Vec<RunId> {
    let mut ids: Vec<_> = (0..count).map(|_| run_id(at)).collect();
    ids.sort_unstable();
    ids
}

/// Returns a new event's id.
pub(crate) fn event_id(at: Timestamp) -> EventId {
    EventId::new(at, rand::random())
}

/// Returns a new delivery's id.
pub(crate) fn delivery_id(at: Timestamp) -> DeliveryId {
    DeliveryId::new(at, rand::random())
}

/// Returns a new run's seed.
pub(crate) fn seed() -> Seed {
    Seed(rand::random())
}
