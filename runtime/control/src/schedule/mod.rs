//! Schedules: what an operator does with them, and the clock.

pub(crate) mod backfill;
pub(crate) mod blocked;
pub(crate) mod bulk;
pub(crate) mod clock_setback;
pub(crate) mod manage;
