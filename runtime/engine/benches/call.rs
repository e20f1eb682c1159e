//! Measures the costs of a run in the engine: compiling, loading code, and create, call and drop of
//! a small Rust component, bare and with all limits.
//!
//! `bare` is wasmtime's own pooled path without fuel, epochs, limits or host: the lower bound of
//! any engine. `engine, all limits` is the same inside the engine; the goal is at most 1.5 ×
//! `bare`. `engine, with its threads` is sequential `Engine::run`, including the way to the guests'
//! threads and back. `many at once` is the same with 64 concurrent runs on one guest thread.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::stream::{self, StreamExt as _};
use tidemill_core::clock::SystemClock;
use tidemill_core::journal::Journal;
use tidemill_core::manifest::{Grants, LedgerPolicy};
use tidemill_core::retry::RetryPolicy;
use tidemill_core::run::{Export, Progress, Seed, Trigger};
use tidemill_core::{ComponentDigest, DeploymentName, Failure, Fuel, Limits, RunId, Timestamp};
use tidemill_engine::{
    Activation, ActivationResult, CancelToken, CommitOutcome, CompilerCommand, Engine, EngineConfig, Module, Outcome,
    PendingCommit, RunChannel, RunContext, StartTarget,
};
use tidemill_store::EmbeddedStore;
use tidemill_store::records::LogLine;
use wasmtime::component::{Component, ComponentType, InstancePre, Lift, Linker, Lower};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

const MANY: usize = 64;

struct Deaf;

#[async_trait]
impl RunChannel for Deaf {
    async fn commit(&self, _: PendingCommit) -> Result<CommitOutcome, Failure> {
        Ok(CommitOutcome::Continue)
    }
    async fn save(&self, _: PendingCommit) -> bool {
        true
    }
    async fn target(&self, _: RunId, _: &DeploymentName, _: Option<Export>, _: &[u8]) -> Result<StartTarget, Failure> {
        Err(Failure::new("none", "nothing is started here"))
    }
    fn log(&self, _: LogLine) {}
    fn progress(&self, _: Progress) {}
    fn status(&self, _: String) {}
}

/// The failure of the contract, as bare wasmtime needs it.
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(record)]
struct BareFailure {
    code: String,
    message: String,
    retryable: bool,
    details: Option<String>,
}

/// Bare wasmtime: pooled, and tuned like the engine's pool.
struct Bare {
    pre: InstancePre<()>,
    run: wasmtime::component::ComponentExportIndex,
}

impl Bare {
    fn new(bytes: &[u8]) -> Self {
        let mut pool = PoolingAllocationConfig::new();
        let scan = PoolingAllocationConfig::is_pagemap_scan_available();
        pool.total_component_instances(64).total_memories(64).total_stacks(64).total_core_instances(256);
        pool.pagemap_scan(if scan { Enabled::Yes } else { Enabled::No });
        pool.linear_memory_keep_resident(if scan { 1 << 20 } else { 0 });
        pool.table_keep_resident(if scan { 64 * 1024 } else { 0 });
        let mut config = Config::new();
        config.concurrency_support(false).allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = wasmtime::Engine::new(&config).unwrap();
        let component = Component::from_binary(&engine, bytes).unwrap();
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component).unwrap();
        let workflow = component.get_export_index(None, "tidemill:guest/workflow@0.1.0").unwrap();
        let run = component.get_export_index(Some(&workflow), "run").unwrap();
        Self { pre: linker.instantiate_pre(&component).unwrap(), run }
    }

    async fn call(&self) -> String {
        let mut store = Store::new(self.pre.engine(), ());
        let instance = self.pre.instantiate_async(&mut store).await.unwrap();
        let run = instance.get_typed_func::<(&str,), (Result<String, BareFailure>,)>(&mut store, &self.run).unwrap();
        let (output,) = run.call_async(&mut store, ("null",)).await.unwrap();
        output.unwrap()
    }
}

struct Ours {
    engine: Arc<Engine>,
    module: Arc<Module>,
    context: Arc<RunContext>,
    channel: Arc<dyn RunChannel>,
}

impl Ours {
    fn activation(&self) -> Activation {
        Activation {
            export: Export::Workflow,
            input: Bytes::from_static(b"null"),
            run: Arc::clone(&self.context),
            journal: Journal::empty(),
            snapshot: None,
            fuel_used: Fuel::default(),
            cancel: CancelToken::new(),
            channel: Arc::clone(&self.channel),
        }
    }

    async fn here(&self) -> Bytes {
        output(self.engine.run_on_current_thread(Arc::clone(&self.module), self.activation()).await)
    }

    async fn call(&self) -> Bytes {
        output(self.engine.run(Arc::clone(&self.module), self.activation()).await)
    }
}

fn output(ended: ActivationResult) -> Bytes {
    match ended.outcome {
        Outcome::Output(output) => output,
        other => unreachable!("{other:?}"),
    }
}

fn benches(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(tidemill_artifacts::noop()).unwrap();
    let digest = ComponentDigest::of(&bytes);
    let compiler = CompilerCommand::new(env!("CARGO_BIN_EXE_tidemill-compile").into(), Vec::new());
    let mut config = EngineConfig::new(folder.path(), compiler);
    config.guest_threads = 1;
    std::fs::create_dir_all(&config.components_dir).unwrap();
    let file = config.components_dir.join(digest.hex()).with_extension("wasm");
    std::fs::write(&file, &bytes).unwrap();
    let (store, _) = EmbeddedStore::open(EmbeddedStore::config(&folder.path().join("store"))).unwrap();
    let engine = Engine::new(config, Arc::new(store), Arc::new(SystemClock)).unwrap();

    let mut code = criterion.benchmark_group("code");
    code.sample_size(10);
    code.bench_function("compile", |bencher| {
        bencher.iter(|| {
            engine.evict(digest);
            runtime.block_on(engine.admit(&file, digest)).unwrap()
        });
    });
    code.bench_function("load from cache", |bencher| {
        bencher.iter(|| runtime.block_on(engine.admit(&file, digest)).unwrap());
    });
    code.finish();

    let bare = Bare::new(&bytes);
    let ours = Ours {
        module: runtime.block_on(engine.module(digest)).unwrap(),
        engine,
        context: Arc::new(RunContext {
            revision: tidemill_core::Revision::new(1),
            key: None,
            id: RunId::new(Timestamp::from_millis(1), 7),
            deployment: "bench".parse().unwrap(),
            component: digest,
            trigger: Trigger::default(),
            created_at: Timestamp::from_millis(1),
            attempt: 1,
            generation: 1,
            config: "{}".into(),
            limits: Limits::default(),
            grants: Arc::new(Grants::default()),
            ledger: LedgerPolicy::default(),
            budgets: None,
            step_retry: RetryPolicy::NEVER,
            seed: Seed([7; 32]),
            next_log_seq: 0,
            redone: 0,
        }),
        channel: Arc::new(Deaf),
    };
    let mut call = criterion.benchmark_group("create, call, drop");
    call.measurement_time(Duration::from_secs(5));
    call.bench_function("bare", |bencher| {
        bencher.iter(|| black_box(runtime.block_on(bare.call())));
    });
    call.bench_function("engine, all limits", |bencher| {
        bencher.iter(|| black_box(runtime.block_on(ours.here())));
    });
    call.bench_function("engine, with its threads", |bencher| {
        bencher.iter(|| black_box(runtime.block_on(ours.call())));
    });
    call.throughput(Throughput::Elements(MANY as u64));
    call.bench_function("engine, with its threads, many at once", |bencher| {
        bencher.iter(|| {
            runtime.block_on(stream::iter(0..MANY).map(|_| ours.call()).buffer_unordered(MANY).for_each(
                |output| async {
                    black_box(output);
                },
            ));
        });
    });
    call.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
