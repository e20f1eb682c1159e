//! Streams: deployments that post revenue.

pub mod json;
pub mod list;
