//! The embedded store's lower half: tables of keys and values, with a commit log ahead of sled. It
//! does not know what the keys and values mean; the layer above does.
//!
//! sled alone does not give the required durability: it does not sync, and it opens a truncated
//! file as if the file had always been that short. So this module's log holds the newest commits,
//! sled is the index that serves reads, and memory holds the commits that sled does not have yet.
//! An acknowledged commit is durable *and* readable. Damage is always reported.
//!
//! Read in this order: [`Kv`] (`handle.rs`) is the front; `commit/committer.rs` and
//! `commit/writer.rs` run a group of commits; `log/mod.rs` and `log/record.rs` define what it
//! writes; `checkpoint.rs` decides which part of the log is no longer needed; `index/rewrite.rs`
//! reclaims the index's disk space; `open.rs` and `log/replay.rs` recover the store;
//! `commit/mvcc.rs` keeps a reader of several keys from seeing half a group.
//!
//! ```text
//! lock        names the process that has the folder open
//! store       the manifest: makes the folder a store
//! checkpoint  the log's header: the last group durable in the index, and where the log continues
//! log/        segments, and spare segments
//! tail        the last durable group, written without a sync
//! index/      sled's files; index-1/, index-2/ … after a rewrite
//! payloads/   long values of the layer above: one file each, named by its digest
//! stopped     after a clean shutdown: the index's files with their checksums
//! ```

mod catch_panic;
mod checkpoint;
mod checksum;
mod clean_shutdown;
pub(crate) mod commit;
mod config;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod handle;
mod index;
mod key_range;
mod lock;
mod log;
mod manifest;
mod open;
mod scrub;
mod snapshot;
mod state;
mod table_checksum;

pub use crate::kv::commit::batch::{MAX_KEY, MAX_OPERATION, Tx, VisibilityGuard};
pub use crate::kv::index::space::{IndexSpace, ScrubResult};
pub use checksum::{Key, Value, VerifiedBytes};
pub use config::{KvConfig, Table};
pub use error::{KvError, KvHealth, SubmitError};
pub use handle::{Kv, WeakKv};
pub use key_range::KeyRange;
pub use open::OpenReport;
pub use snapshot::Snapshot;
pub use state::CommitPosition;
