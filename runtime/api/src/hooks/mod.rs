//! Hooks: the endpoints that providers call, and what operators see of them.

pub mod json;
pub mod list;
pub mod receive;
