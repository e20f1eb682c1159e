//! Small stores for tests, and helpers to read and copy them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use tidemill_store::kv::{KeyRange, Kv, KvConfig, KvError, OpenReport, Table, Tx};

pub const RUNS: Table = Table::new(1, "runs");
pub const EVENTS: Table = Table::resident(2, "events");
pub const TABLES: &[Table] = &[RUNS, EVENTS];

/// Returns a configuration with small segments and bounds, so that a test reaches all of them.
pub fn small(dir: &Path) -> KvConfig {
    KvConfig {
        index_cache_bytes: 4 << 20,
        segment_bytes: 64 << 10,
        first_segment_bytes: 16 << 10,
        checkpoint_every: Duration::from_millis(20),
        checkpoint_bytes: 32 << 10,
        reserve_bytes: 1 << 20,
        ..KvConfig::new(dir, TABLES)
    }
}

/// As [`small`], but checkpoints are made only on request.
pub fn unhurried(dir: &Path) -> KvConfig {
    KvConfig { checkpoint_every: Duration::from_secs(3600), checkpoint_bytes: u64::MAX, ..small(dir) }
}

pub fn open(config: KvConfig) -> (Kv, OpenReport) {
    Kv::open(config).unwrap()
}

pub async fn put(kv: &Kv, table: Table, key: &str, value: &str) -> u64 {
    let (key, value) = (key.to_owned(), value.to_owned());
    kv.submit(move |tx: &mut Tx<'_>| {
        tx.put(table, key, value)?;
        Ok::<_, KvError>(tx.position())
    })
    .await
    .unwrap()
}

pub fn get(kv: &Kv, table: Table, key: &str) -> Option<String> {
    kv.get(table, key).unwrap().map(|value| String::from_utf8(value.into()).unwrap())
}

pub fn all(kv: &Kv, table: Table) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, KvError> {
    let rows = kv.scan(table, &KeyRange::all(), false, usize::MAX)?;
    Ok(rows.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
}

/// Copies a data folder as a kill would leave it: the page cache survives a kill, so the copy
/// contains what reads see.
///
/// A kill happens at one moment, but a copy takes time. If a file is renamed during the copy (the
/// background thread makes a spare of the log), the copy starts again.
pub fn copy(from: &Path, to: &Path) {
    while let Err(error) = try_copy(from, to) {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        fs::remove_dir_all(to).unwrap();
    }
}

fn try_copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            try_copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
