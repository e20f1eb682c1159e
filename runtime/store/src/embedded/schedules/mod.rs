//! Schedules and their firings.

mod change;
mod failure_streak;
mod fire;
mod firing_log;
mod overlap;
pub(crate) mod queue;
mod record;
mod store;

pub(crate) use change::{remove, replace};
pub(crate) use record::{get, of, place, unplace};
