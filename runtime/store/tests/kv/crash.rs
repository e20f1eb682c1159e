//! Recovery after a crash: no acknowledged commit is lost, and no other commit appears.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::support::{EVENTS, RUNS, all, copy, get, open, put, small, unhurried};

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.to_string_lossy().contains("segment-")).collect();
    found.sort();
    found
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_no_acknowledged_commit() {
    let dir = tempfile::tempdir().unwrap();
    // Checkpoints are made on request, so that none runs while the folder is copied.
    let (kv, _) = open(unhurried(dir.path()));
    for round in 0..12 {
        for key in 0..25 {
            put(&kv, RUNS, &format!("{key}"), &format!("{round}-{key}-{}", "x".repeat(300))).await;
            put(&kv, EVENTS, &format!("{round}-{key}"), "e").await;
        }
        if round % 4 == 1 {
            kv.checkpoint().unwrap();
        }
        let copied = tempfile::tempdir().unwrap();
        copy(dir.path(), copied.path());
        let (again, report) = open(small(copied.path()));
        assert!(!report.clean && report.scrubbed);
        assert_eq!(report.commit, *kv.commits().borrow());
        assert_eq!(all(&again, RUNS).unwrap(), all(&kv, RUNS).unwrap());
        assert_eq!(all(&again, EVENTS).unwrap().len(), (round + 1) * 25);
        again.close().await.unwrap();
    }
    kv.close().await.unwrap();
}

#[tokio::test]
async fn a_torn_unacknowledged_end_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(unhurried(dir.path()));
    put(&kv, RUNS, "a", "1").await;
    let mut before = tempfile::tempdir().unwrap();
    copy(dir.path(), before.path());
    put(&kv, RUNS, "a", "2").await;
    // The second group's record reached the disk in part: the first group's tail mark, half of the
    // second record.
    let newest = segments(dir.path()).pop().unwrap();
    let bytes = std::fs::read(&newest).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let torn =
        OpenOptions::new().write(true).open(before.path().join("log").join(newest.file_name().unwrap())).unwrap();
    torn.write_all_at(&bytes[..end - 10], 0).unwrap();
    for _ in 0..3 {
        let (again, report) = open(unhurried(before.path()));
        assert_eq!(report.commit.group, 1);
        assert_eq!(get(&again, RUNS, "a").as_deref(), Some("1"));
        let copied = tempfile::tempdir().unwrap();
        copy(before.path(), copied.path());
        std::mem::forget(again);
        before = copied;
    }
    kv.close().await.unwrap();
}

#[tokio::test]
async fn openings_without_a_commit_leave_the_log_intact() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(unhurried(dir.path()));
    put(&kv, RUNS, "a", "1").await;
    let mut copies = vec![dir];
    for round in 0..4 {
        let copied = tempfile::tempdir().unwrap();
        copy(copies.last().unwrap().path(), copied.path());
        let (again, report) = open(unhurried(copied.path()));
        assert_eq!(report.commit.position, 1 + round / 2);
        if round % 2 == 1 {
            put(&again, RUNS, &format!("{round}"), "x").await;
        }
        // Keep the store open: the next copy is of a store that was killed.
        std::mem::forget(again);
        copies.push(copied);
    }
    kv.close().await.unwrap();
}
