//! Measures a run through the host without work of a guest: admission, commit and answer.
//!
//! The guest is scripted, so that the result measures the dispatcher and the store. `call` executes
//! first and commits once; `queued` goes through the store with a request, a claim and a
//! completion. Each runs on one task and on 128.

#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot begin has nothing to say")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidemill_control::{Activation, ControlPlane, GuestExecutor, HostConfig, RunRequest};
use tidemill_core::clock::{Clock, Stopwatch, SystemClock};
use tidemill_core::manifest::Manifest;
use tidemill_core::run::Export;
use tidemill_core::{ComponentDigest, Fuel};
use tidemill_engine::{
    ActivationResult, ComponentInfo, ComponentRejection, DryRun, Effects, EngineError, EngineStats, Outcome,
    SourceFrame,
};
use tidemill_store::records::{Component, ModuleVersion, RunRequestResult};
use tidemill_store::{EmbeddedStore, Store};

struct NoOp;

#[async_trait]
impl GuestExecutor for NoOp {
    async fn admit(&self, _: &Path, _: ComponentDigest) -> Result<ComponentInfo, ComponentRejection> {
        Ok(ComponentInfo { exports: vec![Export::Workflow], imports: Vec::new(), warnings: Vec::new(), schemas: None })
    }

    async fn run(&self, _: Activation) -> ActivationResult {
        let outcome = Outcome::Output(Bytes::from_static(b"null"));
        ActivationResult::plain(outcome, Effects::default(), Fuel::new(1_000), 65_536)
    }

    async fn dry_run(&self, _: Activation) -> DryRun {
        DryRun::Continues
    }

    async fn verify(&self, _: ComponentDigest) -> Result<(), EngineError> {
        Ok(())
    }

    async fn source_lines(&self, _: ComponentDigest, places: &[u64]) -> Result<Vec<Vec<SourceFrame>>, EngineError> {
        let line = |place: &u64| SourceFrame { line: u32::try_from(*place).ok(), ..SourceFrame::default() };
        Ok(places.iter().map(|place| vec![line(place)]).collect())
    }

    fn evict(&self, _: ComponentDigest) {}

    fn stats(&self) -> EngineStats {
        EngineStats::default()
    }
}

async fn host(folder: &Path) -> ControlPlane {
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(EmbeddedStore::config(folder)).unwrap().0);
    let (digest, now) = (ComponentDigest::of(b"no-op"), SystemClock.now());
    let version =
        ModuleVersion { module: "noop".parse().unwrap(), version: "1.0.0".to_owned(), digest, created_at: now };
    let exports = vec![Export::Workflow];
    let component = Component {
        digest,
        size: 5,
        exports,
        imports: Vec::new(),
        warnings: Vec::new(),
        uploaded_at: now,
        schemas: None,
    };
    store.put_version(version, component).await.unwrap();
    let config = HostConfig::new("bench".parse().unwrap(), folder.join("components"));
    let host = ControlPlane::start(config, store, Arc::new(NoOp), Arc::new(SystemClock)).await.unwrap();
    let manifest = br#"{"name": "noop", "module": "noop@1.0.0", "concurrency": 256}"#;
    host.deploy(Manifest::parse_json(manifest).unwrap(), None, false).await.unwrap();
    host
}

fn ask() -> RunRequest {
    RunRequest::new("noop".parse().unwrap(), Bytes::from_static(b"{}"))
}

async fn call(host: &ControlPlane) {
    let invoked = host.invoke(ask(), Duration::from_secs(60)).await.unwrap();
    assert!(invoked.run.state.is_settled());
}

async fn queued(host: &ControlPlane) {
    let run = match host.request(ask()).await.unwrap() {
        RunRequestResult::Created(run) | RunRequestResult::Existing(run) | RunRequestResult::Joined(run) => run,
    };
    assert!(host.outcome(run.id, Duration::from_secs(60)).await.unwrap().run.state.is_settled());
}

/// Executes `runs` runs, split among `tasks` that each execute one after another.
async fn among<F: Future<Output = ()> + Send>(
    host: ControlPlane,
    tasks: u64,
    runs: u64,
    one: impl Fn(ControlPlane) -> F + Send + Sync + Copy + 'static,
) -> Duration {
    let watch = Stopwatch::start();
    let working: Vec<_> = (0..tasks)
        .map(|task| {
            let host = host.clone();
            let share = runs / tasks + u64::from(task < runs % tasks);
            tokio::spawn(async move {
                for _ in 0..share {
                    one(host.clone()).await;
                }
            })
        })
        .collect();
    for task in working {
        task.await.unwrap();
    }
    watch.elapsed()
}

fn dispatch(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let host = runtime.block_on(host(folder.path()));
    let mut group = criterion.benchmark_group("dispatch");
    group.throughput(Throughput::Elements(1));
    for tasks in [1, 128] {
        group.bench_function(format!("call/{tasks}"), |bench| {
            bench
                .to_async(&runtime)
                .iter_custom(|runs| among(host.clone(), tasks, runs, |host| async move { call(&host).await }));
        });
        group.bench_function(format!("queued/{tasks}"), |bench| {
            bench
                .to_async(&runtime)
                .iter_custom(|runs| among(host.clone(), tasks, runs, |host| async move { queued(&host).await }));
        });
    }
    group.finish();
    runtime.block_on(host.shutdown(Duration::from_secs(10)));
}

criterion_group!(benches, dispatch);
criterion_main!(benches);
