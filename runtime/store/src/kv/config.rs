//! How an embedded store is opened: where it lives, its tables and its bounds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::disk::{Disk, SystemDisk};

/// One kind of record: a key space of its own.
///
/// The id is what the log and the checksums carry, so it never changes its meaning; the name is the
/// index's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Table {
    /// The table's id, unique in the store.
    pub id: u8,
    /// The table's name: lower-case letters, digits and dashes.
    pub name: &'static str,
    /// Whether all records are held in memory; see [`Table::resident`].
    pub is_resident: bool,
}

impl Table {
    /// A table whose records are read from the index.
    #[must_use]
    pub const fn new(id: u8, name: &'static str) -> Self {
        Self { id, name, is_resident: false }
    }

    /// A table whose records are held in memory and written to the index's files at each checkpoint. It is for few,
    /// small records that nearly every commit changes, such as counters. The format on disk is the same.
    #[must_use]
    pub const fn resident(id: u8, name: &'static str) -> Self {
        Self { id, name, is_resident: true }
    }
}

/// How to open a store. [`KvConfig::new`] gives the defaults.
#[derive(Debug, Clone)]
pub struct KvConfig {
    /// The data folder. It is created where it does not exist or is empty.
    pub dir: PathBuf,
    /// All tables of the store, at most 128. Tables may be added later, never removed.
    pub tables: &'static [Table],
    /// Memory that the index may use for its pages, in bytes. 32 MiB by default: an idle host stays small, and what is not in it
    /// is mostly in the system's page cache.
    pub index_cache_bytes: u64,
    /// Size of a log segment in bytes. 64 MiB by default; at least 64 KiB.
    pub segment_bytes: u64,
    /// Size of a segment made in haste, because none was ready: the first one, for example. 4 MiB
    /// by default, so that a first start does not wait for 64 MiB of zeros.
    pub first_segment_bytes: u64,
    /// How long a group may wait for its checkpoint. Ten seconds by default: syncing the index holds up the log's own
    /// sync for some milliseconds, and the bound in bytes alone decides how long opening may take.
    pub checkpoint_every: Duration,
    /// A checkpoint is also made when the log has grown by so many bytes. 32 MiB by default.
    pub checkpoint_bytes: u64,
    /// No group begins while less than this, and four times the log not yet checkpointed, is free. 64 MiB by default.
    pub reserve_bytes: u64,
    /// After an unclean stop an index of up to so many bytes is scrubbed before the store opens;
    /// a larger one in the background. 64 MiB by default.
    pub scrub_at_open_bytes: u64,
    /// At a clean stop, an index of up to so many bytes is listed with checksums. 2 GiB by default.
    pub seal_at_close_bytes: u64,
    /// An index of more bytes than this, and than three times its records, is written anew in the background. 32 MiB by default.
    pub rewrite_from_bytes: u64,
    /// How long the index may take to open before it is held to be damaged, besides as much again
    /// for each GB of it. 20 s by default: far beyond what a sound one needs.
    pub index_open_timeout: Duration,
    /// How many operations may wait for the committer before `submit` waits for room. 4,096 by default.
    pub queue: usize,
    /// The file system, so that tests can let it fail.
    pub disk: Arc<dyn Disk>,
}

impl KvConfig {
    /// The defaults for a store in `dir` with `tables`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, tables: &'static [Table]) -> Self {
        Self {
            dir: dir.into(),
            tables,
            index_cache_bytes: 32 << 20,
            segment_bytes: 64 << 20,
            first_segment_bytes: 4 << 20,
            checkpoint_every: Duration::from_secs(10),
            checkpoint_bytes: 32 << 20,
            reserve_bytes: 64 << 20,
            scrub_at_open_bytes: 64 << 20,
            seal_at_close_bytes: 2 << 30,
            rewrite_from_bytes: 32 << 20,
            index_open_timeout: Duration::from_secs(20),
            queue: 4096,
            disk: Arc::new(SystemDisk),
        }
    }
}
