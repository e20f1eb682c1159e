//! Long values of the embedded store: a file exists while a record names it, and is removed with
//! its last name.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::ids::Owner;
use tidemill_core::run::{Export, Run, Seed, Trigger};
use tidemill_core::{ComponentDigest, NodeId, Revision, RunId, Timestamp};
use tidemill_store::records::{
    AdmissionLimits, AdmissionTerms, Component, ModuleVersion, NewRun, PutDeployment, RecoveryFilter, RetentionPolicy,
};
use tidemill_store::traits::*;
use tidemill_store::{EmbeddedStore, StoreError};

const NOON: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const HOUR: u64 = 60 * 60 * 1000;

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(EmbeddedStore::config(dir)).unwrap().0
}

async fn deployed(dir: &Path) -> EmbeddedStore {
    let store = open(dir);
    let digest = ComponentDigest::of(b"component");
    let component = Component {
        digest,
        size: 9,
        exports: vec![Export::Workflow],
        imports: vec![],
        warnings: vec![],
        uploaded_at: NOON,
        schemas: None,
    };
    let version =
        ModuleVersion { module: "module".parse().unwrap(), version: "1.0.0".into(), digest, created_at: NOON };
    store.put_version(version, component).await.unwrap();
    let put = PutDeployment {
        name: "a".parse().unwrap(),
        expected: None,
        component: digest,
        manifest: "{}".into(),
        schedules: vec![],
        subscriptions: vec![],
        budgets: vec![],
        incident: None,
        now: NOON,
    };
    store.put_deployment(put).await.unwrap();
    store
}

fn new(number: u128, input: &Bytes) -> NewRun {
    NewRun {
        id: RunId::new(NOON, number),
        deployment: "a".parse().unwrap(),
        revision: Revision::new(1),
        component: ComponentDigest::of(b"component"),
        export: Export::Workflow,
        trigger: Trigger::default(),
        input: input.clone(),
        key: None,
        labels: vec![],
        priority: 5,
        now: NOON,
        not_before: NOON,
        seed: Seed([0; 32]),
        detached: false,
        lanes: vec![],
        terms: AdmissionTerms::default(),
    }
}

fn long(of: u8) -> Bytes {
    Bytes::from(vec![of; 100_000])
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let list = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    let folders: Vec<PathBuf> = list(&dir.join("payloads"));
    let mut files: Vec<PathBuf> = folders.iter().flat_map(|folder| -> Vec<PathBuf> { list(folder) }).collect();
    files.sort();
    files
}

async fn forget(store: &EmbeddedStore, number: u128) {
    let id = RunId::new(NOON, number);
    store.request_cancel(id, false, NOON).await.unwrap();
    let policy = RetentionPolicy { ended_before: Some(NOON.plus_millis(1)), uploaded_before: None };
    while store.run(id).await.unwrap().is_some() {
        store.expire(policy, 10).await.unwrap();
    }
}

/// Waits until every file that is superseded by now is removed.
async fn removed(store: &EmbeddedStore) {
    store.trim(10, NOON).await.unwrap();
}

#[tokio::test]
async fn equal_values_share_a_file_that_is_removed_with_its_last_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = deployed(dir.path()).await;
    store.request_run(new(1, &Bytes::from(vec![0; 8 << 10]))).await.unwrap();
    assert_eq!(files(dir.path()).len(), 0, "8 KiB lie in the record");
    for number in 2..4 {
        store.request_run(new(number, &long(1))).await.unwrap();
    }
    assert_eq!(files(dir.path()).len(), 1);
    forget(&store, 2).await;
    removed(&store).await;
    assert_eq!(store.input(RunId::new(NOON, 3)).await, Ok(Some(long(1))), "another names it");
    forget(&store, 3).await;
    removed(&store).await;
    assert_eq!(files(dir.path()).len(), 0);
    store.request_run(new(4, &long(1))).await.unwrap();
    assert_eq!(store.input(RunId::new(NOON, 4)).await, Ok(Some(long(1))), "it was written again");
    store.close().await.unwrap();
}

/// Claims a run, and returns it with its owner.
async fn claimed_run(store: &EmbeddedStore) -> (Owner, Run) {
    let node: NodeId = "node".parse().unwrap();
    let epoch = store.begin_epoch(&node).await.unwrap();
    let owner = Owner { node, epoch };
    store.request_run(new(1, &Bytes::new())).await.unwrap();
    let admitted = store.admit(&owner, &"a".parse().unwrap(), 1, AdmissionLimits::default(), NOON).await.unwrap();
    (owner, admitted.claimed[0].run.clone())
}

#[tokio::test]
async fn a_superseded_head_is_removed_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = deployed(dir.path()).await;
    let (owner, run) = claimed_run(&store).await;
    for of in 0..20 {
        store.save(&owner, &run, None, Some(long(of)), vec![]).await.unwrap();
        removed(&store).await;
        assert_eq!(files(dir.path()).len(), 1, "head {of}");
        assert_eq!(store.journal(run.id).await.unwrap().snapshot, Some(long(of)));
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn files_left_by_a_crash_or_a_refusal_are_removed_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = deployed(dir.path()).await;
    store.request_run(new(1, &long(1))).await.unwrap();
    let nowhere = NewRun { deployment: "b".parse().unwrap(), ..new(2, &long(2)) };
    assert!(matches!(store.request_run(nowhere).await, Err(StoreError::NotFound { .. })));
    removed(&store).await;
    assert_eq!(files(dir.path()).len(), 1, "the file of the refused run is gone");
    store.close().await.unwrap();
    let known = files(dir.path())[0].clone();
    std::fs::write(known.with_extension("7.new"), b"half").unwrap();
    let folder = known.parent().unwrap().file_name().unwrap().to_str().unwrap();
    std::fs::write(known.with_file_name(format!("{folder}{}", "0".repeat(62))), b"left by a crash").unwrap();
    std::fs::write(known.with_file_name("readme"), b"the operator's own").unwrap();

    let store = open(dir.path());
    removed(&store).await;
    let mut left = vec![known.clone(), known.with_file_name("readme")];
    left.sort();
    assert_eq!(files(dir.path()), left);
    assert_eq!(store.input(RunId::new(NOON, 1)).await, Ok(Some(long(1))));
    store.close().await.unwrap();
}

const DIR: &str = "TIDEMILL_TEST_SUPERSEDING_STORE";

/// The body of the process that the test kills; it does nothing in a normal test run.
#[tokio::test]
async fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let store = open(dir.as_ref());
    let owner =
        Owner { node: "node".parse().unwrap(), epoch: store.begin_epoch(&"node".parse().unwrap()).await.unwrap() };
    let taken = store.take_over(&owner, RecoveryFilter::All, 1, NOON).await.unwrap();
    for of in 0..40 {
        // The same bytes are written again, so that a file is written while it is being removed.
        store.save(&owner, &taken[0].run, None, Some(long(of % 3)), vec![]).await.unwrap();
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_crash_during_a_supersession_leaves_no_record_without_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = deployed(dir.path()).await;
    let (_, run) = claimed_run(&store).await;
    store.close().await.unwrap();
    let failpoints =
        ["payload/written", "store/append", "store/appended", "store/synced", "payload/remove", "payload/removed"];
    for (number, failpoint) in failpoints.iter().cycle().take(18).enumerate() {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(DIR, dir.path())
            .env("TIDEMILL_CRASH_AT", format!("{failpoint}:{}", 1 + number * 2 / 3))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(!status.success(), "it did not die at {failpoint}");
        let store = open(dir.path());
        store.scrub(NOON).await.unwrap();
        removed(&store).await;
        assert!(files(dir.path()).len() <= 1, "died at {failpoint}");
        assert!(store.journal(run.id).await.is_ok());
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_file_is_never_read_as_valid() {
    for damage in ["flipped", "cut", "missing"] {
        let dir = tempfile::tempdir().unwrap();
        let store = deployed(dir.path()).await;
        store.request_run(new(1, &long(1))).await.unwrap();
        let file = files(dir.path())[0].clone();
        let mut bytes = std::fs::read(&file).unwrap();
        match damage {
            "flipped" => bytes[5_000] ^= 1,
            "cut" => bytes.truncate(99_999),
            _ => std::fs::remove_file(&file).unwrap(),
        }
        if damage != "missing" {
            std::fs::write(&file, bytes).unwrap();
        }
        let read = store.input(RunId::new(NOON, 1)).await;
        assert!(matches!(read, Err(StoreError::Damaged { .. })), "{damage}: {read:?}");
        assert!(matches!(store.health(), StoreHealth::ReadOnly(_)));
        let _ = store.close().await;
    }
}

#[tokio::test]
async fn files_named_and_released_concurrently_exist_while_they_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(deployed(dir.path()).await);
    let sweeper = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for round in 1..200 {
                // This lists the folder each time.
                store.trim(10, NOON.plus_millis(round * 2 * HOUR)).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    };
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4_u128 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            for round in 0..25_u128 {
                let number = 1 + writer * 100 + round;
                let value = long(u8::try_from(round % 3).unwrap());
                store.request_run(new(number, &value)).await.unwrap();
                assert_eq!(store.input(RunId::new(NOON, number)).await, Ok(Some(value)));
                forget(&store, number).await;
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    sweeper.await.unwrap();
    assert_eq!(store.health(), StoreHealth::Good);
    store.close().await.unwrap();
}
