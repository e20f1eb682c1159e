//! Operations: actions on many runs or schedules, backfills, and replays of events. Their own nouns begin them.

pub mod cancel;
pub mod get;
pub mod json;
pub mod list;
