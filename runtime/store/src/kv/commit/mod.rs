//! Commits: the committer, the group that it fills, the writer, and the versions that readers see.

pub(in crate::kv) mod batch;
pub(in crate::kv) mod committer;
pub(in crate::kv) mod job;
pub(in crate::kv) mod mvcc;
pub(in crate::kv) mod writer;
