//! Runs: starting, reading, signalling, cancelling and retrying them, one by one or many by a
//! filter.

pub mod actions;
pub mod cancel;
pub mod data;
pub mod explain;
pub mod filter;
pub mod follow;
pub mod get;
pub mod inbox;
pub mod journal;
pub mod json;
pub mod list;
pub mod logs;
pub mod retry;
pub mod signal;
pub mod stack;
pub mod start;
