//! The event feed: what happens, as it is committed.

pub mod feed;
pub mod json;
