//! Schedules: when a deployment runs by itself.

pub mod actions;
pub mod backfill;
pub mod firings;
pub mod get;
pub mod json;
pub mod list;
pub mod pause;
pub mod preview;
pub mod trigger;
