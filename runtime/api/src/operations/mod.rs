//! Operations: actions on many runs or schedules, backfills, and replays of events. The routes of
//! those nouns start them.

pub mod cancel;
pub mod get;
pub mod json;
pub mod list;
