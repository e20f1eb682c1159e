//! Subscriptions: which events a deployment runs for.

pub mod get;
pub mod json;
pub mod list;
pub mod pause;
pub mod replay;
pub mod skip;
