//! Streams: deployments that earn.

pub mod json;
pub mod list;
