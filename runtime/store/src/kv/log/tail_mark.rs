//! The tail mark: the newest durable generation, written after each commit without a sync. After a
//! kill it distinguishes a last record that was acknowledged and then damaged from a torn one.
//! After a power cut it may be old or torn itself, and then it proves nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::disk::{Disk, DiskFile};

const NAME: &str = "tail";

/// The open tail mark.
pub(in crate::kv) struct TailMark {
    file: Arc<dyn DiskFile>,
    seed: u64,
}

impl TailMark {
    pub fn open(disk: &dyn Disk, data: &Path, seed: u64) -> io::Result<Self> {
        Ok(Self { file: disk.open(&data.join(NAME), true)?, seed })
    }

    pub fn write(&self, generation: u64) -> io::Result<()> {
        let number = generation.to_le_bytes();
        let mut mark = [0; 16];
        mark[..8].copy_from_slice(&number);
        mark[8..].copy_from_slice(&xxh3_64_with_seed(&number, self.seed).to_le_bytes());
        self.file.write_all_at(&mark, 0)
    }
}

/// Returns the generation in the mark, if the mark is sound.
pub(in crate::kv) fn read(disk: &dyn Disk, data: &Path, seed: u64) -> Option<u64> {
    let mut mark = [0; 16];
    disk.open(&data.join(NAME), false).ok()?.read_exact_at(&mut mark, 0).ok()?;
    let number = mark.first_chunk::<8>()?;
    let check = mark.last_chunk::<8>()?;
    (u64::from_le_bytes(*check) == xxh3_64_with_seed(number, seed)).then(|| u64::from_le_bytes(*number))
}
