//! Claims about runs.

pub(crate) mod failures;
pub(crate) mod flow;
pub(crate) mod fuel;
pub(crate) mod journals;
pub(crate) mod lanes;
pub(crate) mod parked;
pub(crate) mod requests;
pub(crate) mod signals;
pub(crate) mod transactions;
pub(crate) mod trees;
pub(crate) mod values;
pub(crate) mod waits;
