//! Disk faults: a full disk, a failed sync, a power cut. The store degrades, reports the fault and
//! resumes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidemill_store::kv::{Kv, KvConfig, KvError, KvHealth, SubmitError, Tx};

use super::disk::Faults;
use super::support::{EVENTS, RUNS, all, copy, get, open, put, small, unhurried};

fn with(disk: &Faults, config: KvConfig) -> KvConfig {
    KvConfig { disk: Arc::new(disk.clone()), ..config }
}

async fn try_put(kv: &Kv, key: &str, value: &str) -> Result<(), SubmitError<KvError>> {
    let (key, value) = (key.to_owned(), value.to_owned());
    kv.submit(move |tx: &mut Tx<'_>| {
        tx.put(RUNS, &key, &value)?;
        tx.put(EVENTS, key, value)
    })
    .await
}

fn faulty(dir: &Path) -> (Faults, tempfile::TempDir) {
    let durable = tempfile::tempdir().unwrap();
    (Faults::new(dir, durable.path()), durable)
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, _durable) = faulty(dir.path());
    let (kv, _) = open(with(&disk, unhurried(dir.path())));
    put(&kv, RUNS, "before", "1").await;
    let syncs = kv.sync_count();
    disk.set_free(Some(1 << 20));
    for _ in 0..3 {
        let refused = try_put(&kv, "during", "2").await;
        assert!(matches!(refused, Err(SubmitError::Store(KvError::DiskFull { free: 0x10_0000, .. }))), "{refused:?}");
    }
    assert!(matches!(kv.health(), KvHealth::DiskFull { error: KvError::DiskFull { .. } }));
    assert_eq!(kv.sync_count(), syncs);
    assert_eq!(get(&kv, RUNS, "before").as_deref(), Some("1"));
    assert_eq!(get(&kv, RUNS, "during"), None);
    disk.set_free(None);
    assert!(matches!(kv.health(), KvHealth::Healthy));
    try_put(&kv, "after", "3").await.unwrap();
    kv.close().await.unwrap();
    let (kv, _) = open(small(dir.path()));
    assert_eq!(all(&kv, RUNS).unwrap().len(), 2);
    kv.close().await.unwrap();
}

#[tokio::test]
async fn a_store_on_a_full_disk_opens_for_reads_and_writes_again_when_there_is_space() {
    for clean in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (kv, _) = open(unhurried(dir.path()));
        for number in 0..50 {
            put(&kv, RUNS, &format!("{number:02}"), &"v".repeat(500)).await;
        }
        let before = all(&kv, RUNS).unwrap();
        let copied = tempfile::tempdir().unwrap();
        let dir = if clean {
            kv.close().await.unwrap();
            dir
        } else {
            copy(dir.path(), copied.path());
            std::mem::forget(kv);
            copied
        };
        for spare in std::fs::read_dir(dir.path().join("log")).unwrap().map(|entry| entry.unwrap().path()) {
            if spare.file_name().unwrap().to_string_lossy().starts_with("spare-") {
                std::fs::remove_file(spare).unwrap();
            }
        }
        let (disk, _durable) = faulty(dir.path());
        disk.set_free(Some(0));
        let names = || std::fs::read_dir(dir.path().join("log")).unwrap().count();
        let (kv, report) = open(with(&disk, unhurried(dir.path())));
        assert_eq!((report.clean, report.commit.position), (clean, 50));
        let files = names();
        for _ in 0..3 {
            let refused = try_put(&kv, "more", "1").await;
            assert!(matches!(refused, Err(SubmitError::Store(KvError::DiskFull { free: 0, .. }))), "{refused:?}");
        }
        assert!(matches!(kv.health(), KvHealth::DiskFull { .. }));
        assert_eq!((all(&kv, RUNS).unwrap(), names()), (before.clone(), files));
        // A restart without free space gives the same result.
        let _ = kv.close().await;
        let (kv, _) = open(with(&disk, unhurried(dir.path())));
        assert_eq!(all(&kv, RUNS).unwrap(), before);
        disk.set_free(None);
        try_put(&kv, "more", "1").await.unwrap();
        assert!(matches!(kv.health(), KvHealth::Healthy));
        kv.close().await.unwrap();
        let (kv, report) = open(small(dir.path()));
        assert!(report.clean);
        assert_eq!(all(&kv, RUNS).unwrap().len(), 51);
        kv.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_segment_without_space_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, _durable) = faulty(dir.path());
    // The reserve is free but no file can grow, as if a quota is exhausted.
    let (kv, _) = open(with(&disk, KvConfig { first_segment_bytes: 8 << 10, ..unhurried(dir.path()) }));
    let names = || std::fs::read_dir(dir.path().join("log")).unwrap().count();
    disk.fail_growth(true);
    let mut written = 0;
    while try_put(&kv, &format!("{written}"), &"v".repeat(500)).await.is_ok() {
        written += 1;
        assert!(written < 200, "the store never refused");
    }
    let files = names();
    for _ in 0..3 {
        assert!(try_put(&kv, "more", &"v".repeat(500)).await.is_err());
    }
    assert_eq!(names(), files);
    disk.fail_growth(false);
    try_put(&kv, "more", "v").await.unwrap();
    kv.close().await.unwrap();
    let (kv, _) = open(small(dir.path()));
    assert_eq!(all(&kv, RUNS).unwrap().len(), written + 1);
    kv.close().await.unwrap();
}

#[tokio::test]
async fn a_store_is_not_created_on_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, _durable) = faulty(dir.path());
    disk.set_free(Some(0));
    let refused = Kv::open(with(&disk, small(dir.path()))).map(drop);
    assert!(matches!(refused, Err(KvError::DiskFull { free: 0, .. })), "{refused:?}");
    disk.set_free(None);
    let (kv, report) = open(with(&disk, small(dir.path())));
    assert!(report.created);
    kv.close().await.unwrap();
}

#[tokio::test]
async fn space_is_reserved_for_commits_not_yet_in_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, _durable) = faulty(dir.path());
    let (kv, _) = open(with(&disk, unhurried(dir.path())));
    disk.set_free(Some((1 << 20) + 100_000));
    let mut written = 0;
    while try_put(&kv, "key", &"v".repeat(2000)).await.is_ok() {
        written += 1;
        assert!(written < 100, "the store never refused");
    }
    assert!(written >= 4);
    kv.checkpoint().unwrap();
    try_put(&kv, "key", "v").await.unwrap();
    kv.close().await.unwrap();
}

#[tokio::test]
async fn a_group_is_made_durable_in_a_fresh_segment_after_a_failed_sync() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, durable) = faulty(dir.path());
    let (kv, _) = open(with(&disk, unhurried(dir.path())));
    for round in 0..5 {
        try_put(&kv, &format!("before{round}"), "1").await.unwrap();
        disk.fail_syncs(1);
        try_put(&kv, &format!("through{round}"), "2").await.unwrap();
        assert!(matches!(kv.health(), KvHealth::Healthy));
    }
    try_put(&kv, "after", "3").await.unwrap();
    // A power cut, after which the failed syncs wrote nothing, would leave all of it.
    for left in [durable.path(), dir.path()] {
        let copied = tempfile::tempdir().unwrap();
        copy(left, copied.path());
        let (again, report) = open(small(copied.path()));
        assert_eq!(report.commit.position, 11);
        assert_eq!(all(&again, RUNS).unwrap(), all(&kv, RUNS).unwrap());
        again.close().await.unwrap();
    }
    kv.close().await.unwrap();
}

#[tokio::test]
async fn the_store_is_read_only_if_no_segment_can_be_made_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, _durable) = faulty(dir.path());
    let (kv, _) = open(with(&disk, unhurried(dir.path())));
    try_put(&kv, "before", "1").await.unwrap();
    disk.fail_syncs(1000);
    let unknown = try_put(&kv, "lost", "2").await;
    assert!(matches!(unknown, Err(SubmitError::Store(KvError::ReadOnly { .. }))), "{unknown:?}");
    disk.fail_syncs(0);
    let refused = try_put(&kv, "more", "3").await;
    assert!(matches!(refused, Err(SubmitError::Store(KvError::ReadOnly { .. }))), "{refused:?}");
    assert!(matches!(kv.health(), KvHealth::ReadOnly { code: "host/store-read-only", .. }));
    assert_eq!(get(&kv, RUNS, "before").as_deref(), Some("1"));
    let _ = kv.close().await;
    // The commit may be present or absent, but never in part.
    let (kv, report) = open(small(dir.path()));
    assert!(!report.clean);
    assert_eq!(get(&kv, RUNS, "lost"), get(&kv, EVENTS, "lost"));
    assert_eq!(get(&kv, RUNS, "more"), None);
    kv.close().await.unwrap();
}

#[tokio::test]
async fn a_power_cut_at_any_sync_loses_no_acknowledged_commit_and_tears_none() {
    for at in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let (disk, durable) = faulty(dir.path());
        let config = KvConfig { segment_bytes: 64 << 10, first_segment_bytes: 8 << 10, ..unhurried(dir.path()) };
        let (kv, _) = open(with(&disk, config));
        disk.cut_at(at);
        let mut answered = BTreeMap::new();
        let mut unknown = None;
        for number in 0..30 {
            let (key, value) = (format!("{}", number % 7), format!("{number}-{}", "x".repeat(150 * (number % 9))));
            if try_put(&kv, &key, &value).await.is_err() {
                unknown = Some((key, value));
                break;
            }
            answered.insert(key, value);
            // Some checkpoints are made by a rewrite of the index.
            let checkpoint = || if number % 12 == 5 { kv.rewrite_index() } else { kv.checkpoint() };
            if number % 6 == 5 && checkpoint().is_err() {
                break;
            }
        }
        let gone = disk.is_cut();
        std::mem::forget(kv);
        if !gone {
            assert!(at > 30, "only {at} places to cut at, of {} syncs", disk.syncs());
            return;
        }
        let text = |rows: BTreeMap<Vec<u8>, Vec<u8>>| -> BTreeMap<String, String> {
            rows.into_iter().map(|(k, v)| (String::from_utf8(k).unwrap(), String::from_utf8(v).unwrap())).collect()
        };
        for _ in 0..2 {
            let (kv, _) = Kv::open(small(durable.path())).unwrap_or_else(|error| panic!("cut at sync {at}: {error}"));
            let (runs, events) = (text(all(&kv, RUNS).unwrap()), text(all(&kv, EVENTS).unwrap()));
            assert_eq!(runs, events, "half a group, cut at sync {at}");
            if runs != answered {
                let (key, value) = unknown.clone().unwrap_or_else(|| panic!("cut at sync {at}: not what was answered"));
                let mut more = answered.clone();
                more.insert(key, value);
                assert_eq!(runs, more, "cut at sync {at}");
            }
            kv.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_index_that_cannot_write_makes_the_store_read_only_without_hanging_callers() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(KvConfig { index_open_timeout: Duration::from_millis(500), ..small(dir.path()) });
    try_put(&kv, "before", "1").await.unwrap();
    let blobs = dir.path().join("index/blobs");
    std::fs::remove_dir_all(&blobs).unwrap();
    std::fs::write(&blobs, "not a folder").unwrap();
    let large = "x".repeat(300_000);
    // The log has the group, and an answer does not wait for the index.
    try_put(&kv, "large", &large).await.unwrap();
    let failed = try_put(&kv, "more", "2").await;
    assert!(matches!(failed, Err(SubmitError::Store(_))), "{failed:?}");
    assert!(matches!(kv.health(), KvHealth::ReadOnly { .. }));
    assert!(kv.close().await.is_err());
    std::fs::remove_file(&blobs).unwrap();
    // An attempt to open the index that timed out may still be running, and may create the folder.
    std::fs::create_dir_all(&blobs).unwrap();
    // Handles that could not be dropped may hold sled's lock; it does not keep out another process.
    let copied = tempfile::tempdir().unwrap();
    copy(dir.path(), copied.path());
    let (kv, _) = open(small(copied.path()));
    assert_eq!(get(&kv, RUNS, "large").map(|value| value.len()), Some(300_000));
    assert_eq!(get(&kv, RUNS, "before").as_deref(), Some("1"));
    assert_eq!(get(&kv, RUNS, "more"), None);
    kv.close().await.unwrap();
}
