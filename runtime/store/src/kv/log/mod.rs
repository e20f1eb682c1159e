//! The commit log of an open store: appends one record per group and makes it durable, segment
//! after segment. `replay.rs` reads it back; the checkpoint decides when a segment is no longer
//! needed.

pub(in crate::kv) mod header;
pub(in crate::kv) mod record;
pub(in crate::kv) mod replay;
pub(in crate::kv) mod segment;
pub(in crate::kv) mod spare_segments;
pub(in crate::kv) mod tail_mark;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidemill_core::failpoint;

use crate::disk::{Disk, DiskFile};
use crate::kv::log::record::RecordBuffer;
use crate::kv::log::segment::{FIRST_RECORD, Segment};
use crate::kv::log::spare_segments::SpareSegments;
use crate::kv::log::tail_mark::TailMark;

/// The log's folder in the data folder.
pub(super) const DIR: &str = "log";

/// The end of the log: the place after the record of `generation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogEnd {
    pub generation: u64,
    pub position: u64,
    pub segment: u64,
    pub offset: u64,
    pub chain: u64,
}

/// Why a record could not be appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// Nothing was written; the log works again when the cause is gone.
    NotBegun(io::Error),
    /// The record may or may not be durable, and the log cannot continue.
    Lost(io::Error),
}

/// The log, open for appending.
pub(super) struct CommitLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    seed: u64,
    first_bytes: u64,
    /// `None` if the disk was full when the store was opened; it is created when there is space.
    segment: Option<Segment>,
    /// The highest segment number.
    newest: u64,
    end: LogEnd,
    spares: Arc<SpareSegments>,
    tail: TailMark,
    syncs: Arc<AtomicU64>,
}

impl CommitLog {
    /// Begins a new segment after `end`. Old segments are only read: a torn write stays in them
    /// until they are recycled. On a full disk the new segment is begun later.
    pub fn begin(
        data: &Path,
        seed: u64,
        first_bytes: u64,
        newest: u64,
        end: LogEnd,
        spares: Arc<SpareSegments>,
        syncs: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let dir = data.join(DIR);
        let disk = Arc::clone(spares.disk());
        let tail = TailMark::open(&*disk, data, seed)?;
        let mut log = Self { disk, dir, seed, first_bytes, segment: None, newest, end, spares, tail, syncs };
        match log.rotate(0) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                tracing::warn!(%error, "the disk is full; writes are refused until a log segment fits");
                Ok(log)
            }
            begun => begun.map(|()| log),
        }
    }

    /// Returns the end of the log.
    pub fn end(&self) -> LogEnd {
        self.end
    }

    /// Appends the record as the next generation and makes it durable.
    ///
    /// After a failed fdatasync the segment's content is not trusted: the record is written to a
    /// fresh segment and made durable there.
    pub fn append(&mut self, record: &mut RecordBuffer, position: u64) -> Result<LogEnd, AppendError> {
        let length = record.length();
        if self.segment.as_ref().is_none_or(|segment| self.end.offset + length > segment.capacity) {
            self.rotate(length).map_err(AppendError::NotBegun)?;
        }
        if let Err(error) = self.write(record, position) {
            tracing::error!(%error, segment = self.newest, "could not sync the log; writing the group to a fresh segment");
            self.rotate(length).map_err(AppendError::Lost)?;
            self.write(record, position).map_err(AppendError::Lost)?;
        }
        if self.segment.as_ref().is_some_and(|segment| self.end.offset > segment.capacity / 4) {
            self.spares.want();
        }
        Ok(self.end)
    }

    fn write(&mut self, record: &mut RecordBuffer, position: u64) -> io::Result<()> {
        let segment = self.segment.as_ref().ok_or(io::ErrorKind::StorageFull)?;
        let generation = self.end.generation + 1;
        let (bytes, checksum) = record.seal(self.seed, segment.number, generation, position, self.end.chain);
        failpoint::hit("store/append");
        segment.file.write_all_at(bytes, self.end.offset)?;
        failpoint::hit("store/appended");
        segment.file.sync()?;
        failpoint::hit("store/synced");
        self.syncs.fetch_add(1, Ordering::Relaxed);
        let length = bytes.len() as u64;
        self.end =
            LogEnd { generation, position, segment: segment.number, offset: self.end.offset + length, chain: checksum };
        // Not synced: it distinguishes a damaged last record from a torn one after a kill, not
        // after a power cut.
        if let Err(error) = self.tail.write(generation) {
            tracing::warn!(%error, "could not write the log's tail mark");
        }
        Ok(())
    }

    fn rotate(&mut self, length: u64) -> io::Result<()> {
        let number = self.newest + 1;
        let segment = next_segment(&*self.disk, &self.dir, &self.spares, self.seed, number, self.first_bytes, length)?;
        self.segment = Some(segment);
        self.newest = number;
        self.end.segment = number;
        self.end.offset = FIRST_RECORD;
        Ok(())
    }
}

fn next_segment(
    disk: &dyn Disk,
    dir: &Path,
    spares: &Arc<SpareSegments>,
    seed: u64,
    number: u64,
    small: u64,
    record: u64,
) -> io::Result<Segment> {
    let needed = FIRST_RECORD + record;
    let path = match spares.take(needed) {
        Some(path) => path,
        None => spares.make(needed.max(small).next_multiple_of(4096))?,
    };
    Segment::begin(disk, dir, &path, number, seed)
}

impl std::fmt::Debug for dyn DiskFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DiskFile")
    }
}
