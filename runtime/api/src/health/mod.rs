//! How the host is: for people, for whoever restarts it, and for whoever draws graphs.

pub mod json;
pub mod metrics;
pub mod probes;
pub mod show;
