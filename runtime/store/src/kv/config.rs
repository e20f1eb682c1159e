//! Configuration of an embedded store: its folder, its tables and its bounds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::disk::{Disk, SystemDisk};

/// One kind of record, with its own key space.
///
/// The log and the checksums contain the id, so its meaning never changes. The name is the name of
/// the tree in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Table {
    /// The table's id, unique in the store.
    pub id: u8,
    /// The table's name: lower-case letters, digits and dashes.
    pub name: &'static str,
    /// Whether memory holds all records; see [`Table::resident`].
    pub is_resident: bool,
}

impl Table {
    /// Returns a table whose records are read from the index.
    #[must_use]
    pub const fn new(id: u8, name: &'static str) -> Self {
        Self { id, name, is_resident: false }
    }

    /// Returns a table whose records are held in memory and written to the index's files at each
    /// checkpoint. Use it for a few small records that nearly every commit changes, such as
    /// counters. The format on disk is the same.
    #[must_use]
    pub const fn resident(id: u8, name: &'static str) -> Self {
        Self { id, name, is_resident: true }
    }
}

/// How to open a store. [`KvConfig::new`] gives the defaults.
#[derive(Debug, Clone)]
pub struct KvConfig {
    /// The data folder. It is created if it does not exist.
    pub dir: PathBuf,
    /// All tables of the store, at most 128. Tables may be added later, never removed.
    pub tables: &'static [Table],
    /// Maximum size of the index's cached pages, in bytes that they have on disk. 32 MiB by
    /// default: an idle host stays small, and the system's page cache holds most of the other
    /// pages. In memory, a page of short records takes up to five times its size on disk, and a
    /// page of long records little more than that size.
    pub index_cache_bytes: u64,
    /// Size of a log segment in bytes. 64 MiB by default; at least 64 KiB.
    pub segment_bytes: u64,
    /// Size in bytes of a segment that is made when no spare is ready, such as the first one. 4 MiB
    /// by default, so that a first start does not wait for 64 MiB of zeros.
    pub first_segment_bytes: u64,
    /// Maximum time from a commit to its checkpoint. Ten seconds by default: syncing the index
    /// delays the log's own sync by some milliseconds. `checkpoint_bytes` alone bounds the time
    /// that opening takes.
    pub checkpoint_every: Duration,
    /// Growth of the log, in bytes, after which a checkpoint is also made. 32 MiB by default.
    pub checkpoint_bytes: u64,
    /// Minimum free disk space, in bytes, besides four times the log that is not yet in a
    /// checkpoint. No group begins while less is free. 64 MiB by default.
    pub reserve_bytes: u64,
    /// Maximum size in bytes of an index that is scrubbed before the store opens after an unclean
    /// shutdown. A larger one is scrubbed in the background. 64 MiB by default.
    pub scrub_at_open_bytes: u64,
    /// Maximum size in bytes of an index whose files are listed with checksums at a clean shutdown.
    /// 2 GiB by default.
    pub seal_at_close_bytes: u64,
    /// Minimum size in bytes of an index that is rewritten in the background, if it is also larger
    /// than three times its records. 32 MiB by default.
    pub rewrite_from_bytes: u64,
    /// Timeout for opening the index, extended by the same time for each GB of the index. An index
    /// that takes longer counts as damaged. 20 s by default: far more than a sound index needs.
    pub index_open_timeout: Duration,
    /// Maximum number of operations that wait for the committer. `submit` waits if the queue is
    /// full. 4,096 by default.
    pub queue: usize,
    /// The file system. Tests replace it to make it fail.
    pub disk: Arc<dyn Disk>,
}

impl KvConfig {
    /// Returns the defaults for a store in `dir` with `tables`.
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
