//! The event feed: the host's events in the order of their commits.

pub mod feed;
pub mod json;
