//! Reclaims disk space: sled keeps the space of deleted records. If the index is much larger than
//! its records, they are copied to a new folder while commits continue, and the checkpoint that
//! includes all of them names the new folder.
//!
//! Invariants: the log's header names one index, which is durable up to the header's group, and is
//! replaced in one write. So a crash at any moment opens either the old index or the new one. The
//! old index is removed only after the header is durable. Changes by commits during the copy are
//! taken from the reader's layers, as in the scrub; the writer waits only while the last of them
//! are copied.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tidemill_core::clock::Stopwatch;
use tidemill_core::failpoint;

use crate::kv::commit::mvcc::{BatchLayer, SnapshotGuard};
use crate::kv::error::KvError;
use crate::kv::index::{self, IndexReader, Trees};
use crate::kv::key_range::KeyRange;
use crate::kv::scrub::{self, LONGEST_REST, ScanPriority};
use crate::kv::snapshot::rows;
use crate::kv::state::{KvState, LastCheckpoint};
use crate::kv::{checkpoint, checksum, clean_shutdown};

/// Maximum ratio of the index's size to the size of its records.
const TIMES: u64 = 3;
/// Number of records copied at a time. It is small, because some records take a megabyte.
const PIECE: usize = 64;
/// Maximum memory for the new index's pages, in bytes.
const CACHE_BYTES: u64 = 16 << 20;
/// Minimum interval between two attempts.
const PAUSE: Duration = Duration::from_secs(60);

/// Starts to rewrite the index in the background, if it is too large for its records. If their size
/// is unknown, counts them instead.
pub(in crate::kv) fn begin_if_due(shared: &Arc<KvState>) {
    let used = index::size(&shared.index.folder());
    if used <= shared.config.rewrite_from_bytes || shared.stopped().is_some() {
        return;
    }
    let live = shared.space.live_bytes(&shared.versions.durable());
    let mut state = shared.space.state();
    let busy = state.thread.as_ref().is_some_and(|thread| !thread.is_finished()) || state.scrubs > 0;
    let early = state.tried.as_ref().is_some_and(|tried| tried.elapsed() < PAUSE) || used / 3 * 2 < state.smallest;
    if busy || early || live.is_some_and(|live| used <= live.saturating_mul(TIMES)) {
        return;
    }
    state.tried = Some(Stopwatch::start());
    let (working, counts) = (Arc::clone(shared), live.is_none());
    let work = move || {
        let done = if counts {
            scrub::run(&working, ScanPriority::Background).map(drop)
        } else {
            run(&working, ScanPriority::Background)
        };
        match done {
            Ok(()) | Err(KvError::Closed) => {}
            Err(error) => {
                let error = working.noted(error);
                tracing::warn!(code = error.code(), %error, "could not rewrite the index; will retry");
            }
        }
    };
    match thread::Builder::new().name("tidemill-rewrite".to_owned()).spawn(work) {
        Ok(thread) => state.thread = Some(thread),
        Err(error) => tracing::warn!(%error, "could not start the thread that rewrites the index"),
    }
}

/// Rewrites the index.
///
/// # Errors
/// The reason why the rewrite failed; the old index stays in use.
pub(in crate::kv) fn run(shared: &Arc<KvState>, haste: ScanPriority) -> Result<(), KvError> {
    let _alone = shared.space.rewriting.lock();
    let data = &shared.config.dir;
    let used = index::size(&shared.index.folder());
    let (free, needed) = (free(shared)?, shared.config.reserve_bytes + used + 4 * shared.pace.backlog());
    let number = shared.lock_checkpointed().point.index + 1;
    let folder = index::folder(data, number);
    if free < needed {
        return Err(KvError::DiskFull { free, needed });
    }
    remove(&folder).map_err(failed)?;
    failpoint::hit("rewrite/begun");
    let timeout = index::timeout(&shared.config, &folder);
    let trees = Arc::new(Trees::open(&folder, CACHE_BYTES, shared.index.tables(), timeout, true)?);
    let switched = same_configuration(shared, &folder)
        .and_then(|()| copy(shared, &trees, haste))
        .and_then(|reader| switch(shared, &trees, reader, number, &folder));
    match switched {
        Ok(old) => {
            if old.give_up(timeout) {
                index::remove_others(data, number).map_err(failed)?;
            } else {
                tracing::warn!("a reader still uses the old index; the next start removes it");
            }
            failpoint::hit("rewrite/removed");
            let after = index::size(&folder);
            shared.space.state().smallest = after;
            tracing::info!(before = used, after, "rewrote the index to reclaim disk space");
            Ok(())
        }
        Err(error) => {
            let given_up = trees.give_up(timeout);
            // If the header could not be written, it is unknown which index it names. Both stay
            // until the next opening.
            if given_up && shared.stopped().is_none() {
                remove(&folder).map_err(failed)?;
            }
            Err(error)
        }
    }
}

fn failed(error: io::Error) -> KvError {
    KvError::io("the index could not be rewritten", &error)
}

fn free(shared: &KvState) -> Result<u64, KvError> {
    shared.config.disk.free_space(&shared.config.dir).map_err(failed)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Checks that the new index has the same configuration file, because the manifest contains its
/// checksum.
fn same_configuration(shared: &KvState, folder: &Path) -> Result<(), KvError> {
    let digest = |folder: &Path| clean_shutdown::digest(&index::conf(folder)).map_err(failed);
    if digest(folder)? == digest(&shared.index.folder())? {
        return Ok(());
    }
    let message = "its configuration differs from that of the old index".to_owned();
    Err(KvError::Io { what: "the index could not be rewritten".to_owned(), message })
}

fn check_not_stopped(shared: &KvState) -> Result<(), KvError> {
    if shared.closing.load(Ordering::Acquire) {
        return Err(KvError::Closed);
    }
    match shared.stopped() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Copies every record to `trees`. Returns a hold on the group that the copy is as of.
fn copy(shared: &KvState, trees: &Arc<Trees>, haste: ScanPriority) -> Result<SnapshotGuard, KvError> {
    let fresh = shared.index.reading_of(trees);
    let mut reader = shared.versions.read();
    for (slot, table) in shared.index.tables().iter().enumerate() {
        let mut rest = KeyRange::all();
        loop {
            check_not_stopped(shared)?;
            let watch = Stopwatch::start();
            let read = rows(&shared.index.reading()?, &reader, slot, &rest, false, PIECE)?;
            let last = read.last().map(|(key, _)| key.clone()).filter(|_| read.len() == PIECE);
            for (key, sealed) in read {
                checksum::verify(*table, &key, &sealed)?;
                fresh.write(slot, &key, Some(sealed))?;
            }
            let covered = last.as_ref().map_or(Bound::Unbounded, |last| Bound::Included(last.to_vec()));
            for layer in reader.advance()? {
                apply(&fresh, &layer, slot, covered.clone())?;
            }
            if haste == ScanPriority::Background {
                thread::sleep((2 * watch.elapsed()).min(LONGEST_REST));
            }
            match last {
                Some(last) => rest = rest.after(&last, false),
                None => break,
            }
        }
    }
    failpoint::hit("rewrite/copied");
    Ok(reader)
}

/// Applies a group's changes to the part of the new index that is already copied: the tables before
/// `slot`, and `slot` up to `covered`.
fn apply(fresh: &IndexReader<'_>, layer: &BatchLayer, slot: usize, covered: Bound<Vec<u8>>) -> Result<(), KvError> {
    let whole = KeyRange::all();
    let part = KeyRange::new(Bound::Unbounded, covered);
    for (at, changes) in layer.changes().iter().enumerate().take(slot + 1) {
        let span = if at < slot { &whole } else { &part };
        for (key, change) in changes.range::<[u8], _>(span.bounds()) {
            fresh.write(at, key, change.after.clone())?;
        }
    }
    Ok(())
}

/// Applies the remaining groups to the new index and makes it the store's index, with a checkpoint
/// at that group. Returns the old one.
fn switch(
    shared: &KvState,
    trees: &Arc<Trees>,
    mut reader: SnapshotGuard,
    number: u64,
    folder: &Path,
) -> Result<Arc<Trees>, KvError> {
    let fresh = shared.index.reading_of(trees);
    let mut synced = HashSet::new();
    let catch_up = |reader: &mut SnapshotGuard, synced: &mut HashSet<PathBuf>| -> Result<(), KvError> {
        for layer in reader.advance()? {
            apply(&fresh, &layer, usize::MAX - 1, Bound::Unbounded)?;
        }
        fresh.flush(reader.at().end.generation)?;
        index::sync_files(folder, synced).map_err(|error| failed(error.into()))
    };
    // Each pass has less to copy. The writer waits only during the third pass, after this loop.
    for _ in 0..2 {
        check_not_stopped(shared)?;
        catch_up(&mut reader, &mut synced)?;
    }
    File::open(&shared.config.dir).and_then(|data| data.sync_all()).map_err(failed)?;
    let mut checkpointed = shared.lock_checkpointed();
    let appended = shared.pace.appended();
    let inserting = shared.lock_inserting();
    check_not_stopped(shared)?;
    catch_up(&mut reader, &mut synced)?;
    failpoint::hit("rewrite/synced");
    let point = checkpoint::point(shared, reader.at(), number);
    checkpointed.anchor.write(&point).map_err(|error| {
        let error = KvError::ReadOnly { why: format!("the log's header could not be written: {error}") };
        shared.stop(error.clone());
        error
    })?;
    failpoint::hit("rewrite/switched");
    let old = shared.index.replace(folder.to_owned(), Arc::clone(trees));
    let first = point.segment;
    let LastCheckpoint { point: known, synced: known_synced, .. } = &mut *checkpointed;
    (*known, *known_synced) = (point, synced);
    drop(inserting);
    shared.pace.caught_up(appended);
    checkpoint::recycle(shared, first);
    old.ok_or(KvError::Closed)
}
