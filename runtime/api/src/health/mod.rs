//! The health of the host and of its deployments: for operators, supervisors and metrics.

pub mod deployments;
pub mod json;
pub mod metrics;
pub mod probes;
pub mod show;
