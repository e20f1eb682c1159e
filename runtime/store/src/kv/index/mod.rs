//! The index that reads are served from: sled, called so that neither its panics, its errors nor its being
//! slow to notice damage become ours. It knows tables, keys and sealed values, and nothing of groups.

pub(in crate::kv) mod resident;
pub(in crate::kv) mod rewrite;
pub(in crate::kv) mod spare_files;

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use tidemill_core::failpoint;

use super::catch_panic;
use super::checksum::{self, Key, Value};
use super::config::Table;
use super::error::{KvError, is_exhaustion};
use super::key_range::KeyRange;
use crate::kv::commit::mvcc::KeyChange;
use crate::kv::index::resident::ResidentTable;

/// What sled says of a file that another handle has locked, how often it is asked again, and the pause between.
const LOCKED: &str = "could not acquire lock";
const LOCK_TRIES: u32 = 400;
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// The index's first folder in the data folder. One that was written anew has a number behind the name.
pub(super) const DIR: &str = "index";
/// The tree that holds the index's own record of its last checkpoint; no table can have the name.
const MARKS: &str = "(checkpoint)";
const MARK: &[u8] = b"generation";
/// Marks are sealed as if they were in this table.
const MARK_TABLE: u8 = u8::MAX;
/// How long an index that nobody closed may take to end.
const DROP_PATIENCE: Duration = Duration::from_secs(30);

/// The index, open; taken away while it is opened again.
pub(super) struct Index {
    folder: Mutex<PathBuf>,
    tables: &'static [Table],
    by_id: [Option<u8>; 256],
    open: RwLock<IndexState>,
}

enum IndexState {
    Open(Arc<Trees>),
    /// It was given up and could not be opened again.
    Lost,
    Closed,
}

/// sled's handles.
pub(super) struct Trees {
    db: sled::Db,
    trees: Vec<sled::Tree>,
    /// By the table's place: what is held in memory of those that are resident.
    resident: Vec<Option<ResidentTable>>,
    marks: sled::Tree,
}

/// How a call into sled failed.
#[derive(Debug)]
pub(super) enum IndexFault {
    /// It panicked, or what it read is not what it wrote.
    Damage(String),
    /// The operating system refused; from now on it refuses everything until it is opened again.
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
        // It does not always return what the operating system refused.
        Err(panicked) if is_exhaustion(&panicked) => Err(IndexFault::Io(panicked)),
        Err(panicked) => Err(IndexFault::Damage(panicked.lines().next().unwrap_or_default().to_owned())),
    }
}

impl Trees {
    /// Opens sled in `dir`, on a thread of its own that is left behind where it takes longer than `timeout`.
    pub fn open(
        dir: &Path,
        cache: u64,
        tables: &'static [Table],
        timeout: Duration,
        create: bool,
    ) -> Result<Self, KvError> {
        let dir = dir.to_owned();
        let (tell, told) = mpsc::channel();
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
                if let Err(mpsc::SendError(Ok(late))) = tell.send(result) {
                    let _ = catch_panic::catch(|| drop(late));
                }
            })
            .map_err(|error| KvError::io("a thread to open the index", &error))?;
        told.recv_timeout(timeout)
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
        let trees: Result<Vec<_>, _> = tables.iter().map(|table| open(table.name)).collect();
        let (marks, trees) = match (marks, trees) {
            (Ok(marks), Ok(trees)) => (marks, trees),
            (Err(error), _) | (_, Err(error)) => return Err((error, db)),
        };
        let load = |(table, tree): (&Table, &sled::Tree)| {
            let load = || ResidentTable::load(tree);
            table.is_resident.then(|| call(load).map_err(KvError::from)).transpose()
        };
        match tables.iter().zip(&trees).map(load).collect() {
            Ok(resident) => Ok(Self { db, trees, resident, marks }),
            Err(error) => Err((error, db)),
        }
    }

    /// Gives sled up on a thread that may panic, and waits for it where that does not take long.
    pub fn give_up(self: Arc<Self>, patience: Duration) -> bool {
        let (tell, told) = mpsc::channel();
        let spawned = thread::Builder::new().name("tidemill-index".to_owned()).spawn(move || {
            let mut trees = self;
            // Readers hold the handles for the time of one read.
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
            let _ = tell.send(());
        });
        spawned.is_ok() && told.recv_timeout(patience).is_ok()
    }
}

impl Index {
    /// Opens an index in `folder` that must have all `tables`; with `create` those it lacks are made.
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

    /// The folder of its files.
    pub fn folder(&self) -> PathBuf {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts handles on another folder in the place of the old ones, which are the answer; none if it is not open. Whoever has
    /// the old ones in hands reads what was there before.
    pub fn replace(&self, folder: PathBuf, trees: Arc<Trees>) -> Option<Arc<Trees>> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*open, IndexState::Open(_)) {
            return None;
        }
        *self.folder.lock().unwrap_or_else(PoisonError::into_inner) = folder;
        match std::mem::replace(&mut *open, IndexState::Open(trees)) {
            IndexState::Open(old) => Some(old),
            IndexState::Lost | IndexState::Closed => None,
        }
    }

    /// Handles that are not the index's own, used like them.
    pub fn reading_of(&self, trees: &Arc<Trees>) -> IndexReader<'_> {
        IndexReader { index: self, trees: Arc::clone(trees) }
    }

    /// Gives the old handles up and opens the index again; `recover` brings it up to date before anyone reads it.
    pub fn reopen(
        &self,
        cache: u64,
        timeout: Duration,
        recover: impl FnOnce(&IndexReader) -> Result<(), KvError>,
    ) -> Result<(), KvError> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
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

    /// The handles, for one read or one group.
    pub fn reading(&self) -> Result<IndexReader<'_>, KvError> {
        match &*self.open.read().unwrap_or_else(PoisonError::into_inner) {
            IndexState::Open(trees) => Ok(IndexReader { index: self, trees: Arc::clone(trees) }),
            IndexState::Lost => Err(lost()),
            IndexState::Closed => Err(KvError::Closed),
        }
    }

    /// All tables.
    pub fn tables(&self) -> &'static [Table] {
        self.tables
    }

    /// The place of a table in [`Index::tables`].
    pub fn slot(&self, id: u8) -> Result<usize, KvError> {
        self.by_id[usize::from(id)].map(usize::from).ok_or(KvError::UnknownTable { id })
    }

    /// Closes the index; false where that took too long.
    pub fn close(&self, patience: Duration) -> bool {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
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

/// Opens sled. Its own threads may hold the file that it locks for a moment after an earlier handle was given up; nobody else does,
/// as the folder's lock is held.
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
    KvError::Io { what: "the index".to_owned(), message: "it could not be opened again".to_owned() }
}

/// Hold of the index's handles. Kept short: giving the index up waits for it.
pub(super) struct IndexReader<'a> {
    index: &'a Index,
    trees: Arc<Trees>,
}

impl IndexReader<'_> {
    /// The place of a table in [`Index::tables`].
    pub fn slot(&self, id: u8) -> Result<usize, KvError> {
        self.index.slot(id)
    }

    /// The sealed value of a key, unverified.
    pub fn sealed(&self, slot: usize, key: &[u8]) -> Result<Option<sled::IVec>, IndexFault> {
        match &self.trees.resident[slot] {
            Some(table) => Ok(table.get(key)),
            None => call(|| self.trees.trees[slot].get(key)),
        }
    }

    /// The value of a key, verified.
    pub fn get(&self, slot: usize, key: &[u8]) -> Result<Option<Value>, KvError> {
        let sealed = self.sealed(slot, key)?;
        sealed.map(|sealed| checksum::unseal(self.index.tables[slot], key, &sealed)).transpose()
    }

    /// The first `limit` sealed records of a span, from its end where `reverse`; unverified.
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
        if let Some(table) = &self.trees.resident[slot] {
            return Ok(table.scan(span, reverse, limit));
        }
        call(|| {
            let range = self.trees.trees[slot].range::<&[u8], _>(span.bounds());
            if reverse { range.rev().take(limit).collect() } else { range.take(limit).collect() }
        })
    }

    /// Like [`IndexReader::scan`], verified.
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
        if let Some(table) = &self.trees.resident[slot] {
            table.write(key, sealed);
            return Ok(());
        }
        let tree = &self.trees.trees[slot];
        call(|| put(tree, key, sealed))
    }

    /// Puts all that a group changed in one table.
    pub fn write_all(&self, slot: usize, changes: &BTreeMap<sled::IVec, KeyChange>) -> Result<(), IndexFault> {
        if changes.is_empty() {
            return Ok(());
        }
        if let Some(table) = &self.trees.resident[slot] {
            failpoint::hit("store/insert");
            changes.iter().for_each(|(key, change)| table.write(key, change.after.clone()));
            return Ok(());
        }
        let tree = &self.trees.trees[slot];
        call(|| {
            changes.iter().try_for_each(|(key, change)| {
                failpoint::hit("store/insert");
                put(tree, key, change.after.clone())
            })
        })
    }

    /// The generation of the last checkpoint the index knows of.
    pub fn mark(&self) -> Result<u64, KvError> {
        let sealed = call(|| self.trees.marks.get(MARK))?;
        sealed
            .filter(|sealed| checksum::is_sound(MARK_TABLE, MARK, sealed))
            .and_then(|sealed| sealed.get(checksum::SEAL..)?.first_chunk().map(|b| u64::from_le_bytes(*b)))
            .ok_or_else(|| KvError::damaged("the index has lost its checkpoint"))
    }

    /// Writes the generation that is now wholly in the index, and everything before it, out to its files.
    /// sled does not sync them: [`sync_files`] does.
    pub fn flush(&self, generation: u64) -> Result<(), IndexFault> {
        call(|| {
            for (tree, resident) in self.trees.trees.iter().zip(&self.trees.resident) {
                if let Some(resident) = resident {
                    resident.write_back(tree)?;
                }
            }
            self.trees.marks.insert(MARK, checksum::seal(MARK_TABLE, MARK, &generation.to_le_bytes()))?;
            self.trees.db.flush().map(drop)
        })
    }
}

fn put(tree: &sled::Tree, key: &[u8], sealed: Option<sled::IVec>) -> sled::Result<()> {
    match sealed {
        Some(sealed) => tree.insert(key, sealed).map(drop),
        None => tree.remove(key).map(drop),
    }
}

/// Makes the index's files and their names durable. Blob files are written once, so those in `synced` are skipped.
///
/// # Errors
/// [`SyncError::NotOpened`] if a file could not be opened, and [`SyncError::Sync`] if the disk did not confirm one.
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

/// Why the index's files are not known to be durable.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyncError {
    /// A file or folder could not be opened. What was written to it waits in the page cache, and the same again may succeed.
    #[error("{0}")]
    NotOpened(io::Error),
    /// The disk refused. What is in the page cache cannot be told from what is durable.
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

/// A file that is gone meanwhile needs no sync: sled removes blobs and snapshots it replaced.
fn sync_file(path: &Path) -> Result<(), SyncError> {
    match File::open(path) {
        Ok(file) => file.sync_all().map_err(SyncError::Sync),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(SyncError::NotOpened(error)),
    }
}

/// The folder of the index with that number: the number rises each time the index is written anew.
pub(super) fn folder(data: &Path, number: u64) -> PathBuf {
    if number == 0 { data.join(DIR) } else { data.join(format!("{DIR}-{number}")) }
}

/// Removes the folders of other indexes: what a rewriting that did not come to its end left, or the one before the last.
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

/// Bytes of an index's files.
pub(super) fn size(folder: &Path) -> u64 {
    files(folder).unwrap_or_default().iter().filter_map(|path| fs::metadata(path).ok()).map(|about| about.len()).sum()
}

/// An index's files, sorted.
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
