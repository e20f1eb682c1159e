//! Checkpoints: make the index durable up to a group, then write that group to the log's header,
//! then recycle older segments. They run on their own thread while commits continue.

use std::sync::atomic::Ordering;

use tidemill_core::failpoint;

use super::error::{KvError, is_exhaustion};
use super::index::{self, SyncError};
use super::log::DIR;
use super::state::KvState;
use super::table_checksum::TableSum;
use crate::kv::commit::mvcc::DurableState;
use crate::kv::log::header::LogPoint;
use crate::kv::log::segment;

/// Makes a checkpoint of everything that the index has now.
pub(super) fn make(shared: &KvState) -> Result<(), KvError> {
    let mut checkpointed = shared.lock_checkpointed();
    let appended = shared.pace.appended();
    let indexed = shared.versions.indexed();
    // A checkpoint of a rewritten index may include groups that the writer is still writing to it.
    if indexed.end.generation <= checkpointed.point.generation {
        return Ok(());
    }
    failpoint::hit("checkpoint/begun");
    if shared.faulted.load(Ordering::Acquire) {
        shared.wake_committer();
        return Err(KvError::Io { what: "the index".to_owned(), message: "it must be reopened first".to_owned() });
    }
    let reading = shared.index.reading()?;
    let flushed = shared.spares.lend(|| reading.flush(indexed.end.generation));
    drop(reading);
    if let Err(fault) = flushed {
        shared.faulted.store(true, Ordering::Release);
        shared.wake_committer();
        return Err(KvError::from(fault));
    }
    failpoint::hit("checkpoint/flushed");
    let folder = shared.index.folder();
    shared.spares.lend(|| index::sync_files(&folder, &mut checkpointed.synced)).map_err(|error| {
        if let SyncError::NotOpened(error) = &error
            && is_exhaustion(&error.to_string())
        {
            return KvError::io("the index's files", error);
        }
        let error = KvError::ReadOnly { why: format!("the index could not be made durable: {error}") };
        shared.stop(error.clone());
        error
    })?;
    failpoint::hit("checkpoint/synced");
    let point = point(shared, &indexed, checkpointed.point.index);
    let failed = |error| KvError::io("the log's header could not be written", &error);
    checkpointed.anchor.write(&point).map_err(failed)?;
    failpoint::hit("checkpoint/written");
    let rotated = point.segment != checkpointed.point.segment;
    checkpointed.point = point;
    shared.pace.caught_up(appended);
    if rotated {
        recycle(shared, checkpointed.point.segment);
    }
    Ok(())
}

/// Returns the log point of `indexed`, with the number of the index's folder.
pub(super) fn point(shared: &KvState, indexed: &DurableState, index: u64) -> LogPoint {
    let tables = shared.index.tables();
    let sums: Vec<(u8, TableSum)> = tables.iter().map(|table| table.id).zip(indexed.sums.iter().copied()).collect();
    LogPoint {
        generation: indexed.end.generation,
        position: indexed.end.position,
        segment: indexed.end.segment,
        offset: indexed.end.offset,
        chain: indexed.end.chain,
        sums,
        index,
        live_bytes: shared.space.live_bytes(indexed),
    }
}

/// Returns segments before `first` to the spares. The next opening retries those that fail.
pub(super) fn recycle(shared: &KvState, first: u64) {
    let dir = shared.config.dir.join(DIR);
    let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let number = path.file_name().and_then(|name| segment::number_of(&name.to_string_lossy()));
        if number.is_some_and(|number| number < first)
            && let Err(error) = shared.spare_segments.give_back(&path)
        {
            tracing::warn!(%error, path = %path.display(), "could not recycle a log segment");
        }
    }
}
