//! Claims about schedules and their firings.

pub(crate) mod changes;
pub(crate) mod firings;
pub(crate) mod overlaps;
