//! The host's health: for operators, supervisors and metrics.

pub mod json;
pub mod metrics;
pub mod probes;
pub mod show;
