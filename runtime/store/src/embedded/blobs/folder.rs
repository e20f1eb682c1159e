//! Payload files: each long value is a file named by its SHA-256 digest, which is durable before
//! the commit that refers to it.
//!
//! Each commit updates the number of records that refer to a file. A file is pinned from before it
//! is written until its commit is durable or has failed. `collector.rs` removes a file without
//! references at once. A crash may leave one: housekeeping lists the folder after each start and
//! once an hour.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use parking_lot::{Mutex, MutexGuard};
use sha2::{Digest as _, Sha256};
use tidemill_core::{Timestamp, failpoint};

use crate::disk::Disk;
use crate::embedded::blobs::ReadLease;
use crate::embedded::blobs::collector::BlobCollector;
use crate::embedded::tables::PAYLOADS;
use crate::embedded::tx::{ReadTx, prefix_range};
use crate::embedded::value::{BlobDigest, BlobRef, ValueRef};
use crate::error::{Result, StoreError};

/// The name of the folder inside the store's folder.
const DIR: &str = "payloads";
/// Interval between two listings of the folder, in milliseconds.
const LIST_EVERY_MILLIS: u64 = 60 * 60 * 1000;
/// Number of files that the scrub verifies under one lease. A lease keeps superseded files from
/// being removed.
const VERIFIED: usize = 16;

/// The folder of payload files.
pub(crate) struct BlobFolder {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    reserve: u64,
    /// The number of pins of each file.
    pins: Mutex<HashMap<BlobDigest, usize>>,
    /// Makes the name of each temporary file unique.
    written: AtomicU64,
    /// When the folder was last listed, in milliseconds; 0 if not since the store was opened.
    listed: AtomicU64,
    superseded: BlobCollector,
    /// Maximum size of a file, in bytes.
    max_bytes: u64,
}

/// Long values that are written to files and pinned, for the commit that refers to them.
pub(crate) struct PinnedBlobs {
    files: Arc<BlobFolder>,
    values: Vec<(Bytes, BlobDigest)>,
}

impl BlobFolder {
    /// Creates the handle to the payload files of the store in `data`. Writes nothing if less than
    /// `reserve` bytes of disk space would be left.
    pub(crate) fn new(data: &Path, disk: Arc<dyn Disk>, reserve: u64, max_bytes: u64) -> Self {
        Self {
            dir: data.join(DIR),
            disk,
            reserve,
            max_bytes,
            pins: Mutex::default(),
            written: AtomicU64::new(0),
            listed: AtomicU64::new(0),
            superseded: BlobCollector::default(),
        }
    }

    /// Returns the collector of files that may have lost their last reference.
    pub(crate) fn superseded(&self) -> &BlobCollector {
        &self.superseded
    }

    pub(crate) fn pins(&self) -> MutexGuard<'_, HashMap<BlobDigest, usize>> {
        self.pins.lock()
    }

    fn place(&self, digest: &BlobDigest) -> (PathBuf, String) {
        let hex = HEXLOWER.encode(digest);
        (self.dir.join(&hex[..2]), hex)
    }

    /// Writes `values` to files durably, and pins them. Blocks.
    pub(crate) fn write_pinned(self: &Arc<Self>, values: Vec<Bytes>) -> Result<PinnedBlobs> {
        let mut pinned = PinnedBlobs { files: Arc::clone(self), values: Vec::new() };
        for value in values {
            let digest: BlobDigest = Sha256::digest(&value).into();
            *self.pins().entry(digest).or_default() += 1;
            pinned.values.push((value, digest));
        }
        for (value, digest) in &pinned.values {
            self.write(digest, value).map_err(|error| match error.kind() {
                io::ErrorKind::StorageFull => StoreError::DiskFull,
                _ => StoreError::Io(format!("a long value could not be written: {error}")),
            })?;
        }
        failpoint::hit("payload/written");
        Ok(pinned)
    }

    fn write(&self, digest: &BlobDigest, value: &[u8]) -> io::Result<()> {
        let (dir, name) = self.place(digest);
        let path = dir.join(&name);
        if !self.disk.open(&path, false).and_then(|file| file.length()).is_ok_and(|length| length == value.len() as u64)
        {
            let store = self.dir.parent().unwrap_or(&self.dir);
            if self.disk.free_space(store)? < self.reserve.saturating_add(value.len() as u64) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.disk.create_dir(&dir)?;
            let fresh = dir.join(format!("{name}.{}.new", self.written.fetch_add(1, Ordering::Relaxed)));
            let file = self.disk.open(&fresh, true)?;
            file.write_all_at(value, 0)?;
            file.sync()?;
            self.disk.rename(&fresh, &path)?;
        }
        // Also if the file exists: its writer may not have synced the folders yet.
        self.disk.sync_dir(&dir)?;
        self.disk.sync_dir(&self.dir)
    }

    /// Reads and verifies the value of a file. Blocks.
    pub(crate) fn read(&self, named: &BlobRef) -> Result<Bytes> {
        self.verified(&named.digest, Some(named.length))
    }

    fn verified(&self, digest: &BlobDigest, expected: Option<u64>) -> Result<Bytes> {
        let (dir, name) = self.place(digest);
        let damaged = |what: String| StoreError::Damaged { what: format!("the payload {name} {what}") };
        let read = || -> io::Result<Vec<u8>> {
            let file = self.disk.open(&dir.join(&name), false)?;
            let length = file.length()?;
            if expected.is_some_and(|expected| length != expected) || length > self.max_bytes {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("has {length} bytes")));
            }
            let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
            file.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => damaged("is missing".to_owned()),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => damaged(error.to_string()),
            _ => StoreError::Io(format!("the payload {name} could not be read: {error}")),
        })?;
        if <BlobDigest>::from(Sha256::digest(&bytes)) != *digest {
            return Err(damaged("does not match its digest".to_owned()));
        }
        Ok(Bytes::from(bytes))
    }

    /// Removes the file of a digest. The caller holds the lock on the pins.
    pub(crate) fn remove_file(&self, digest: &BlobDigest) {
        let (dir, name) = self.place(digest);
        self.remove_path(&dir.join(name));
    }

    fn remove_path(&self, path: &Path) {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "a payload file could not be removed");
            }
            _ => {}
        }
    }

    /// Lists the files by digest, and removes temporary files of failed writes. Blocks.
    pub(crate) fn list(&self) -> io::Result<Vec<BlobDigest>> {
        let mut found = Vec::new();
        let folders = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            folders => folders?,
        };
        for folder in folders {
            let folder = folder?.path();
            if !folder.is_dir() {
                continue;
            }
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
                let (hex, rest) = name.split_once('.').unwrap_or((name, ""));
                let Some(digest) = digest_of(hex) else { continue };
                if rest.is_empty() {
                    found.push(digest);
                } else {
                    let pins = self.pins();
                    if !pins.contains_key(&digest) {
                        self.remove_path(&path);
                    }
                }
            }
        }
        Ok(found)
    }
}

impl PinnedBlobs {
    /// Returns the digest of `value`. Compares addresses, which is enough because this struct holds
    /// the value.
    pub(crate) fn digest(&self, value: &Bytes) -> Option<&BlobDigest> {
        let same = |pinned: &Bytes| pinned.as_ptr() == value.as_ptr() && pinned.len() == value.len();
        self.values.iter().find(|(pinned, _)| same(pinned)).map(|(_, digest)| digest)
    }
}

impl Drop for PinnedBlobs {
    fn drop(&mut self) {
        let mut pins = self.files.pins();
        for (_, digest) in &self.values {
            if let Some(count) = pins.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    pins.remove(digest);
                }
            }
        }
        drop(pins);
        // The commit may have been refused.
        self.files.superseded.hint(self.values.iter().map(|(_, digest)| *digest));
    }
}

/// Reads and verifies every file that a record refers to. Returns their number and total bytes.
/// Blocks.
pub(crate) fn verify(files: &Arc<BlobFolder>, store: &impl ReadTx) -> Result<(u64, u64)> {
    let (mut number, mut bytes) = (0, 0);
    let mut range = prefix_range(&[]);
    loop {
        let _lease = files.lease();
        let names = store.range(PAYLOADS, range.clone(), false, VERIFIED)?;
        let Some((last, _)) = names.last() else { return Ok((number, bytes)) };
        range.start = [last.as_ref(), &[0]].concat();
        for digest in names.iter().filter_map(|(key, _)| key.first_chunk()) {
            number += 1;
            bytes += files.verified(digest, None)?.len() as u64;
        }
    }
}

/// Reads the values in `held`. `_lease` was taken before the records were read. Blocks if a value
/// is in a file.
pub(crate) fn read_all(files: &BlobFolder, _lease: &ReadLease, held: Vec<ValueRef>) -> Result<Vec<Bytes>> {
    held.into_iter()
        .map(|held| match held {
            ValueRef::Inline(bytes) => Ok(bytes),
            ValueRef::Blob(named) => files.read(&named),
        })
        .collect()
}

/// Finds files that no record refers to, which a crash leaves, and removes files without reference
/// and reader. Lists the folder after the store was opened, then once an hour. Blocks.
pub(crate) fn sweep(files: &BlobFolder, store: &impl ReadTx, now: Timestamp) -> Result<()> {
    let last = files.listed.load(Ordering::Acquire);
    let due = last == 0 || last.saturating_add(LIST_EVERY_MILLIS) <= now.as_millis();
    if files.superseded.take_overflowed() || due {
        let unread = |error| StoreError::Io(format!("the folder of payload files could not be read: {error}"));
        let listed = files.list().map_err(unread)?;
        files.listed.store(now.as_millis().max(1), Ordering::Release);
        for digest in listed {
            if store.bytes(PAYLOADS, &digest)?.is_none() {
                files.superseded.hint([digest]);
            }
        }
    }
    files.remove_superseded();
    Ok(())
}

fn digest_of(hex: &str) -> Option<BlobDigest> {
    HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()
}
