//! Schedules: times at which a deployment starts runs by itself.

pub mod actions;
pub mod backfill;
pub mod firings;
pub mod get;
pub mod json;
pub mod list;
pub mod pause;
pub mod preview;
pub mod trigger;
