//! Runs: from the request to the end.

mod calls;
mod cancellations;
mod collections;
mod concurrency;
mod ends;
mod explain;
mod operations;
mod queue;
mod transactions;
pub mod tree;
mod waits;
