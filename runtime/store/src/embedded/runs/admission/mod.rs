//! The admission of runs: how they wait, and which of them are claimed next.

pub(crate) mod claim;
pub(crate) mod debounce;
pub(crate) mod lanes;
pub(crate) mod position;
mod queue;
