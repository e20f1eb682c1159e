//! Subscriptions: events for which a deployment starts runs.

pub mod get;
pub mod json;
pub mod list;
pub mod pause;
pub mod replay;
pub mod skip;
