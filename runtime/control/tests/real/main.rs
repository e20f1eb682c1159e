//! Runs of a real component that wait, start children, signal and fail, in memory and replayed from
//! their journals.
//!
//! This test has its own `main`, because the engine compiles by starting the current program.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test ends at the first failed expectation")]

mod bounds;
mod parity;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "../../../engine/tests/guests/server.rs"]
mod server;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidemill_control::{ControlPlane, HostConfig, InvokeResult, RetryRequest, RunRequest, SignalTarget};
use tidemill_core::clock::SystemClock;
use tidemill_core::manifest::Manifest;
use tidemill_core::run::{Run, RunState};
use tidemill_core::{ComponentDigest, DeploymentName, RunId};
use tidemill_engine::{CompilerCommand, DryRun, Engine, EngineConfig};
use tidemill_store::records::{Action, FailedPart, PageRequest, RunFilter, RunRequestResult};
use tidemill_store::{EmbeddedStore, Store};

const LONG: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "compile-component") {
        return tidemill_engine::compile_component_main(&args[1..]);
    }
    let named: Vec<_> = args.iter().filter_map(|arg| arg.to_str().filter(|arg| !arg.starts_with('-'))).collect();
    if args.iter().any(|arg| arg == "--list") {
        if !args.iter().any(|arg| arg == "--ignored") {
            TESTS.iter().for_each(|test| println!("{test}: test"));
        }
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let world = World::new().await;
        for test in TESTS.into_iter().filter(|test| named.is_empty() || named.iter().any(|name| test.contains(name))) {
            Box::pin(run(test, &world)).await;
            println!("test {test} ... ok");
        }
    });
    ExitCode::SUCCESS
}

/// The tests in order, if one process runs all of them.
const TESTS: [&str; 9] = [
    "runs_that_wait_in_memory",
    "runs_that_wait_out_of_memory",
    "a_child_beyond_the_bound_is_refused_with_its_code",
    "a_wait_for_too_many_signals_is_refused",
    "a_run_at_the_greatest_depth_starts_no_child",
    "a_topic_beyond_the_quota_is_refused_with_its_code",
    "the_host_gives_what_the_harness_gives",
    "a_recycled_deployment_continues_on_code_compiled_again",
    "a_new_epoch_resumes_the_runs_of_the_previous_one",
];

async fn run(test: &str, world: &World) {
    let in_memory = ["runs_that_wait_in_memory", "a_recycled_deployment_continues_on_code_compiled_again"];
    let keep = if in_memory.contains(&test) { Duration::from_secs(10) } else { Duration::ZERO };
    if test == "a_new_epoch_resumes_the_runs_of_the_previous_one" {
        return a_new_epoch_resumes_the_runs_of_the_previous_one(world).await;
    }
    let epoch = world.epoch(keep).await;
    match test {
        "a_child_beyond_the_bound_is_refused_with_its_code" => {
            bounds::a_child_beyond_the_bound_is_refused_with_its_code(&epoch).await;
        }
        "a_wait_for_too_many_signals_is_refused" => bounds::a_wait_for_too_many_signals_is_refused(&epoch).await,
        "a_run_at_the_greatest_depth_starts_no_child" => {
            bounds::a_run_at_the_greatest_depth_starts_no_child(world, &epoch).await;
        }
        "a_topic_beyond_the_quota_is_refused_with_its_code" => {
            bounds::a_topic_beyond_the_quota_is_refused_with_its_code(&epoch).await;
        }
        "the_host_gives_what_the_harness_gives" => {
            Box::pin(parity::the_host_gives_what_the_harness_gives(world, &epoch)).await;
        }
        "a_recycled_deployment_continues_on_code_compiled_again" => {
            a_recycled_deployment_continues_on_code_compiled_again(world, &epoch).await;
        }
        _ => Box::pin(each(world, &epoch)).await,
    }
    epoch.shutdown_kept().await;
}

struct World {
    folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    engine: Arc<Engine>,
}

/// One epoch of the host. Several share the store.
struct HostEpoch(ControlPlane);

fn name(text: &str) -> DeploymentName {
    text.parse().unwrap()
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = EmbeddedStore::open(EmbeddedStore::config(&folder.path().join("store"))).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let mut config = EngineConfig::new(folder.path(), CompilerCommand::this_program().unwrap());
        config.concurrency = 48;
        config.egress.allow_private = true;
        let engine = Engine::new(config, Arc::clone(&store), Arc::new(SystemClock)).unwrap();
        let world = Self { folder, store, engine };
        let epoch = world.epoch(Duration::ZERO).await;
        world.deploy(&epoch.0).await;
        epoch.shutdown_kept().await;
        world
    }

    async fn epoch(&self, keep: Duration) -> HostEpoch {
        let mut config = HostConfig::new("node-1".parse().unwrap(), self.folder.path().join("components"));
        config.keep_waiting = keep;
        config.concurrency = 32;
        let (store, engine) = (Arc::clone(&self.store), Arc::clone(&self.engine));
        HostEpoch(ControlPlane::start(config, store, engine, Arc::new(SystemClock)).await.unwrap())
    }

    /// Uploads a guest as version 1.0.0 of its module.
    async fn upload(&self, host: &ControlPlane, module: &str) {
        let built = tidemill_artifacts::build(module).unwrap();
        let bytes = std::fs::read(&built).unwrap();
        let file = tempfile::NamedTempFile::new_in(self.folder.path()).unwrap().into_temp_path();
        std::fs::copy(Path::new(&built), &file).unwrap();
        let (digest, size) = (ComponentDigest::of(&bytes), bytes.len() as u64);
        let version = "1.0.0".parse().unwrap();
        host.upload(module.parse().unwrap(), version, file, digest, size).await.unwrap();
    }

    async fn deploy(&self, host: &ControlPlane) {
        self.upload(host, "durable").await;
        for name in ["a", "b"] {
            let manifest = json!({
                "name": name, "module": "durable@1.0.0", "concurrency": 32,
                "retry": { "initial": "50ms", "jitter": 0.0 },
                "grants": { "deployments": ["a", "b"] },
            });
            host.deploy(Manifest::parse_json(manifest.to_string().as_bytes()).unwrap(), None, false).await.unwrap();
        }
    }

    async fn number(&self, key: &str) -> u64 {
        let value = self.store.state(&name("a"), key).await.unwrap().value.unwrap();
        std::str::from_utf8(&value).unwrap().parse().unwrap()
    }

    async fn until(&self, id: RunId, wanted: impl Fn(&Run) -> bool) -> Run {
        let mut commits = self.store.committed();
        loop {
            let run = self.store.run(id).await.unwrap().unwrap();
            if wanted(&run) {
                return run;
            }
            commits.changed().await.unwrap();
        }
    }

    async fn output(&self, id: RunId) -> Value {
        serde_json::from_slice(&self.store.output(id).await.unwrap().unwrap()).unwrap()
    }
}

impl HostEpoch {
    /// Shuts the host down and keeps the store open for the next epoch.
    async fn shutdown_kept(self) {
        self.0.idle().await;
    }

    async fn call(&self, acts: Value) -> InvokeResult {
        let input = json!({ "acts": acts }).to_string();
        let invoked = self.0.invoke(RunRequest::new(name("a"), input), LONG).await.unwrap();
        assert!(invoked.run.state.is_settled(), "{invoked:?}");
        invoked
    }

    async fn output(&self, acts: Value) -> Value {
        let invoked = self.call(acts).await;
        assert_eq!(invoked.run.state, RunState::Succeeded, "{invoked:?}");
        serde_json::from_slice(&invoked.output.unwrap()).unwrap()
    }

    async fn request(&self, acts: Value) -> Run {
        let input = json!({ "acts": acts }).to_string();
        match self.0.request(RunRequest::new(name("a"), input)).await.unwrap() {
            RunRequestResult::Created(run) | RunRequestResult::Existing(run) | RunRequestResult::Joined(run) => run,
        }
    }
}

fn add(key: &str) -> Value {
    json!({ "do": "add", "key": key })
}

fn sleep(ms: u64) -> Value {
    json!({ "do": "sleep", "ms": ms })
}

async fn each(world: &World, epoch: &HostEpoch) {
    let host = &epoch.0;
    let tag = epoch.0.owner().epoch.get();
    let key = |name: &str| format!("{name}-{tag}");

    // Work before a wait is not repeated after it.
    epoch
        .output(
            json!([add(&key("slept")), sleep(100), add(&key("slept")), sleep(50), { "do": "log", "message": "up" }]),
        )
        .await;
    assert_eq!(world.number(&key("slept")).await, 2);

    // Many conflicting runs all count.
    let many =
        (0..30).map(|_| epoch.output(json!([add(&key("many")), sleep(20), add(&key("many")), add(&key("many"))])));
    futures_util::future::join_all(many).await;
    assert_eq!(world.number(&key("many")).await, 90);

    // A signal is awaited and taken once.
    let waits = epoch
        .request(json!([{ "do": "await-first", "any_of": ["go"], "timeout": null }, add(&key("signalled"))]))
        .await;
    world.until(waits.id, |run| run.state == RunState::Suspended).await;
    let sent = host
        .signal(SignalTarget::Run(waits.id), "go".to_owned(), r#"{"x":1}"#.into(), Some("k".to_owned()))
        .await
        .unwrap();
    assert!(!sent.duplicate);
    world.until(waits.id, |run| run.state == RunState::Succeeded).await;
    let output = world.output(waits.id).await.to_string();
    assert!(output.contains(r#"\"x\":1"#), "{output}");

    // The timeout ends a wait without a signal.
    let late = epoch.output(json!([{ "do": "await-first", "any_of": ["never"], "timeout": 60 }])).await;
    assert_eq!(late, json!(["timeout"]));

    // A child is started and awaited, and its result returned. A failed step is retried after its
    // back-off.
    let step = json!({ "do": "step", "name": "s", "acts": [add(&key("tried"))], "fail_until": 3, "delay_ms": 40 });
    let start = json!({ "do": "start", "deployment": "b", "input": { "acts": [sleep(50), step] } });
    let parent =
        epoch.call(json!([start, { "do": "await-all", "runs": [0], "timeout": null }, add(&key("parent"))])).await;
    assert_eq!(parent.run.state, RunState::Succeeded, "{parent:?}");
    let children = host.children(parent.run.id, PageRequest::first(10)).await.unwrap().items;
    assert_eq!(children.iter().map(|child| &child.state).collect::<Vec<_>>(), [&RunState::Succeeded]);
    let tried = world.store.state(&name("b"), &key("tried")).await.unwrap().value.unwrap();
    assert_eq!(tried.as_ref(), b"1");

    // A run that fails twice resumes from its saved progress each time.
    let again = epoch
        .call(json!([add(&key("kept")), sleep(10), { "do": "fail-until", "attempt": 3 }, add(&key("kept"))]))
        .await;
    assert_eq!((again.run.state, again.run.attempt), (RunState::Succeeded, 3));
    assert_eq!(world.number(&key("kept")).await, 2);

    // It continues as new under the same id.
    let next = json!({ "do": "continue-as-new", "input": { "acts": [sleep(10), add(&key("again"))] } });
    let new = epoch.call(json!([add(&key("again")), next])).await;
    assert_eq!((new.run.state, new.run.generation), (RunState::Succeeded, 2));
    assert_eq!(world.number(&key("again")).await, 2);

    // A parked run resumes from its last step, after a replay check.
    let parked =
        epoch.call(json!([add(&key("by-hand")), sleep(10), { "do": "fail", "code": "no", "retryable": false }])).await;
    assert_eq!(parked.run.state.name(), "parked");
    let looked = host.retry(parked.run.id, RetryRequest { dry_run: true, ..RetryRequest::default() }).await.unwrap();
    assert_eq!(looked.replay, Some(DryRun::Continues));
    let retried = host.retry(parked.run.id, RetryRequest::default()).await.unwrap().run;
    assert_eq!(retried.attempt, 2);
    world.until(parked.run.id, |run| run.state.is_settled() && run.attempt == 2).await;
    assert_eq!(world.number(&key("by-hand")).await, 1);
    host.retry(parked.run.id, RetryRequest { from_start: true, ..RetryRequest::default() }).await.unwrap();
    world.until(parked.run.id, |run| run.state.is_settled() && run.attempt == 3).await;
    assert_eq!(world.number(&key("by-hand")).await, 2);

    // It can signal itself before the store knows it.
    let itself = json!({ "do": "signal", "to": "self", "name": "hi", "payload": 7 });
    let heard = epoch.output(json!([itself, { "do": "await-first", "any_of": ["hi"], "timeout": null }])).await;
    assert_eq!(heard[1], json!({ "index": 0, "signal": "7" }));

    // One key has one input, also within one transaction.
    let keyed = |ms: u64| {
        let input = json!({ "acts": [sleep(ms)] });
        json!({ "do": "start", "deployment": "b", "input": input, "key": key("once"), "detached": true })
    };
    let twice = epoch.call(json!([keyed(1), keyed(1), { "do": "try", "act": keyed(2) }])).await;
    let answers: Value = serde_json::from_slice(&twice.output.unwrap()).unwrap();
    assert_eq!(answers[2], json!({ "code": "host/idempotency-mismatch" }));
    assert_eq!(host.children(twice.run.id, PageRequest::first(9)).await.unwrap().items.len(), 1);

    // A signal that the run cannot decode is taken by the attempt that failed on it. Any other
    // failure leaves it.
    for (code, left) in [("bad-signal", 0), ("no-luck", 1)] {
        let go = json!({ "do": "await-first", "any_of": ["go"], "timeout": null });
        let run = epoch.request(json!([add(&key("unread")), go, { "do": "fail", "code": code }])).await;
        world.until(run.id, |run| run.state == RunState::Suspended).await;
        host.signal(SignalTarget::Run(run.id), "go".to_owned(), "1".into(), None).await.unwrap();
        world.until(run.id, |run| run.state.name() == "parked").await;
        let inbox = host.inbox(run.id, PageRequest::first(9)).await.unwrap().items;
        assert_eq!(inbox.len(), left, "{code}");
        let failures = world.store.failures(run.id).await.unwrap();
        assert_eq!(failures.last().unwrap().record.failure.code, code);
    }

    // Every failed attempt of a step is recorded, the first one first.
    let step = json!({ "do": "step", "name": "s", "acts": [], "fail_until": 3, "delay_ms": 10 });
    let tried = epoch.call(json!([step, { "do": "fail", "code": "last" }])).await;
    let failures = world.store.failures(tried.run.id).await.unwrap();
    let parts: Vec<_> = failures.into_iter().map(|failure| failure.record.part).collect();
    let of_step = |attempt| FailedPart::Step { path: "s".to_owned(), attempt };
    assert_eq!(parts, [of_step(1), of_step(2), FailedPart::Attempt]);

    // Many runs that are cancelled at once all compensate, however often they conflict.
    let undo = json!([add(&key("undone")), add(&key("undone"))]);
    let input = json!({ "acts": [add(&key("before")), sleep(60_000)], "undo": undo }).to_string();
    let label = ("many".to_owned(), tag.to_string());
    let mut cancelled = Vec::new();
    for _ in 0..50 {
        let ask = RunRequest { labels: vec![label.clone()], ..RunRequest::new(name("a"), input.clone()) };
        let RunRequestResult::Created(run) = host.request(ask).await.unwrap() else { panic!("it is new") };
        cancelled.push(run.id);
    }
    for id in &cancelled {
        world.until(*id, |run| run.state == RunState::Suspended).await;
    }
    let filter = RunFilter { labels: vec![label], ..RunFilter::default() };
    host.act(filter, Action::Cancel, None).await.unwrap();
    for id in &cancelled {
        let ended = world.until(*id, |run| run.state.has_ended()).await;
        assert_eq!((ended.state, world.store.failures(*id).await.unwrap().len()), (RunState::Cancelled, 0));
    }
    assert_eq!(world.number(&key("undone")).await, 100);

    // Cancelling reaches the child first.
    let start = json!({ "do": "start", "deployment": "b", "input": { "acts": [sleep(60_000)] } });
    let tree = epoch.request(json!([start, { "do": "await-all", "runs": [0], "timeout": null }])).await;
    world.until(tree.id, |run| run.state == RunState::Suspended).await;
    host.cancel(tree.id, false).await.unwrap();
    world.until(tree.id, |run| run.state == RunState::Cancelled).await;
    let child = host.children(tree.id, PageRequest::first(1)).await.unwrap().items.remove(0);
    assert_eq!(child.state, RunState::Cancelled);
}

async fn a_recycled_deployment_continues_on_code_compiled_again(world: &World, epoch: &HostEpoch) {
    let go = json!({ "do": "await-first", "any_of": ["go"], "timeout": null });
    let waits = epoch.request(json!([add("recycled"), go, add("recycled")])).await;
    world.until(waits.id, |run| run.state == RunState::Suspended).await;
    epoch.0.idle().await;
    let before = world.engine.stats();
    assert_eq!(epoch.0.recycle(&name("a")).unwrap().runs, 1);
    let gone = world.engine.stats();
    assert_eq!(gone.modules + 1, before.modules);
    epoch.0.signal(SignalTarget::Run(waits.id), "go".to_owned(), "1".into(), None).await.unwrap();
    let ended = world.until(waits.id, |run| run.state.is_settled()).await;
    assert_eq!((ended.state, ended.attempt), (RunState::Succeeded, 1));
    let after = world.engine.stats();
    assert_eq!((after.compiled, after.loaded, after.modules), (before.compiled + 1, before.loaded + 1, before.modules));
    assert_eq!(world.number("recycled").await, 2);
}

/// A crash loses nothing: the next epoch resumes each run, and the old one can do nothing more.
async fn a_new_epoch_resumes_the_runs_of_the_previous_one(world: &World) {
    let dead = world.epoch(Duration::from_secs(10)).await;
    let mut runs = Vec::new();
    for _ in 0..10 {
        runs.push(
            dead.request(
                json!([add("lives"), sleep(300), add("lives"), { "do": "spin", "turns": 1_000_000 }, add("lives")]),
            )
            .await,
        );
    }
    world.until(runs[0].id, |run| run.state == RunState::Suspended).await;
    let epoch = world.epoch(Duration::ZERO).await;
    for run in &runs {
        let ended = world.until(run.id, |run| run.state.is_settled()).await;
        assert_eq!(ended.state, RunState::Succeeded);
    }
    assert_eq!(world.number("lives").await, 30);
    let open = RunFilter { states: vec!["running".to_owned()], ..RunFilter::default() };
    assert!(world.store.runs(open, PageRequest::first(1)).await.unwrap().items.is_empty());
    epoch.0.shutdown(LONG).await;
}
