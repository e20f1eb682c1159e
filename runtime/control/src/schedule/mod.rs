//! Schedules: management, backfills, blocked schedules, and clocks that were set back.

pub(crate) mod backfill;
pub(crate) mod blocked;
pub(crate) mod bulk;
pub(crate) mod clock_setback;
pub(crate) mod firing;
pub(crate) mod manage;
pub(crate) mod monitor;
pub(crate) mod zone_changes;
pub(crate) mod zone_data;
