//! Runs: requests, execution, waiting, completion and what an operator does with them.

pub(crate) mod admission;
pub(crate) mod children;
pub(crate) mod collection;
pub(crate) mod completion;
pub(crate) mod effects;
pub(crate) mod end_log;
pub(crate) mod execution;
pub(crate) mod invoke;
pub(crate) mod journal;
pub(crate) mod local;
pub(crate) mod registry;
pub(crate) mod request;
pub(crate) mod resident;
pub(crate) mod resume;
pub(crate) mod retry;
pub(crate) mod signal;
pub(crate) mod stack;
