//! Operations: actions on many runs or schedules, and backfills. Their own nouns begin them.

pub mod get;
pub mod json;
pub mod list;
