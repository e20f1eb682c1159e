//! Usage of deployments: a folder without counts is counted once, and new runs beyond the quotas
//! are refused.
#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use tidemill_core::ids::Owner;
use tidemill_core::quotas::Quotas;
use tidemill_core::run::{Export, Run, RunEvent, Seed, Trigger};
use tidemill_core::{Code, ComponentDigest, DeploymentName, Revision, RunId, Timestamp};
use tidemill_store::EmbeddedStore;
use tidemill_store::kv::{KeyRange, KvError, Table};
use tidemill_store::records::{
    AdmissionTerms, Component, LogLevel, LogLine, ModuleVersion, NewEvent, NewRun, PutDeployment, RunCommit, StateWrite,
};
use tidemill_store::traits::*;

const NOON: Timestamp = Timestamp::from_millis(1_700_000_000_000);
/// Tables of the store, with their ids on disk.
const META: Table = Table::new(1, "meta");
const USAGE: Table = Table::new(70, "usage");

fn name() -> DeploymentName {
    "a".parse().unwrap()
}

fn digest() -> ComponentDigest {
    ComponentDigest::of(b"component")
}

async fn open(dir: &std::path::Path, quotas: Quotas) -> (EmbeddedStore, Owner) {
    let store = EmbeddedStore::open(EmbeddedStore::config(dir)).unwrap().0.with_quotas(quotas);
    let node = "node".parse().unwrap();
    let owner = Owner { epoch: store.begin_epoch(&node).await.unwrap(), node };
    let module = ModuleVersion {
        module: "module".parse().unwrap(),
        version: "1.0.0".into(),
        digest: digest(),
        created_at: NOON,
    };
    let component = Component {
        digest: digest(),
        size: 9,
        exports: vec![Export::Workflow],
        imports: vec![],
        warnings: vec![],
        uploaded_at: NOON,
        schemas: None,
    };
    store.put_version(module, component).await.unwrap();
    let put = PutDeployment {
        name: name(),
        expected: None,
        component: digest(),
        manifest: "{}".into(),
        schedules: vec![],
        subscriptions: vec![],
        budgets: vec![],
        incident: None,
        now: NOON,
    };
    store.put_deployment(put).await.unwrap();
    (store, owner)
}

fn new_run(number: u64, input: usize) -> NewRun {
    NewRun {
        id: RunId::new(NOON, number.into()),
        deployment: name(),
        revision: Revision::new(1),
        component: digest(),
        export: Export::Workflow,
        trigger: Trigger::default(),
        input: Bytes::from(vec![b'1'; input]),
        key: None,
        labels: vec![],
        priority: 5,
        now: NOON,
        not_before: NOON,
        seed: Seed([7; 32]),
        detached: false,
        lanes: vec![],
        terms: AdmissionTerms::default(),
    }
}

/// Commits a run that ends with an output, state, an event and a log line.
async fn run(store: &EmbeddedStore, owner: &Owner, number: u64) -> Result<(), Code> {
    store.request_run(new_run(number, 20_000)).await.map_err(|error| error.code())?;
    let run = store.claim(owner, &name(), 1, NOON).await.unwrap().pop().unwrap().run;
    let run = Run { state: run.state.next(RunEvent::Succeeded).unwrap(), ended_at: Some(NOON), ..run };
    let mut commit = RunCommit::of(owner.clone(), run, NOON);
    commit.output = Some(Bytes::from_static(b"12345"));
    commit.writes = vec![StateWrite { key: format!("key {number}"), value: Some(Bytes::from(vec![b'1'; 10_000])) }];
    let topic = format!("topic.{number}").parse().unwrap();
    commit.events = vec![NewEvent { id: tidemill_core::EventId::new(NOON, number.into()), topic, payload: "1".into() }];
    commit.logs =
        vec![LogLine { seq: 0, at: NOON, attempt: 1, level: LogLevel::Info, message: "hello".into(), fields: vec![] }];
    store.commit_run(commit).await.map(|_| ()).map_err(|error| error.code())
}

#[tokio::test]
async fn a_folder_without_counts_is_counted_at_the_next_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let (store, owner) = open(dir.path(), Quotas::default()).await;
    for number in 1..=5 {
        run(&store, &owner, number).await.unwrap();
    }
    let counted = store.usage().await.unwrap();
    assert_eq!((counted[0].1.runs, counted[0].1.events, counted[0].1.topics), (5, 5, 5));
    assert!(counted[0].1.payload_bytes > 100_000 && counted[0].1.state_bytes > 50_000, "{counted:?}");
    // Remove the counts, as if an older release had written the folder.
    let forget = |tx: &mut tidemill_store::kv::Tx<'_>| -> Result<(), KvError> {
        for (table, key) in [(META, &b"usage-counted"[..]), (META, &b"topics"[..]), (USAGE, &b"a"[..])] {
            tx.delete(table, key)?;
        }
        Ok(())
    };
    store.kv().submit(forget).await.unwrap();
    assert!(store.kv().scan(USAGE, &KeyRange::all(), false, 10).unwrap().is_empty());
    assert_eq!(store.topic_count().await.unwrap(), 5);
    store.close().await.unwrap();
    drop(store);
    let (store, _) = open(dir.path(), Quotas::default()).await;
    assert_eq!(store.usage().await.unwrap(), counted);
}

#[tokio::test]
async fn each_quota_refuses_a_run_that_exceeds_it() {
    let few = Quotas { runs: 2, ..Quotas::default() };
    let small = |quotas: Quotas| async move {
        let dir = tempfile::tempdir().unwrap();
        let (store, owner) = open(dir.path(), quotas).await;
        let mut done = 0;
        let refused = loop {
            match run(&store, &owner, done + 1).await {
                Ok(()) => done += 1,
                Err(code) => break code,
            }
            assert!(done < 10);
        };
        (done, refused)
    };
    assert_eq!(small(few).await, (2, Code::QuotaRuns));
    assert_eq!(small(Quotas { payload_bytes: 30_000, ..Quotas::default() }).await, (2, Code::QuotaPayloads));
    assert_eq!(small(Quotas { log_bytes: 1, ..Quotas::default() }).await, (1, Code::QuotaLogs));
    assert_eq!(small(Quotas { state_bytes: 25_000, ..Quotas::default() }).await, (2, Code::QuotaState));
    assert_eq!(small(Quotas { events: 3, ..Quotas::default() }).await, (3, Code::QuotaEvents));
    assert_eq!(small(Quotas { topics: 4, ..Quotas::default() }).await, (4, Code::LimitTopics));
}
