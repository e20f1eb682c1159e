//! Deployments: revisions, limits, uploads, and the values of their state.

pub(crate) mod active;
pub(crate) mod breaker;
pub(crate) mod breaker_control;
mod budgets;
pub(crate) mod changes;
pub(crate) mod component_files;
pub(crate) mod contended_keys;
pub(crate) mod deploy;
pub(crate) mod exports;
pub(crate) mod limiter;
pub(crate) mod load;
pub(crate) mod operate;
mod pause;
pub(crate) mod recycle;
pub(crate) mod rollback;
pub(crate) mod upload;
pub(crate) mod values;
