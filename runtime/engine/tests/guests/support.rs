//! A host for tests: an engine over an embedded store in its own folder, a manual clock, and a
//! channel that records what it receives.

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use tidemill_core::clock::ManualClock;
use tidemill_core::ids::Owner;
use tidemill_core::journal::Journal;
use tidemill_core::manifest::{Grants, LedgerPolicy, OperatorGrant};
use tidemill_core::operator::OperatorAction;
use tidemill_core::retry::RetryPolicy;
use tidemill_core::run::{Export, Progress, Run, RunState, Seed, Trigger};
use tidemill_core::{ComponentDigest, DeploymentName, Failure, Fuel, Limits, NodeId, Revision, RunId, Timestamp};
use tidemill_engine::{
    Activation, ActivationResult, CancelToken, Cause, CommitOutcome, CompilerCommand, Engine, EngineConfig, Module,
    Outcome, PendingCommit, RunChannel, RunContext, StartTarget,
};
use tidemill_store::records::{
    CommitStart, Component, LogLine, ModuleVersion, PutDeployment, RunCommit, RunCommitResult,
};
use tidemill_store::{EmbeddedStore, Store};

/// Start time of tests: 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

pub struct TestHost {
    pub engine: Arc<Engine>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<ManualClock>,
    pub folder: tempfile::TempDir,
}

/// What the channel of a run received.
#[derive(Default)]
pub struct RecordingChannel {
    pub lines: Mutex<Vec<LogLine>>,
    pub progress: Mutex<Vec<Progress>>,
    pub status: Mutex<Vec<String>>,
    pub left: Mutex<u32>,
    pub refuse_leaving: Mutex<Option<Failure>>,
}

#[async_trait]
impl RunChannel for RecordingChannel {
    async fn commit(&self, _: PendingCommit) -> Result<CommitOutcome, Failure> {
        *self.left.lock().unwrap() += 1;
        self.refuse_leaving.lock().unwrap().clone().map_or(Ok(CommitOutcome::Continue), Err)
    }

    async fn save(&self, _: PendingCommit) -> bool {
        true
    }

    async fn target(
        &self,
        _: RunId,
        deployment: &DeploymentName,
        _: Option<Export>,
        _: &[u8],
    ) -> Result<StartTarget, Failure> {
        Err(Failure::new("host/deployment-not-found", format!("there is no deployment {deployment}")))
    }

    fn log(&self, line: LogLine) {
        self.lines.lock().unwrap().push(line);
    }

    fn progress(&self, progress: Progress) {
        self.progress.lock().unwrap().push(progress);
    }

    fn status(&self, json: String) {
        self.status.lock().unwrap().push(json);
    }
}

impl RecordingChannel {
    pub fn messages(&self) -> Vec<String> {
        self.lines.lock().unwrap().iter().map(|line| line.message.clone()).collect()
    }
}

pub fn compiler() -> CompilerCommand {
    CompilerCommand::new(env!("CARGO_BIN_EXE_tidemill-compile").into(), Vec::new())
}

impl TestHost {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = EmbeddedStore::open(EmbeddedStore::config(&folder.path().join("store"))).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let clock = Arc::new(ManualClock::new(START));
        let mut config = EngineConfig::new(folder.path(), compiler());
        config.concurrency = 32;
        change(&mut config);
        std::fs::create_dir_all(&config.components_dir).unwrap();
        let engine = Engine::new(config, Arc::clone(&store), Arc::clone(&clock) as Arc<_>).unwrap();
        Self { engine, store, clock, folder }
    }

    /// Stores a component where the engine finds it.
    pub fn put(&self, path: &Path) -> ComponentDigest {
        let bytes = std::fs::read(path).unwrap();
        self.put_bytes(&bytes)
    }

    pub fn put_bytes(&self, bytes: &[u8]) -> ComponentDigest {
        let digest = ComponentDigest::of(bytes);
        let folder = self.folder.path().join("components");
        std::fs::write(folder.join(digest.hex()).with_extension("wasm"), bytes).unwrap();
        digest
    }

    pub async fn module(&self, path: &Path) -> Arc<Module> {
        self.engine.module(self.put(path)).await.unwrap()
    }

    /// A job of the guest that performs any act.
    pub async fn hostile(&self) -> Job<'_> {
        let module = self.module(tidemill_artifacts::hostile()).await;
        self.job(module)
    }

    /// Commits the result of a run.
    pub async fn commit(&self, job: &Job<'_>, ended: ActivationResult) {
        let Outcome::Output(output) = ended.outcome else { panic!("{:?}", ended.outcome) };
        let node: NodeId = "here".parse().unwrap();
        let owner = Owner { epoch: self.store.begin_epoch(&node).await.unwrap(), node };
        let context = &job.context;
        self.deploy(&context.deployment, context.component).await;
        let run = Run {
            id: context.id,
            deployment: context.deployment.clone(),
            revision: Revision::new(1),
            component: context.component,
            export: job.export,
            state: RunState::Succeeded,
            trigger: context.trigger.clone(),
            key: None,
            key_millis: 0,
            labels: Vec::new(),
            priority: 5,
            attempt: 1,
            generation: 1,
            created_at: START,
            started_at: Some(START),
            ended_at: Some(START),
            fuel: ended.fuel,
            peak_memory: ended.peak_memory,
            progress: None,
            status: None,
            takeovers: 0,
            seed: context.seed,
            waiting_for: None,
            journal_entries: 0,
            cancel: None,
            detached: false,
            lanes: Vec::new(),
        };
        let commit = RunCommit {
            begins: CommitStart::Fresh { input: Bytes::new() },
            reads: ended.all.effects.reads,
            writes: ended.all.effects.writes,
            postings: ended.all.effects.postings,
            id_conflicts: ended.all.effects.id_conflicts,
            output: Some(output),
            ..RunCommit::of(owner, run, START)
        };
        assert!(matches!(self.store.commit_run(commit).await.unwrap(), RunCommitResult::Done(_)));
    }

    pub async fn deploy(&self, name: &DeploymentName, digest: ComponentDigest) {
        let version =
            ModuleVersion { module: "tests".parse().unwrap(), version: "1.0.0".to_owned(), digest, created_at: START };
        let component = Component {
            digest,
            size: 1,
            exports: vec![Export::Workflow],
            imports: Vec::new(),
            warnings: Vec::new(),
            uploaded_at: START,
            schemas: None,
        };
        self.store.put_version(version, component).await.unwrap();
        let put = PutDeployment {
            name: name.clone(),
            expected: None,
            component: digest,
            manifest: "{}".into(),
            schedules: Vec::new(),
            subscriptions: Vec::new(),
            budgets: Vec::new(),
            incident: None,
            now: START,
        };
        self.store.put_deployment(put).await.unwrap();
    }

    pub fn job(&self, module: Arc<Module>) -> Job<'_> {
        Job {
            host: self,
            export: Export::Workflow,
            context: RunContext {
                revision: Revision::new(1),
                key: None,
                id: RunId::new(START, 7),
                deployment: "tests".parse::<DeploymentName>().unwrap(),
                component: module.digest(),
                trigger: Trigger::default(),
                created_at: START,
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
            },
            module,
            fuel_used: Fuel::default(),
            cancel: CancelToken::new(),
            channel: Arc::default(),
        }
    }
}

/// An activation that can be started repeatedly.
#[derive(Clone)]
pub struct Job<'a> {
    pub host: &'a TestHost,
    pub module: Arc<Module>,
    pub export: Export,
    pub context: RunContext,
    pub fuel_used: Fuel,
    pub cancel: CancelToken,
    pub channel: Arc<RecordingChannel>,
}

impl Job<'_> {
    pub fn limit(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.context.limits);
        self
    }

    pub fn grant(mut self, grants: Grants) -> Self {
        self.context.grants = Arc::new(grants);
        self
    }

    pub fn activation(&self, input: &Value) -> Activation {
        Activation {
            export: self.export,
            input: Bytes::from(input.to_string()),
            run: Arc::new(self.context.clone()),
            journal: Journal::empty(),
            snapshot: None,
            fuel_used: self.fuel_used,
            cancel: self.cancel.clone(),
            channel: Arc::clone(&self.channel) as Arc<dyn RunChannel>,
        }
    }

    /// Starts a run.
    pub fn spawn(&self, input: &Value) -> tokio::task::JoinHandle<ActivationResult> {
        let (engine, module, activation) =
            (Arc::clone(&self.host.engine), Arc::clone(&self.module), self.activation(input));
        tokio::spawn(async move { engine.run(module, activation).await })
    }

    pub async fn run(&self, input: Value) -> ActivationResult {
        self.host.engine.run(Arc::clone(&self.module), self.activation(&input)).await
    }

    /// Returns the output of a run; panics if it fails.
    pub async fn output(&self, input: Value) -> Value {
        let ended = self.run(input).await;
        match &ended.outcome {
            Outcome::Output(output) => serde_json::from_slice(output).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Returns the failure of a run; panics if it succeeds.
    pub async fn failure(&self, input: Value) -> (Failure, Cause) {
        failure(self.run(input).await)
    }

    /// Returns the code of the failure; panics if the run succeeds.
    pub async fn code(&self, input: Value) -> String {
        self.failure(input).await.0.code
    }
}

pub fn failure(ended: ActivationResult) -> (Failure, Cause) {
    match ended.outcome {
        Outcome::Failed { failure, cause } => (failure, cause),
        other => panic!("it ended with {other:?}"),
    }
}

/// A workflow whose module has these parts: memory, functions, custom sections. Its export is the
/// module's `run`, which receives the address and length of its input and returns the address of
/// its result.
pub fn workflow(imports: &str, module: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            {imports}
            (import "tidemill:guest/types@0.1.0" (instance $types
                (type $record (record
                    (field "code" string) (field "message" string) (field "retryable" bool)
                    (field "details" (option string))))
                (export "failure" (type (eq $record)))))
            (alias export $types "failure" (type $failure))
            (core module $m
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
                {module})
            (core instance $i (instantiate $m))
            (alias core export $i "memory" (core memory $memory))
            (alias core export $i "realloc" (core func $realloc))
            (func $run (param "input" string) (result (result string (error $failure)))
                (canon lift (core func $i "run") (memory $memory) (realloc $realloc)))
            (instance $workflow (export "run" (func $run)))
            (export "tidemill:guest/workflow@0.1.0" (instance $workflow)))"#
    );
    wat::parse_str(text).unwrap()
}

/// Grants for everything that the tests do.
pub fn everything(origin: Option<&str>) -> Grants {
    Grants {
        http: origin.map(|origin| origin.parse().unwrap()).into_iter().collect(),
        ledger: true,
        deployments: vec!["child".parse().unwrap()],
        topics: vec!["granted.*".parse().unwrap()],
        operator: Some(OperatorGrant {
            actions: OperatorAction::ALL.to_vec(),
            deployments: vec!["operated".parse().unwrap()],
        }),
        ..Grants::default()
    }
}
