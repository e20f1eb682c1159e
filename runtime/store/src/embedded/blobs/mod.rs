//! Payload files: each long value is a file named by its SHA-256 digest, which is durable before
//! the commit that refers to it.
//!
//! Each commit updates the number of records that refer to a file. A file is pinned from before it
//! is written until its commit is durable or has failed. `collector.rs` removes a file without
//! references at once. A crash may leave one: housekeeping lists the folder after each start and
//! once an hour.

mod collector;
mod folder;

pub(crate) use collector::ReadLease;
pub(crate) use folder::{BlobFolder, PinnedBlobs, read_all, sweep, verify};
