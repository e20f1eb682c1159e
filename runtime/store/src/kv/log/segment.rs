//! One file of the log: a header, then a region of written zeros to which records are appended. The
//! log decides which segments exist and what they contain.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemill_core::failpoint;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::disk::{Disk, DiskFile};
use crate::kv::error::KvError;

/// Offset of the first record: one page, so that a torn write of a record never touches the header.
pub(in crate::kv) const FIRST_RECORD: u64 = 4096;
/// Size of one write of zeros, in bytes. A page that was written alone is later cheap to rewrite; a
/// larger write is not.
const FILL: usize = 4096;
/// Bytes after which a fill is synced, so that it never delays a commit's fdatasync for long.
const FILL_SYNC: u64 = 2 << 20;

const MAGIC: [u8; 8] = *b"TideLog\0";
/// The version of segments and records that this program reads and writes.
pub(in crate::kv) const FORMAT: u32 = 1;
const HEADER: usize = 32;

/// Returns the name of segment `number`.
pub(in crate::kv) fn name(number: u64) -> String {
    format!("segment-{number:016x}")
}

/// Returns the number in a segment's name.
pub(in crate::kv) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("segment-")?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

/// Creates a file of `bytes` zeros that are written and durable, not sparse.
pub(in crate::kv) fn fill(disk: &dyn Disk, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    failpoint::hit("segment/fill");
    let file = disk.open(path, true)?;
    let zeros = [0; FILL];
    let mut at = 0;
    while at < bytes {
        file.write_all_at(&zeros, at)?;
        at += FILL as u64;
        if at.is_multiple_of(FILL_SYNC) {
            file.sync()?;
        }
    }
    file.sync()?;
    Ok(file)
}

/// A segment that records can be appended to.
pub(in crate::kv) struct Segment {
    pub number: u64,
    pub file: Arc<dyn DiskFile>,
    pub capacity: u64,
}

impl Segment {
    /// Turns the filled file at `from` into segment `number`: first its header, then its name, both
    /// durable.
    pub fn begin(disk: &dyn Disk, dir: &Path, from: &Path, number: u64, seed: u64) -> io::Result<Self> {
        let file = disk.open(from, false)?;
        let capacity = file.length()?;
        failpoint::hit("segment/begin");
        file.write_all_at(&header(number, seed), 0)?;
        file.sync()?;
        failpoint::hit("segment/headed");
        disk.rename(from, &dir.join(name(number)))?;
        failpoint::hit("segment/named");
        disk.sync_dir(dir)?;
        Ok(Self { number, file, capacity })
    }
}

fn header(number: u64, seed: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[12..20].copy_from_slice(&number.to_le_bytes());
    let sum = xxh3_64_with_seed(&bytes[..20], seed);
    bytes[20..28].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Reads all of segment `number` and checks its header.
///
/// # Errors
/// [`KvError::Damaged`], or [`KvError::Exhausted`] if the file cannot be opened for now.
pub(in crate::kv) fn read_whole(disk: &dyn Disk, dir: &Path, number: u64, seed: u64) -> Result<Vec<u8>, KvError> {
    let path: PathBuf = dir.join(name(number));
    let failed = |error: io::Error| KvError::unreadable(format!("log segment {} cannot be read", name(number)), &error);
    let file = disk.open(&path, false).map_err(failed)?;
    let length = file.length().map_err(failed)?;
    if length < FIRST_RECORD || !length.is_multiple_of(FILL as u64) || length > 1 << 31 {
        return Err(KvError::damaged(format!("log segment {} has {length} bytes: it was cut or grew", name(number))));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(|e| KvError::damaged(e.to_string()))?];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;
    if bytes[..HEADER] != header(number, seed) {
        return Err(KvError::damaged(format!("the header of log segment {} is not what was written", name(number))));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SystemDisk;

    #[test]
    fn a_segment_is_known_by_its_name_and_header() {
        let dir = tempfile::tempdir().unwrap();
        let spare = dir.path().join("spare");
        fill(&SystemDisk, &spare, 10_000).unwrap();
        let segment = Segment::begin(&SystemDisk, dir.path(), &spare, 0x1f, 7).unwrap();
        assert_eq!(segment.capacity, 12_288);
        assert_eq!(number_of(&name(0x1f)), Some(0x1f));
        assert_eq!(number_of("segment-1f"), None);
        assert!(read_whole(&SystemDisk, dir.path(), 0x1f, 7).is_ok());
        assert!(read_whole(&SystemDisk, dir.path(), 0x1f, 8).is_err());
        assert!(read_whole(&SystemDisk, dir.path(), 0x20, 7).is_err());
        segment.file.write_all_at(b"x", 9).unwrap();
        assert!(read_whole(&SystemDisk, dir.path(), 0x1f, 7).is_err());
    }
}
