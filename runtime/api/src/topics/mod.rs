//! Topics: events that runs and operators publish. `events` is the feed of the host's own events.

pub mod delete;
pub mod events;
pub mod get;
pub mod json;
pub mod list;
pub mod publish;
