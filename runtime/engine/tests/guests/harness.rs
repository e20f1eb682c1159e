//! A miniature host for durable runs: it commits to a real store, provides what a run waits for,
//! and dies at a chosen call.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use tidemill_core::clock::ManualClock;
use tidemill_core::ids::Owner;
use tidemill_core::journal::{Journal, JournalChange};
use tidemill_core::run::{Export, Progress, Run, RunEvent, Trigger, TriggerKind};
use tidemill_core::{Clock as _, DeploymentName, Failure, Fuel, NodeId, Revision, RunId};
use tidemill_engine::{
    Activation, ActivationResult, CancelToken, Cause, Checkpoint, CommitOutcome, CommitReason, Effects, ObservedHealth,
    OperatorRequest, Outcome, PendingCommit, RunChannel, StartRun, StartTarget,
};
use tidemill_store::Store;
use tidemill_store::records::{
    AdmissionTerms, LogLine, NewRun, NewSignal, OperatorAnswer, OperatorCall, PageRequest, Publisher, RunCommit,
    RunCommitResult,
};
use tokio::sync::Notify;

use crate::support::{Job, START};

/// What happens during the run's n-th wait.
#[derive(Clone)]
pub enum Event {
    /// Only time passes.
    Time,
    /// A signal arrives.
    Signal(&'static str, &'static str),
    /// Children end, by index, with this output or this code.
    End(&'static [(usize, Result<&'static str, &'static str>)]),
    /// The run is cancelled.
    Cancel,
}

/// When the host dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Death {
    /// At the n-th commit or save, counted from 1; 0 is never.
    pub at: usize,
    /// After the call, rather than before.
    pub after: bool,
}

/// What happens to a run while it executes.
#[derive(Clone, Default)]
pub struct Scenario {
    pub events: Vec<Event>,
    pub death: Death,
    /// Whether a run that waits leaves memory at once.
    pub evict_immediately: bool,
    /// Maximum attempts of the run.
    pub attempts: u32,
    /// Whether the run is cancelled while a step waits for its next attempt.
    pub cancel_at_back_off: bool,
    /// The n-th commit is refused, as if a read had changed; counted from 1, and 0 is never.
    pub conflict: usize,
}

/// Everything that is visible of a run from outside.
#[derive(Debug, PartialEq, Eq)]
pub struct RunObservation {
    pub end: Result<Value, (String, Cause)>,
    pub state: Vec<(String, String)>,
    pub postings: Vec<String>,
    /// The calls and external ids of its postings, with the numbers of answers in their evidence.
    pub evidence: Vec<String>,
    pub lines: Vec<String>,
    pub fuel: u64,
    /// Its children, and their inputs.
    pub children: Vec<(String, String)>,
    /// Its actions on other deployments, in order.
    pub actions: Vec<String>,
    /// Its published events in order: topics, ids and payloads.
    pub events: Vec<(String, String, String)>,
    pub cancelled: bool,
    /// Sums of its samples of each metric, over the commits that succeeded.
    pub sampled: BTreeMap<String, u64>,
}

/// Internals of the run.
pub struct RunInternals {
    pub calls: usize,
    pub redone: usize,
    pub journal: Journal,
}

struct EngineHarness {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    owner: Owner,
    id: RunId,
    scenario: Scenario,
    calls: AtomicUsize,
    dies: AtomicUsize,
    died: Notify,
    cancel: Mutex<CancelToken>,
    unsaved: Mutex<Vec<LogLine>>,
    base_fuel: Mutex<u64>,
    waits: AtomicUsize,
    refused: AtomicUsize,
    /// Its children, in the order of their start.
    started: Mutex<Vec<RunId>>,
    sampled: Mutex<BTreeMap<String, u64>>,
    /// Children that are running.
    running: Mutex<HashMap<RunId, Run>>,
}

/// Executes a run to its end.
pub async fn run_scenario(job: &Job<'_>, program: &Value, scenario: Scenario) -> (RunObservation, RunInternals) {
    let host = job.host;
    let context = &job.context;
    let node: NodeId = "here".parse().unwrap();
    let owner = Owner { epoch: host.store.begin_epoch(&node).await.unwrap(), node };
    host.clock.set(START);
    host.deploy(&context.deployment, context.component).await;
    host.deploy(&"child".parse().unwrap(), context.component).await;
    let new = NewRun {
        id: context.id,
        deployment: context.deployment.clone(),
        revision: Revision::new(1),
        component: context.component,
        export: Export::Workflow,
        trigger: Trigger::default(),
        input: program.to_string().into(),
        key: None,
        labels: Vec::new(),
        priority: 5,
        now: START,
        not_before: START,
        seed: context.seed,
        detached: false,
        lanes: Vec::new(),
        terms: AdmissionTerms::default(),
    };
    host.store.request_run(new).await.unwrap();
    let harness = Arc::new(EngineHarness {
        store: Arc::clone(&host.store),
        clock: Arc::clone(&host.clock),
        owner,
        id: context.id,
        dies: AtomicUsize::new(scenario.death.at),
        scenario,
        calls: AtomicUsize::new(0),
        died: Notify::new(),
        cancel: Mutex::default(),
        unsaved: Mutex::default(),
        base_fuel: Mutex::default(),
        waits: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
        started: Mutex::default(),
        sampled: Mutex::default(),
        running: Mutex::default(),
    });
    harness.claim().await;
    let (mut again, mut redone, mut activations) = (None::<(Journal, Option<Bytes>)>, 0, 0);
    loop {
        activations += 1;
        assert!(activations < 200, "it never ends");
        let run = harness.run().await;
        let is_redone = again.is_some();
        let (journal, snapshot) = match again.take() {
            Some(again) => again,
            None => {
                let stored = harness.store.journal(harness.id).await.unwrap();
                (Journal::load(stored.chunks).unwrap(), stored.snapshot)
            }
        };
        let token = CancelToken::new();
        if run.cancel.is_some() {
            token.cancel();
        }
        *harness.cancel.lock().unwrap() = token.clone();
        *harness.base_fuel.lock().unwrap() = run.fuel.get();
        let mut context = job.context.clone();
        (context.attempt, context.generation) = (run.attempt, run.generation);
        let saved = harness.store.logs(harness.id, 0, 10_000).await.unwrap().lines.len();
        context.next_log_seq = (saved + harness.unsaved.lock().unwrap().len()) as u64;
        context.redone = u32::from(is_redone);
        let activation = Activation {
            export: Export::Workflow,
            input: harness.store.input(harness.id).await.unwrap().unwrap(),
            run: Arc::new(context),
            journal,
            snapshot,
            fuel_used: Fuel::default(),
            cancel: token.clone(),
            channel: Arc::clone(&harness) as Arc<dyn RunChannel>,
        };
        let running = host.engine.run(Arc::clone(&job.module), activation);
        tokio::pin!(running);
        let ended = tokio::select! {
            ended = &mut running => ended,
            () = harness.died.notified() => {
                token.terminate();
                running.await;
                harness.unsaved.lock().unwrap().clear();
                if harness.run().await.state.name() == "suspended" {
                    harness.happen().await;
                    harness.claim().await;
                }
                continue;
            }
        };
        if ended.redo {
            redone += 1;
            // The lines that it has logged stay, and it logs them once more.
            again = ended.journal.map(|journal| (journal, ended.all.snapshot));
            continue;
        }
        let ActivationResult { outcome, all, kept, journal, notified, fuel, .. } = ended;
        let journal = journal.unwrap();
        let fuel = Fuel::new(*harness.base_fuel.lock().unwrap() + fuel.get());
        let mut run = Run { fuel, ..harness.run().await };
        let now = harness.clock.now();
        match outcome {
            Outcome::Suspended => {
                harness.happen().await;
                harness.claim().await;
            }
            Outcome::ContinueAsNew { input } => {
                run.generation += 1;
                let commit = RunCommit { input: Some(input), ..harness.of(run, all, Some(JournalChange::emptied())) };
                harness.end(commit, &mut again).await;
            }
            Outcome::Failed { failure, .. }
                if failure.retryable && run.attempt < harness.scenario.attempts && !notified =>
            {
                run.attempt += 1;
                let change = cut(journal, &kept);
                let commit = harness.of(run, kept, change);
                harness.end(commit, &mut again).await;
            }
            outcome => {
                let (left, end) = match outcome {
                    Outcome::Output(output) => {
                        run.state = run.state.next(RunEvent::Succeeded).unwrap();
                        (all, Ok(serde_json::from_slice(&output).unwrap()))
                    }
                    Outcome::Failed { failure, cause } => {
                        let event = if notified { RunEvent::Cancelled } else { RunEvent::Parked(failure.clone()) };
                        run.state = run.state.next(event).unwrap();
                        (if notified { all } else { kept }, Err((failure.code, cause)))
                    }
                    other => panic!("{other:?}"),
                };
                let output = end.as_ref().ok().map(|output: &Value| Bytes::from(output.to_string()));
                let mut journal = journal;
                let whole = journal.clone();
                journal.truncate(left.journal_to);
                let change = journal.change();
                let commit = RunCommit { output, ..harness.of(run, left, change) };
                assert!(
                    matches!(harness.store.commit_run(commit).await.unwrap(), RunCommitResult::Done(_)),
                    "at {now:?}"
                );
                let observed = harness.observe(&context_name(job), end, fuel.get(), notified).await;
                let internals = RunInternals { calls: harness.calls.load(SeqCst), redone, journal: whole };
                return (observed, internals);
            }
        }
    }
}

fn shown(line: LogLine) -> String {
    let marks = line.fields.iter().filter_map(|(name, value)| Some((name.strip_prefix("tidemill.")?, value)));
    marks.fold(line.message.clone(), |text, (mark, value)| format!("{text} ({mark} {value})"))
}

fn context_name(job: &Job<'_>) -> DeploymentName {
    job.context.deployment.clone()
}

fn cut(mut journal: Journal, left: &Checkpoint) -> Option<JournalChange> {
    journal.truncate(left.journal_to);
    journal.change()
}

impl EngineHarness {
    async fn run(&self) -> Run {
        self.store.run(self.id).await.unwrap().unwrap()
    }

    async fn claim(&self) {
        let run = self.run().await;
        let claimed = self.store.claim(&self.owner, &run.deployment, 1, self.clock.now()).await.unwrap();
        assert_eq!(claimed.first().map(|claimed| claimed.run.id), Some(self.id), "{run:?}");
    }

    fn of(&self, run: Run, left: Checkpoint, journal: Option<JournalChange>) -> RunCommit {
        let Effects {
            reads,
            writes,
            postings,
            id_conflicts,
            starts,
            signals,
            events,
            taken,
            cancels,
            observed,
            samples,
        } = left.effects;
        self.started.lock().unwrap().extend(starts.iter().map(|start| start.id));
        for metric in samples.into_metrics().0 {
            *self.sampled.lock().unwrap().entry(metric.name).or_default() += metric.value as u64;
        }
        RunCommit {
            reads,
            writes,
            postings,
            id_conflicts,
            starts: starts.into_iter().map(|start| new_run(self.id, start)).collect(),
            signals,
            events,
            taken,
            cancels,
            observed,
            journal,
            snapshot: left.snapshot,
            logs: std::mem::take(&mut self.unsaved.lock().unwrap()),
            ..RunCommit::of(self.owner.clone(), run, self.clock.now())
        }
    }

    /// Commits between activations.
    async fn end(&self, commit: RunCommit, again: &mut Option<(Journal, Option<Bytes>)>) {
        assert!(matches!(self.store.commit_run(commit).await.unwrap(), RunCommitResult::Done(_)));
        *again = None;
    }

    /// Performs the event of the current wait.
    async fn happen(&self) {
        let run = self.run().await;
        let nth = self.waits.fetch_add(1, SeqCst);
        match self.scenario.events.get(nth).cloned().unwrap_or(Event::Time) {
            Event::Time => {
                let until = run.waiting_for.and_then(|wait| wait.until).expect("it waits for ever");
                self.clock.set(self.clock.now().max(until));
            }
            Event::Signal(name, payload) => {
                self.clock.advance(1);
                let signal = NewSignal {
                    to: self.id,
                    name: name.to_owned(),
                    payload: Bytes::from_static(payload.as_bytes()),
                    key: Some(nth.to_string()),
                };
                self.store.signal(signal, self.clock.now()).await.unwrap();
            }
            Event::End(ends) => {
                for (child, end) in ends {
                    self.end_child(*child, *end).await;
                }
            }
            Event::Cancel => {
                self.store.request_cancel(self.id, false, self.clock.now()).await.unwrap();
                self.cancel.lock().unwrap().cancel();
            }
        }
    }

    async fn end_child(&self, nth: usize, end: Result<&'static str, &'static str>) {
        let now = self.clock.advance(1);
        let id = self.started.lock().unwrap()[nth];
        let child = self.store.run(id).await.unwrap().unwrap();
        let claimed = self.store.claim(&self.owner, &child.deployment, 100, now).await.unwrap();
        let mut run = {
            let mut running = self.running.lock().unwrap();
            running.extend(claimed.into_iter().map(|claimed| (claimed.run.id, claimed.run)));
            running.remove(&id).unwrap()
        };
        let event = match end {
            Ok(_) => RunEvent::Succeeded,
            Err(code) => RunEvent::Failed(Failure::retryable(code, "on request")),
        };
        run.state = run.state.next(event).unwrap();
        run.ended_at = Some(now);
        let output = end.ok().map(|output| Bytes::from_static(output.as_bytes()));
        let commit = RunCommit { output, ..RunCommit::of(self.owner.clone(), run, now) };
        self.store.commit_run(commit).await.unwrap();
    }

    async fn observe(
        &self,
        deployment: &DeploymentName,
        end: Result<Value, (String, Cause)>,
        fuel: u64,
        cancelled: bool,
    ) -> RunObservation {
        let own = self.id.to_string();
        let hide = |text: String| text.replace(&own, "RUN");
        let end = end.map(|output| serde_json::from_str(&hide(output.to_string())).unwrap());
        let all = tidemill_store::records::ScanRequest { prefix: String::new(), after: None, limit: 1_000 };
        let page = self.store.scan_state(deployment, &all).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let entries = PageRequest::first(100);
        let entries = self.store.ledger_entries(Some(&deployment.clone().into()), entries).await.unwrap();
        let mut children = Vec::new();
        let of_children = PageRequest::first(100);
        for child in self.store.children(self.id, of_children).await.unwrap().items {
            let input = self.store.input(child.id).await.unwrap().unwrap_or_default();
            children.push((child.deployment.to_string(), text(&input)));
        }
        children.sort();
        let mut events = Vec::new();
        for topic in self.store.topics(PageRequest::first(100)).await.unwrap().items {
            let page = self.store.topic_events(&topic.topic, None, PageRequest::first(10_000)).await.unwrap();
            let own = page
                .items
                .into_iter()
                .filter(|event| matches!(&event.publisher, Publisher::Run { run, .. } if *run == self.id));
            events.extend(own.map(|event| (event.topic.to_string(), event.id.to_string(), text(&event.payload))));
        }
        let lines = self.store.logs(self.id, 0, 10_000).await.unwrap().lines;
        RunObservation {
            end,
            state: page.entries.into_iter().map(|(key, value, _)| (key, text(&value))).collect(),
            evidence: entries
                .items
                .iter()
                .map(|it| format!("{} {} {}", it.call.as_str(), it.external_id, it.evidence.responses.len()))
                .collect(),
            postings: entries.items.into_iter().map(|entry| hide(entry.id)).collect(),
            lines: lines.into_iter().map(|line| hide(shown(line))).collect(),
            fuel,
            children,
            actions: crate::operator::actions(&*self.store, self.id).await,
            events,
            cancelled,
            sampled: self.sampled.lock().unwrap().clone(),
        }
    }

    /// Whether the host dies at this call: before its work, or after.
    fn dies(&self) -> (bool, bool) {
        let call = self.calls.fetch_add(1, SeqCst) + 1;
        let now = self.dies.load(SeqCst) == call;
        (now && !self.scenario.death.after, now && self.scenario.death.after)
    }

    async fn die(&self) {
        self.dies.store(0, SeqCst);
        self.died.notify_one();
        std::future::pending().await
    }

    async fn put(&self, pending: PendingCommit) -> CommitOutcome {
        let PendingCommit { effects, journal, snapshot, fuel, journal_entries, point, .. } = pending;
        let mut run = self.run().await;
        run.fuel = Fuel::new(*self.base_fuel.lock().unwrap() + fuel.get());
        run.journal_entries = journal_entries;
        let waits = matches!(point, CommitReason::Wait(_));
        match point {
            CommitReason::Leaving => {}
            CommitReason::Wait(wait) => {
                run.state = run.state.next(RunEvent::Suspended).unwrap();
                run.waiting_for = Some(wait);
            }
            CommitReason::Save | CommitReason::BackOff { .. } => {
                let logs = std::mem::take(&mut *self.unsaved.lock().unwrap());
                self.store.save(&self.owner, &run, journal, snapshot, logs).await.unwrap();
                if let CommitReason::BackOff { until } = point {
                    if self.scenario.cancel_at_back_off && run.cancel.is_none() {
                        self.store.request_cancel(self.id, false, self.clock.now()).await.unwrap();
                        self.cancel.lock().unwrap().cancel();
                        return CommitOutcome::Continue;
                    }
                    self.clock.set(self.clock.now().max(until));
                }
                return CommitOutcome::Continue;
            }
        }
        let left = Checkpoint { effects, snapshot, ..Checkpoint::default() };
        let commit = self.of(run, left, journal);
        match self.store.commit_run(commit).await.unwrap() {
            RunCommitResult::Done(_) => {}
            RunCommitResult::Conflict { .. } => return CommitOutcome::Retry,
            other => panic!("{other:?}"),
        }
        if waits && self.scenario.evict_immediately {
            return CommitOutcome::Suspend;
        }
        CommitOutcome::Continue
    }
}

fn new_run(parent: RunId, start: StartRun) -> NewRun {
    NewRun {
        id: start.id,
        deployment: start.deployment,
        revision: start.revision,
        component: start.component,
        export: start.export,
        trigger: Trigger { kind: TriggerKind::Parent, parent: Some(parent), ..Trigger::default() },
        input: start.input,
        key: Some(start.key),
        labels: start.labels,
        priority: start.priority,
        now: start.at,
        not_before: start.not_before,
        seed: start.seed,
        detached: start.detached,
        lanes: Vec::new(),
        terms: AdmissionTerms::default(),
    }
}

#[async_trait]
impl RunChannel for EngineHarness {
    async fn commit(&self, pending: PendingCommit) -> Result<CommitOutcome, Failure> {
        let (before, after) = self.dies();
        if before {
            self.die().await;
        }
        // A save checks no reads. A slow machine saves more often.
        let is_save = matches!(pending.point, CommitReason::Save | CommitReason::BackOff { .. });
        let conflict = self.scenario.conflict;
        if conflict > 0 && !is_save && self.refused.fetch_add(1, SeqCst) + 1 == conflict {
            return Ok(CommitOutcome::Retry);
        }
        let waits = matches!(pending.point, CommitReason::Wait(_));
        let went = self.put(pending).await;
        if after {
            self.die().await;
        }
        if waits && went == CommitOutcome::Continue {
            self.happen().await;
            self.claim().await;
        }
        Ok(went)
    }

    async fn save(&self, pending: PendingCommit) -> bool {
        let (before, after) = self.dies();
        if before {
            self.die().await;
        }
        self.put(pending).await;
        if after {
            self.die().await;
        }
        true
    }

    async fn target(
        &self,
        _: RunId,
        deployment: &DeploymentName,
        export: Option<Export>,
        _: &[u8],
    ) -> Result<StartTarget, Failure> {
        let found = self.store.deployment(deployment).await.unwrap();
        let found = found.ok_or_else(|| Failure::new("host/deployment-not-found", "there is none"))?;
        Ok(StartTarget {
            queue_room: 1_000,
            child_room: Some(1_000),
            revision: found.revision,
            component: found.component,
            export: export.unwrap_or(Export::Workflow),
            priority: 5,
        })
    }

    async fn operate(&self, call: OperatorCall, request: OperatorRequest) -> Result<OperatorAnswer, Failure> {
        let (before, after) = self.dies();
        if before {
            self.die().await;
        }
        let run = self.run().await;
        let answer = crate::operator::operate(&*self.store, &run, call, request, self.clock.now()).await;
        if after {
            self.die().await;
        }
        answer
    }

    async fn health_of(&self, _: &DeploymentName) -> Result<ObservedHealth, Failure> {
        crate::operator::health_of(&*self.store, &self.run().await).await
    }

    fn log(&self, line: LogLine) {
        self.unsaved.lock().unwrap().push(line);
    }

    fn progress(&self, _: Progress) {}

    fn status(&self, _: String) {}
}
