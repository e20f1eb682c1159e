//! Schedules: when they fire, and what clocks, zones and downtimes change.

mod backfills;
mod blocked;
mod clock;
mod downtime;
mod firings;
mod jitter;
mod times;
pub mod zones;
