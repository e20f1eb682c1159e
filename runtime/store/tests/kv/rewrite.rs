//! Rewrites of the index: the space of deleted records is reclaimed, and after a crash at any
//! moment the old index or the new one opens.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemill_store::kv::{Kv, KvConfig, KvError, Tx};

use super::support::{EVENTS, RUNS, all, get, open, put, small, unhurried};

/// Writes `count` records of `bytes` and removes all but every twentieth.
async fn fill_and_empty(kv: &Kv, count: u64, bytes: usize) {
    for first in (0..count).step_by(500) {
        kv.submit(move |tx: &mut Tx<'_>| {
            (first..(first + 500).min(count)).try_for_each(|n| tx.put(RUNS, n.to_be_bytes(), vec![n as u8; bytes]))
        })
        .await
        .unwrap();
    }
    for first in (0..count).step_by(500) {
        kv.submit(move |tx: &mut Tx<'_>| {
            let gone = (first..(first + 500).min(count)).filter(|n| n % 20 != 0);
            gone.map(u64::to_be_bytes).try_for_each(|key| tx.delete(RUNS, key))
        })
        .await
        .unwrap();
    }
}

fn folders(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut folders: Vec<String> = names.filter(|name| name.starts_with("index")).collect();
    folders.sort();
    folders
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn space_is_reclaimed_while_commits_and_readers_continue() {
    let dir = tempfile::tempdir().unwrap();
    let config = KvConfig { rewrite_from_bytes: u64::MAX, ..small(dir.path()) };
    let (kv, _) = open(config.clone());
    // An index has 9 MB or more besides its records, so a smaller one always exceeds three times
    // their size.
    fill_and_empty(&kv, 80_000, 2_000).await;
    kv.checkpoint().unwrap();
    let (before, view) = (kv.space(), kv.view());
    let rows = all(&kv, RUNS).unwrap();
    assert_eq!(rows.len(), 4_000);

    let over = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (kv, over) = (kv.clone(), Arc::clone(&over));
        async move {
            let mut number = 0;
            while !over.load(Ordering::Relaxed) {
                put(&kv, EVENTS, &format!("{:03}", number % 100), &format!("{number}")).await;
                assert_eq!(get(&kv, EVENTS, &format!("{:03}", number % 100)), Some(format!("{number}")));
                number += 1;
            }
            number
        }
    });
    for _ in 0..3 {
        let rewriting = kv.clone();
        tokio::task::spawn_blocking(move || rewriting.rewrite_index()).await.unwrap().unwrap();
    }
    over.store(true, Ordering::Relaxed);
    let written = writer.await.unwrap();
    assert!(written > 0);
    assert_eq!(folders(dir.path()), ["index-3"]);
    // Values that the writer replaces after the last copy take space again: the slower the machine,
    // the more.
    let rewriting = kv.clone();
    tokio::task::spawn_blocking(move || rewriting.rewrite_index()).await.unwrap().unwrap();
    assert_eq!(folders(dir.path()), ["index-4"]);
    assert_eq!(view.scan(EVENTS, &tidemill_store::kv::KeyRange::all(), false, 10).unwrap(), [], "a view of before");
    drop(view);
    kv.checkpoint().unwrap();
    let after = kv.space();
    let live = after.live_bytes.unwrap();
    // What the index has besides its records grows with the load of the machine.
    assert!(before.used_bytes > 3 * live && after.used_bytes < before.used_bytes / 5, "from {before:?} to {after:?}");
    assert_eq!(all(&kv, RUNS).unwrap(), rows);
    kv.scrub().unwrap();
    kv.close().await.unwrap();

    let (kv, report) = open(config);
    assert!(report.clean);
    assert_eq!(kv.space().live_bytes, Some(live));
    assert_eq!(all(&kv, RUNS).unwrap(), rows);
    assert_eq!(all(&kv, EVENTS).unwrap().len(), written.min(100));
    kv.close().await.unwrap();
}

#[tokio::test]
async fn an_index_that_is_too_large_is_rewritten_automatically() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(KvConfig { rewrite_from_bytes: 1 << 20, ..small(dir.path()) });
    fill_and_empty(&kv, 10_000, 500).await;
    let rows = all(&kv, RUNS).unwrap();
    let mut number = 0;
    // Each commit is followed by a checkpoint, which checks the index's size.
    while folders(dir.path()) == ["index"] {
        put(&kv, EVENTS, "n", &format!("{number}")).await;
        number += 1;
    }
    kv.close().await.unwrap();
    let (kv, _) = open(small(dir.path()));
    assert_eq!(all(&kv, RUNS).unwrap(), rows);
    kv.scrub().unwrap();
    kv.close().await.unwrap();
}

#[tokio::test]
async fn a_rewrite_needs_space_for_both_indexes() {
    let dir = tempfile::tempdir().unwrap();
    let durable = tempfile::tempdir().unwrap();
    let disk = super::disk::Faults::new(dir.path(), durable.path());
    let (kv, _) = open(KvConfig { disk: Arc::new(disk.clone()), ..unhurried(dir.path()) });
    put(&kv, RUNS, "a", "1").await;
    disk.set_free(Some(2 << 20));
    kv.rewrite_index().unwrap();
    disk.set_free(Some((1 << 20) + 10));
    let refused = kv.rewrite_index();
    assert!(matches!(refused, Err(KvError::DiskFull { .. })), "{refused:?}");
    disk.set_free(None);
    assert_eq!(folders(dir.path()), ["index-1"]);
    put(&kv, RUNS, "b", "2").await;
    assert_eq!(all(&kv, RUNS).unwrap().len(), 2);
    kv.close().await.unwrap();
}

const DIR: &str = "TIDEMILL_TEST_REWRITTEN_STORE";

/// The body of the process that the test kills; it does nothing in a normal test run.
#[test]
#[expect(clippy::print_stdout, reason = "reports the acknowledged commits")]
fn rewriting_child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let (kv, report) = open(KvConfig { rewrite_from_bytes: u64::MAX, ..small(dir.as_ref()) });
        let rewriting = kv.clone();
        let rewritten = tokio::task::spawn_blocking(move || {
            for _ in 0..3 {
                rewriting.rewrite_index().unwrap();
            }
        });
        let mut number = report.commit.position;
        while !rewritten.is_finished() {
            number += 1;
            kv.submit(move |tx: &mut Tx<'_>| {
                tx.put(RUNS, (number % 300).to_be_bytes(), "x".repeat(200))?;
                tx.put(RUNS, "newest", number.to_string())?;
                tx.put(EVENTS, number.to_be_bytes(), "e")
            })
            .await
            .unwrap();
            println!("answered {number}");
        }
        rewritten.await.unwrap();
        kv.close().await.unwrap();
    });
}

#[tokio::test]
async fn a_crash_during_a_rewrite_opens_the_old_or_the_new_index() {
    let dir = tempfile::tempdir().unwrap();
    let (kv, _) = open(small(dir.path()));
    fill_and_empty(&kv, 2_000, 500).await;
    let start = kv.commits().borrow().position;
    kv.close().await.unwrap();
    let mut newest = start;
    for (number, failpoint) in ["begun", "copied", "synced", "switched", "removed"].iter().cycle().take(10).enumerate()
    {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "rewrite::rewriting_child", "--nocapture"])
            .env(DIR, dir.path())
            .env("TIDEMILL_CRASH_AT", format!("rewrite/{failpoint}:{}", 1 + number % 3))
            .stderr(Stdio::null())
            .output()
            .unwrap();
        assert!(!child.status.success(), "it did not die at {failpoint}");
        let said = String::from_utf8_lossy(&child.stdout);
        let answered = said.lines().filter_map(|line| line.split("answered ").nth(1)?.parse().ok()).max();
        let answered = answered.unwrap_or(newest);

        let (kv, report) = open(small(dir.path()));
        assert!(report.scrubbed && folders(dir.path()).len() == 1, "died at {failpoint}: {:?}", folders(dir.path()));
        assert!(report.commit.position >= answered, "died at {failpoint}: {report:?} of {answered}");
        newest = get(&kv, RUNS, "newest").map_or(start, |newest| newest.parse().unwrap());
        assert!(newest >= answered, "died at {failpoint}: {newest} of {answered}");
        assert_eq!(all(&kv, EVENTS).unwrap().len() as u64, newest - start);
        assert_eq!((0..2_000_u64).filter(|n| n % 20 == 0 && *n >= 300).count(), {
            let rows = all(&kv, RUNS).unwrap();
            rows.keys().filter(|key| key.len() == 8 && key.as_slice() >= 300_u64.to_be_bytes().as_slice()).count()
        });
        newest = report.commit.position;
        kv.close().await.unwrap();
    }
}
