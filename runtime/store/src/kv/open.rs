//! Opens a store: creates it if there is none, refuses it if it is damaged, and otherwise applies
//! the log to the index. It never recreates a missing file of an existing store without an error.

use std::collections::HashSet;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;

use tidemill_core::failpoint;
use tokio::sync::mpsc;

use super::clean_shutdown;
use super::config::{KvConfig, Table};
use super::error::KvError;
use super::index::{self, Index, maintenance, recovery};
use super::lock::{self, Lock};
use super::log::{self, CommitLog};
use super::manifest::{self, Manifest};
use super::scrub::{self, ScanPriority};
use super::state::{CommitPosition, KvState, LastCheckpoint};
use super::table_checksum::TableSum;
use crate::kv::commit::committer::Committer;
use crate::kv::commit::job::Job;
use crate::kv::commit::mvcc::{DurableState, Versions};
use crate::kv::log::header;
use crate::kv::log::header::{HeaderFile, LogPoint};
use crate::kv::log::replay::Replay;
use crate::kv::log::segment::FIRST_RECORD;
use crate::kv::log::spare_segments;
use crate::kv::log::spare_segments::SpareSegments;

/// While this file exists and the manifest does not, a store is being created and no caller has it
/// yet.
const MAKING: &str = "making";

/// How the store was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenReport {
    /// The store was just created.
    pub created: bool,
    /// The last shutdown was clean, and the index is unchanged since.
    pub clean: bool,
    /// Number of groups that were replayed from the log into the index.
    pub replayed: u64,
    /// Whether every record was verified before the store opened. After an unclean shutdown a large
    /// store is scrubbed in the background instead.
    pub scrubbed: bool,
    /// The last group of the store.
    pub commit: CommitPosition,
}

type OpenedStore = (mpsc::Sender<Job>, Arc<KvState>, OpenReport);

/// Opens the store and starts its threads. A full disk prevents the creation of a store. It
/// prevents opening one only if the index has to write before it can be read.
pub(super) fn open(config: KvConfig) -> Result<OpenedStore, KvError> {
    check(&config)?;
    let (disk, dir, needed) = (Arc::clone(&config.disk), config.dir.clone(), config.reserve_bytes);
    open_checked(config).map_err(|error| match (error, disk.free_space(&dir)) {
        (KvError::Io { what, message }, Ok(free)) if free < needed => {
            tracing::warn!(what, detail = message, "could not open the store: the disk is full");
            KvError::DiskFull { free, needed }
        }
        (error, _) => error,
    })
}

fn is_short(config: &KvConfig) -> bool {
    config.disk.free_space(&config.dir).is_ok_and(|free| free < config.reserve_bytes)
}

fn open_checked(config: KvConfig) -> Result<OpenedStore, KvError> {
    let data = config.dir.clone();
    let disk = Arc::clone(&config.disk);
    disk.create_dir(&data).map_err(|error| KvError::io(format!("the data folder, {}", data.display()), &error))?;
    let lock = Lock::take(&data)?;
    let created = make_if_new(&config)?;

    let mut manifest = Manifest::read(&*disk, &data)?;
    let more_tables = manifest.reconcile(config.tables)?;
    let seed = manifest.seed;
    let (anchor, point) = HeaderFile::open(&*disk, &data, seed)?;
    let replay = Replay::verify(Arc::clone(&disk), &data, seed, &point)?;
    let folder = index::folder(&data, point.index);
    check_index_files(&folder, &manifest)?;
    let clean = clean_shutdown::verify(&*disk, &data, &folder, seed)?;

    let open_index = || {
        let timeout = index::timeout(&config, &folder);
        let index = Index::open(&folder, config.index_cache_bytes, config.tables, timeout, more_tables)?;
        failpoint::hit("open/verified");
        recovery::apply(&index.reading()?, &replay, point.generation)?;
        failpoint::hit("open/replayed");
        Ok(index)
    };
    let index = match open_index() {
        // The index may have to write its buffered pages. Reading is worth more than the log's
        // spare segments.
        Err(KvError::Io { what, message })
            if is_short(&config) && spare_segments::make_room(&*disk, &data.join(log::DIR)) =>
        {
            tracing::warn!(what, detail = message, "removed the log's spare segments to free space for the index");
            open_index()?
        }
        opened => opened?,
    };
    if more_tables {
        // The manifest must not name a table that a power cut can undo.
        index.reading()?.flush(replay.end().generation)?;
        index::sync_files(&folder, &mut HashSet::new()).map_err(|error| KvError::io("the index", &error.into()))?;
        manifest.write(&*disk, &data)?;
    }
    if let Err(error) = index::remove_others(&data, point.index) {
        tracing::warn!(%error, "could not remove an unused index");
    }
    let durable = DurableState { end: replay.end(), sums: sums(config.tables, replay.sums()), grown_bytes: 0 };
    // The bytes of replayed groups were not counted.
    let live_bytes = point.live_bytes.filter(|_| durable.end.generation == point.generation);
    let log_dir = data.join(log::DIR);
    let failed = |error: io::Error| KvError::io("the log", &error);
    let spare_segments = SpareSegments::open(Arc::clone(&disk), &log_dir, config.segment_bytes).map_err(failed)?;
    for number in replay.older() {
        spare_segments.give_back(&log_dir.join(super::log::segment::name(*number))).map_err(failed)?;
    }
    let syncs = Arc::new(AtomicU64::new(0));
    let first = config.first_segment_bytes;
    let log = CommitLog::begin(
        &data,
        seed,
        first,
        replay.newest(),
        durable.end,
        Arc::clone(&spare_segments),
        Arc::clone(&syncs),
    )
    .map_err(failed)?;

    let replayed = durable.end.generation - point.generation;
    let commit = CommitPosition { group: durable.end.generation, position: durable.end.position };
    let checkpointed = LastCheckpoint { anchor, point, synced: HashSet::new() };
    let scrub_now = !clean && index::size(&folder) <= config.scrub_at_open_bytes;
    let queue = config.queue;
    let versions = Versions::new(durable);
    let replayed_bytes = replay.bytes();
    let shared = KvState::new(config, seed, index, versions, checkpointed, spare_segments, syncs, replayed_bytes, lock);
    let shared = Arc::new(shared);
    shared.space.set_base(live_bytes.and_then(|bytes| i64::try_from(bytes).ok()));
    if scrub_now {
        let found = scrub::run(&shared, ScanPriority::Foreground)?;
        if !created {
            shared.scrubbed(found);
        }
    }
    failpoint::hit("open/opened");
    let sender = start(&shared, log, queue)?;
    if !clean && !scrub_now {
        scrub_in_background(&shared);
    }
    Ok((sender, shared, OpenReport { created, clean, replayed, scrubbed: scrub_now, commit }))
}

fn check(config: &KvConfig) -> Result<(), KvError> {
    let ids: HashSet<u8> = config.tables.iter().map(|table| table.id).collect();
    let names: HashSet<&str> = config.tables.iter().map(|table| table.name).collect();
    let well_named = |table: &Table| {
        !table.name.is_empty() && table.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let sound = ids.len() == config.tables.len()
        && names.len() == config.tables.len()
        && config.tables.len() <= header::MAX_TABLES
        && config.tables.iter().all(well_named)
        && config.segment_bytes >= 64 << 10
        && config.segment_bytes.is_multiple_of(4096)
        && config.segment_bytes <= 1 << 30
        && config.queue > 0;
    if sound {
        return Ok(());
    }
    Err(KvError::Io { what: "opening the store".to_owned(), message: "its tables or bounds are invalid".to_owned() })
}

/// Creates a store in an empty folder, or in one whose creation was interrupted.
fn make_if_new(config: &KvConfig) -> Result<bool, KvError> {
    let (disk, data) = (&*config.disk, &config.dir);
    let failed = |error: io::Error| KvError::io("the store could not be created", &error);
    if data.join(manifest::NAME).exists() {
        return match disk.remove(&data.join(MAKING)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(false),
        };
    }
    let making = data.join(MAKING);
    if !making.exists() {
        let mut others = fs::read_dir(data).map_err(failed)?.filter_map(Result::ok).map(|entry| entry.file_name());
        if let Some(found) = others.find(|name| name != lock::NAME) {
            return Err(KvError::damaged(format!(
                "the folder holds {} but not the manifest, {}",
                found.to_string_lossy(),
                manifest::NAME
            )));
        }
        disk.open(&making, true).and_then(|file| file.sync()).and_then(|()| disk.sync_dir(data)).map_err(failed)?;
    }
    for folder in [index::DIR, log::DIR] {
        match fs::remove_dir_all(data.join(folder)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    let folder = index::folder(data, 0);
    let timeout = index::timeout(config, &folder);
    let index = Index::open(&folder, config.index_cache_bytes, config.tables, timeout, true)?;
    index.reading()?.flush(0)?;
    index::sync_files(&folder, &mut HashSet::new()).map_err(|error| failed(error.into()))?;
    index.close(timeout);
    let (_, conf) = clean_shutdown::digest(&index::conf(&folder)).map_err(failed)?;
    let seed = RandomState::new().build_hasher().finish();
    disk.create_dir(&data.join(log::DIR)).map_err(failed)?;
    let sums = config.tables.iter().map(|table| (table.id, TableSum::default())).collect();
    let point = LogPoint {
        generation: 0,
        position: 0,
        segment: 1,
        offset: FIRST_RECORD,
        chain: seed,
        sums,
        index: 0,
        live_bytes: Some(0),
    };
    HeaderFile::create(disk, data, seed, &point).map_err(failed)?;
    let tables = config.tables.iter().map(|table| (table.id, table.name.to_owned())).collect();
    Manifest { seed, index: conf, tables }.write(disk, data)?;
    disk.remove(&making).and_then(|()| disk.sync_dir(data)).map_err(failed)?;
    Ok(true)
}

/// Checks the index's files: sled would create missing ones, and only warns of a changed
/// configuration.
fn check_index_files(folder: &Path, manifest: &Manifest) -> Result<(), KvError> {
    match clean_shutdown::digest(&index::conf(folder)) {
        Ok((_, found)) if found == manifest.index => {}
        Ok(_) => return Err(KvError::damaged("the index's configuration is not what was written")),
        Err(error) => return Err(KvError::unreadable("the index's configuration cannot be read", &error)),
    }
    if !folder.join("db").exists() || !folder.join("blobs").exists() {
        return Err(KvError::damaged("the index's files are missing"));
    }
    Ok(())
}

/// Returns the sums in the order of the tables; a new table has an empty sum.
fn sums(tables: &[Table], known: &[(u8, TableSum)]) -> Arc<[TableSum]> {
    let of = |table: &Table| known.iter().find(|(id, _)| *id == table.id).map(|(_, sum)| *sum).unwrap_or_default();
    tables.iter().map(of).collect()
}

fn start(shared: &Arc<KvState>, log: CommitLog, queue: usize) -> Result<mpsc::Sender<Job>, KvError> {
    let failed = |error| KvError::io("a thread of the store could not be started", &error);
    let (sender, receiver) = mpsc::channel(queue);
    shared.set_committer(sender.downgrade());
    let checkpoints = Arc::clone(shared);
    let checkpoints = thread::Builder::new()
        .name("tidemill-checkpoint".to_owned())
        .spawn(move || checkpoints.guard("the checkpoint thread", || maintenance::run(&checkpoints)))
        .map_err(failed)?;
    let committer = Committer::new(Arc::clone(shared), log, receiver, checkpoints);
    let shared = Arc::clone(shared);
    thread::Builder::new()
        .name("tidemill-commit".to_owned())
        .spawn(move || shared.guard("the committer", || committer.run()))
        .map_err(failed)?;
    Ok(sender)
}

fn scrub_in_background(shared: &Arc<KvState>) {
    let scrubbed = Arc::clone(shared);
    let spawned = thread::Builder::new().name("tidemill-scrub".to_owned()).spawn(move || {
        match scrub::run(&scrubbed, ScanPriority::Background) {
            Ok(found) => {
                tracing::info!(
                    records = found.records,
                    bytes = found.bytes,
                    "scrubbed the store; every record is sound"
                );
                scrubbed.scrubbed(found);
            }
            Err(KvError::Closed) => {}
            Err(error) => {
                let error = scrubbed.noted(error);
                tracing::error!(code = error.code(), %error, "the background scrub failed");
            }
        }
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "could not start the scrub thread");
    }
}
