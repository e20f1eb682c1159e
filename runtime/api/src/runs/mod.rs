//! Runs: asking for one, seeing it, following its log, ending it, trying it again.

pub mod cancel;
pub mod data;
pub mod follow;
pub mod get;
pub mod json;
pub mod list;
pub mod logs;
pub mod start;
