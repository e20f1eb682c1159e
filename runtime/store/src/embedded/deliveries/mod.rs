//! Deliveries to hooks: their records and bodies, duplicates, the backlog, and replays.
//!
//! A delivery never changes; its progress does, in a record of its own. A delivery without a run
//! is open only while it has a row in the backlog of its deployment, so that it is never lost: the
//! commit that stores it either queues its run or adds that row. After that the progress follows
//! the latest run, in the commits of the run.
//!
//! The backlog is in order of arrival, and a delivery is queued at once only if nothing waits
//! before it. So the lane of an object receives the object's deliveries in order of arrival.

mod backlog;
pub(crate) mod backlog_length;
pub(crate) mod body;
mod duplicates;
pub(crate) mod expiry;
pub(crate) mod keys;
mod list;
pub(crate) mod progress;
mod receive;
mod replay;
mod store;
