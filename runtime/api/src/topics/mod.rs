//! Topics: events that runs and operators publish. The feed of what the host does is `events`.

pub mod delete;
pub mod events;
pub mod get;
pub mod json;
pub mod list;
pub mod publish;
