//! The embedded store's lower half: tables of keys and values, with a commit log ahead of sled.
//!
//! sled alone keeps no promise that matters here: it does not sync, and opens what was cut short as if it had
//! always been so. So a log of ours holds the truth of the last moments, and sled is the index that reads
//! are served from, and memory what it has not taken yet. What is acknowledged is durable *and* readable; what is damaged is never
//! passed over.
//!
//! A reading path: [`Kv`] (`kv.rs`) is the front; `committer.rs` and `writer.rs` tell the life of a group, `log.rs` and `record.rs`
//! what it writes, `checkpoint.rs` when the log may forget it, `rewrite.rs` how the index gives room back, `open.rs` and `replay.rs` how it is read back, `versions.rs` why a
//! reader of several keys never sees half of one. What the keys and values mean is the business of the layer above.
//!
//! ```text
//! lock        who has the folder open
//! store       the manifest: what makes the folder a store
//! checkpoint  the log's header: what is durably in the index, and where the log goes on
//! log/        segments, and spares that wait to become one
//! tail        the last group made durable, unsynced
//! index/      sled's files; index-1/, index-2/ … after it was written anew
//! payloads/    long values, the layer above's: a file each, named by its digest
//! stopped     after a clean stop: the index's files with their checksums
//! ```

mod catch_panic;
mod checkpoint;
mod checksum;
mod clean_shutdown;
pub(crate) mod commit;
mod config;
mod disk;
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
pub use crate::kv::index::rewrite::IndexSpace;
pub use checksum::{Key, Value, VerifiedBytes};
pub use config::{KvConfig, Table};
pub use disk::{Disk, DiskFile, SystemDisk};
pub use error::{KvError, KvHealth, SubmitError};
pub use handle::{Kv, WeakKv};
pub use key_range::KeyRange;
pub use open::OpenReport;
pub use scrub::ScrubResult;
pub use snapshot::Snapshot;
pub use state::CommitPosition;
