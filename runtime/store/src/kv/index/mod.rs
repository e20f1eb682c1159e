//! The index that serves reads: sled, called so that its panics, its errors and its slow detection
//! of damage do not spread. It knows tables, keys and sealed values, and nothing of groups.
//!
//! Example: sled refuses a write while group 8 goes into the index. Group 8 is already in the log
//! and its callers are answered, so nothing is lost. The writer drops sled's handles, opens sled
//! again and replays the log from the last checkpoint, which includes group 8. Until then readers
//! find group 8 in its layer, see [`mvcc`](super::commit::mvcc).
//!
//! Invariants:
//!
//! - A fault while a durable group is written to the index fails no commit: the log has the group.
//! - A reader keeps the handles that it began with. An index is dropped only when no reader has its
//!   handles.
//! - The index's own mark is written with every flush. It is never before the header's checkpoint
//!   and never after the end of the log; otherwise files were lost or mixed up, and the store is
//!   damaged.

pub(in crate::kv) mod maintenance;
pub(in crate::kv) mod recovery;
pub(in crate::kv) mod rewrite;
pub(in crate::kv) mod space;
pub(in crate::kv) mod spare_files;
pub(in crate::kv) mod table;

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tidemill_core::failpoint;

use super::catch_panic;
use super::checksum::{self, Key, Value};
use super::config::{KvConfig, Table};
use super::error::{KvError, is_exhaustion};
use super::key_range::KeyRange;
use crate::kv::commit::mvcc::KeyChange;
use crate::kv::index::table::TableIndex;

/// Text of sled's error if another handle has locked the file.
const LOCKED: &str = "could not acquire lock";
/// Maximum number of attempts to open a locked file.
const LOCK_TRIES: u32 = 400;
/// Pause between two attempts to open a locked file.
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// The index's first folder in the data folder. A rewritten index has a number after the name.
pub(super) const DIR: &str = "index";
/// Name of the tree that holds the index's own record of its last checkpoint. No table can have
/// this name.
const MARKS: &str = "(checkpoint)";
const MARK: &[u8] = b"generation";
/// Table id for the checksums of marks.
const MARK_TABLE: u8 = u8::MAX;
/// Maximum time to wait for an index that is dropped without being closed.
const DROP_PATIENCE: Duration = Duration::from_secs(30);

/// The index. Its handles are absent while it is reopened.
pub(super) struct Index {
    folder: Mutex<PathBuf>,
    tables: &'static [Table],
    by_id: [Option<u8>; 256],
    open: RwLock<IndexState>,
}

enum IndexState {
    Open(Arc<Trees>),
    /// The handles were dropped and the index could not be reopened.
    Lost,
    Closed,
}

/// sled's handles.
pub(super) struct Trees {
    db: sled::Db,
    /// By table slot.
    tables: Vec<TableIndex>,
    marks: sled::Tree,
}

/// The failure of a call to sled.
#[derive(Debug)]
pub(super) enum IndexFault {
    /// sled panicked, or read bytes that it did not write.
    Damage(String),
    /// The operating system refused a call. sled refuses every call from now on until it is
    /// reopened.
    Io(String),
}

impl From<IndexFault> for KvError {
    fn from(fault: IndexFault) -> Self {
        match fault {
            IndexFault::Damage(what) => Self::damaged(format!("the index: {what}")),
            IndexFault::Io(message) => Self::of_system("the index".to_owned(), message),
        }
    }
}

fn call<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, IndexFault> {
    match catch_panic::catch(call) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error)))
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
            ) =>
        {
            Err(IndexFault::Io(error.to_string()))
        }
        Ok(Err(error)) => Err(IndexFault::Damage(error.to_string())),
        // sled does not always return the operating system's error; sometimes it panics.
        Err(panicked) if is_exhaustion(&panicked) => Err(IndexFault::Io(panicked)),
        Err(panicked) => Err(IndexFault::Damage(panicked.lines().next().unwrap_or_default().to_owned())),
    }
}

impl Trees {
    /// Opens sled in `dir` on its own thread, which is abandoned after `timeout`.
    pub fn open(
        dir: &Path,
        cache: u64,
        tables: &'static [Table],
        timeout: Duration,
        create: bool,
    ) -> Result<Self, KvError> {
        let dir = dir.to_owned();
        let (report, answer) = mpsc::channel();
        thread::Builder::new()
            .name("tidemill-index".to_owned())
            .spawn(move || {
                let opened = call(|| {
                    let db = open_files(&dir, cache)?;
                    Ok((db.tree_names(), db))
                });
                let result = opened.map_err(KvError::from).and_then(|(names, db)| {
                    let trees = Self::of(db, &names, tables, create);
                    trees.map_err(|(error, db)| {
                        let _ = catch_panic::catch(|| drop(db));
                        error
                    })
                });
                if let Err(mpsc::SendError(Ok(late))) = report.send(result) {
                    let _ = catch_panic::catch(|| drop(late));
                }
            })
            .map_err(|error| KvError::io("starting a thread to open the index", &error))?;
        answer
            .recv_timeout(timeout)
            .unwrap_or_else(|_| Err(KvError::damaged(format!("the index did not open within {} s", timeout.as_secs()))))
    }

    fn of(
        db: sled::Db,
        names: &[sled::IVec],
        tables: &'static [Table],
        create: bool,
    ) -> Result<Self, (KvError, sled::Db)> {
        let open = |name: &str| {
            if !create && !names.iter().any(|known| **known == *name.as_bytes()) {
                return Err(KvError::damaged(format!("the index has lost table {name}")));
            }
            call(|| db.open_tree(name)).map_err(KvError::from)
        };
        let marks = open(MARKS);
        let load = |table: &Table| {
            let tree = open(table.name)?;
            Ok(call(|| TableIndex::load(tree, table.is_resident))?)
        };
        let tables: Result<Vec<_>, KvError> = tables.iter().map(load).collect();
        match (marks, tables) {
            (Ok(marks), Ok(tables)) => Ok(Self { db, tables, marks }),
            (Err(error), _) | (_, Err(error)) => Err((error, db)),
        }
    }

    /// Drops sled's handles on a thread that may panic. Returns whether that took no longer than
    /// `patience`.
    pub fn give_up(self: Arc<Self>, patience: Duration) -> bool {
        let (report, answer) = mpsc::channel();
        let spawned = thread::Builder::new().name("tidemill-index".to_owned()).spawn(move || {
            let mut trees = self;
            // A reader holds the handles for one read.
            let alone = loop {
                match Arc::try_unwrap(trees) {
                    Ok(alone) => break alone,
                    Err(shared) => {
                        trees = shared;
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            };
            let _ = catch_panic::catch(|| drop(alone));
            let _ = report.send(());
        });
        spawned.is_ok() && answer.recv_timeout(patience).is_ok()
    }
}

impl Index {
    /// Opens the index in `folder`. It must have all `tables`; `create` adds the missing ones.
    pub fn open(
        folder: &Path,
        cache: u64,
        tables: &'static [Table],
        timeout: Duration,
        create: bool,
    ) -> Result<Self, KvError> {
        let mut by_id = [None; 256];
        for (slot, table) in tables.iter().enumerate() {
            by_id[usize::from(table.id)] = u8::try_from(slot).ok();
        }
        let trees = Trees::open(folder, cache, tables, timeout, create)?;
        let folder = Mutex::new(folder.to_owned());
        Ok(Self { folder, tables, by_id, open: RwLock::new(IndexState::Open(Arc::new(trees))) })
    }

    /// Returns the folder of the index's files.
    pub fn folder(&self) -> PathBuf {
        self.folder.lock().clone()
    }

    /// Replaces the handles by those of another folder, and returns the old ones; `None` if the
    /// index is not open. A reader that has the old handles keeps reading the old files.
    pub fn replace(&self, folder: PathBuf, trees: Arc<Trees>) -> Option<Arc<Trees>> {
        let mut open = self.open.write();
        if !matches!(*open, IndexState::Open(_)) {
            return None;
        }
        *self.folder.lock() = folder;
        match std::mem::replace(&mut *open, IndexState::Open(trees)) {
            IndexState::Open(old) => Some(old),
            IndexState::Lost | IndexState::Closed => None,
        }
    }

    /// Returns a reader of handles that are not the index's own.
    pub fn reading_of(&self, trees: &Arc<Trees>) -> IndexReader<'_> {
        IndexReader { index: self, trees: Arc::clone(trees) }
    }

    /// Drops the old handles and reopens the index. `recover` applies the log before any caller
    /// reads.
    pub fn reopen(
        &self,
        cache: u64,
        timeout: Duration,
        recover: impl FnOnce(&IndexReader) -> Result<(), KvError>,
    ) -> Result<(), KvError> {
        let mut open = self.open.write();
        if let IndexState::Open(old) = std::mem::replace(&mut *open, IndexState::Lost)
            && !old.give_up(timeout)
        {
            return Err(lost());
        }
        let trees = Arc::new(Trees::open(&self.folder(), cache, self.tables, timeout, false)?);
        recover(&IndexReader { index: self, trees: Arc::clone(&trees) })?;
        *open = IndexState::Open(trees);
        Ok(())
    }

    /// Returns the handles for one read or one group.
    pub fn reading(&self) -> Result<IndexReader<'_>, KvError> {
        match &*self.open.read() {
            IndexState::Open(trees) => Ok(IndexReader { index: self, trees: Arc::clone(trees) }),
            IndexState::Lost => Err(lost()),
            IndexState::Closed => Err(KvError::Closed),
        }
    }

    /// Returns all tables.
    pub fn tables(&self) -> &'static [Table] {
        self.tables
    }

    /// The place of a table in [`Index::tables`].
    pub fn slot(&self, id: u8) -> Result<usize, KvError> {
        self.by_id[usize::from(id)].map(usize::from).ok_or(KvError::UnknownTable { id })
    }

    /// Closes the index. Returns false after `patience`.
    pub fn close(&self, patience: Duration) -> bool {
        let mut open = self.open.write();
        match std::mem::replace(&mut *open, IndexState::Closed) {
            IndexState::Open(trees) => trees.give_up(patience),
            IndexState::Lost | IndexState::Closed => true,
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.close(DROP_PATIENCE);
    }
}

/// Opens sled. sled's own threads may keep the lock of its file for a moment after an earlier
/// handle was dropped. No other process has it, because the data folder is locked.
fn open_files(dir: &Path, cache: u64) -> Result<sled::Db, sled::Error> {
    let mut tries = 0;
    loop {
        match sled::Config::new().path(dir).cache_capacity(cache).flush_every_ms(None).open() {
            Err(sled::Error::Io(error)) if tries < LOCK_TRIES && error.to_string().contains(LOCKED) => {
                tries += 1;
                thread::sleep(LOCK_PAUSE);
            }
            opened => return opened,
        }
    }
}

fn lost() -> KvError {
    KvError::Io { what: "the index".to_owned(), message: "it could not be reopened".to_owned() }
}

/// A hold on the index's handles. It must be short: dropping the index waits for it.
pub(super) struct IndexReader<'a> {
    index: &'a Index,
    trees: Arc<Trees>,
}

impl IndexReader<'_> {
    /// The place of a table in [`Index::tables`].
    pub fn slot(&self, id: u8) -> Result<usize, KvError> {
        self.index.slot(id)
    }

    /// Returns the sealed value of a key, unverified.
    pub fn sealed(&self, slot: usize, key: &[u8]) -> Result<Option<sled::IVec>, IndexFault> {
        call(|| self.trees.tables[slot].get(key))
    }

    /// Returns the value of a key, verified.
    pub fn get(&self, slot: usize, key: &[u8]) -> Result<Option<Value>, KvError> {
        let sealed = self.sealed(slot, key)?;
        sealed.map(|sealed| checksum::unseal(self.index.tables[slot], key, &sealed)).transpose()
    }

    /// Returns the first `limit` sealed records of a range, or the last ones from the end if
    /// `reverse`; unverified.
    pub fn scan(
        &self,
        slot: usize,
        span: &KeyRange,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(sled::IVec, sled::IVec)>, IndexFault> {
        if limit == 0 || span.is_empty() {
            return Ok(Vec::new());
        }
        call(|| self.trees.tables[slot].scan(span, reverse, limit))
    }

    /// As [`IndexReader::scan`], but verified.
    pub fn scan_verified(
        &self,
        slot: usize,
        span: &KeyRange,
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<(Key, Value)>, KvError> {
        let table = self.index.tables[slot];
        self.scan(slot, span, reverse, limit)?
            .into_iter()
            .map(|(key, sealed)| Ok((Key::from(key.clone()), checksum::unseal(table, &key, &sealed)?)))
            .collect()
    }

    /// Puts a sealed value, or removes a key.
    pub fn write(&self, slot: usize, key: &[u8], sealed: Option<sled::IVec>) -> Result<(), IndexFault> {
        call(|| self.trees.tables[slot].put(key, sealed))
    }

    /// Writes a group's changes of one table.
    pub fn write_all(&self, slot: usize, changes: &BTreeMap<sled::IVec, KeyChange>) -> Result<(), IndexFault> {
        if changes.is_empty() {
            return Ok(());
        }
        let table = &self.trees.tables[slot];
        call(|| {
            changes.iter().try_for_each(|(key, change)| {
                failpoint::hit("store/insert");
                table.put(key, change.after.clone())
            })
        })
    }

    /// Returns the generation of the index's last flush.
    pub fn mark(&self) -> Result<u64, KvError> {
        let sealed = call(|| self.trees.marks.get(MARK))?;
        sealed
            .filter(|sealed| checksum::is_sound(MARK_TABLE, MARK, sealed))
            .and_then(|sealed| sealed.get(checksum::SEAL..)?.first_chunk().map(|b| u64::from_le_bytes(*b)))
            .ok_or_else(|| KvError::damaged("the index has lost its checkpoint"))
    }

    /// Writes `generation`, which the index now has completely, and all changes to the index's
    /// files. sled does not sync them: [`sync_files`] does.
    pub fn flush(&self, generation: u64) -> Result<(), IndexFault> {
        call(|| {
            self.trees.tables.iter().try_for_each(TableIndex::write_back)?;
            self.trees.marks.insert(MARK, checksum::seal(MARK_TABLE, MARK, &generation.to_le_bytes()))?;
            self.trees.db.flush().map(drop)
        })
    }
}

/// Makes the index's files and their names durable. Skips the blob files in `synced`, because a
/// blob file is written only once.
///
/// # Errors
/// [`SyncError::NotOpened`] if a file could not be opened; [`SyncError::Sync`] if the disk did not
/// confirm a sync.
pub(super) fn sync_files(dir: &Path, synced: &mut HashSet<PathBuf>) -> Result<(), SyncError> {
    for entry in fs::read_dir(dir).map_err(SyncError::NotOpened)? {
        let entry = entry.map_err(SyncError::NotOpened)?;
        if entry.file_type().map_err(SyncError::NotOpened)?.is_file() {
            sync_file(&entry.path())?;
        }
    }
    let blobs = dir.join("blobs");
    let mut present = HashSet::new();
    for entry in fs::read_dir(&blobs).map_err(SyncError::NotOpened)? {
        let path = entry.map_err(SyncError::NotOpened)?.path();
        if !synced.contains(&path) {
            sync_file(&path)?;
        }
        present.insert(path);
    }
    sync_file(&blobs)?;
    sync_file(dir)?;
    *synced = present;
    Ok(())
}

/// Why the index's files may not be durable.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyncError {
    /// A file or folder could not be opened. Its data is still in the page cache, and a retry may
    /// succeed.
    #[error("{0}")]
    NotOpened(io::Error),
    /// The disk refused a sync. Data in the page cache cannot be distinguished from durable data.
    #[error("{0}")]
    Sync(io::Error),
}

impl From<SyncError> for io::Error {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::NotOpened(error) | SyncError::Sync(error) => error,
        }
    }
}

/// Syncs a file. A missing file needs no sync: sled removes blobs and snapshots that it has
/// replaced.
fn sync_file(path: &Path) -> Result<(), SyncError> {
    match File::open(path) {
        Ok(file) => file.sync_all().map_err(SyncError::Sync),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(SyncError::NotOpened(error)),
    }
}

/// Returns the path of the index's configuration.
pub(super) fn conf(folder: &Path) -> PathBuf {
    folder.join("conf")
}

/// Returns the timeout for opening the index.
pub(super) fn timeout(config: &KvConfig, folder: &Path) -> Duration {
    let gigabytes = u32::try_from(size(folder) >> 30).unwrap_or(u32::MAX);
    config.index_open_timeout.saturating_mul(gigabytes.saturating_add(1))
}

/// Returns the folder of the index with this number. Each rewrite increases the number.
pub(super) fn folder(data: &Path, number: u64) -> PathBuf {
    if number == 0 { data.join(DIR) } else { data.join(format!("{DIR}-{number}")) }
}

/// Removes the folders of other indexes: those of an interrupted rewrite, and the previous index.
pub(super) fn remove_others(data: &Path, number: u64) -> io::Result<()> {
    let own = folder(data, number);
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_index = name == DIR
            || name.strip_prefix(DIR).and_then(|rest| rest.strip_prefix('-')).is_some_and(|n| n.parse::<u64>().is_ok());
        if is_index && path != own {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

/// Returns the size of an index's files, in bytes.
pub(super) fn size(folder: &Path) -> u64 {
    files(folder).unwrap_or_default().iter().filter_map(|path| fs::metadata(path).ok()).map(|about| about.len()).sum()
}

/// Returns an index's files, sorted.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    Ok(found)
}
