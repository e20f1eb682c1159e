//! The threads that guests run on.

pub(crate) mod pool;
pub(crate) mod sched;
pub(crate) mod ticker;
