//! The committer and what it works on.

pub(in crate::kv) mod batch;
pub(in crate::kv) mod committer;
pub(in crate::kv) mod mvcc;
pub(in crate::kv) mod writer;
