//! Fixtures for claims: one component, deployments of it, and short helper functions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tidemill_core::ids::Owner;
use tidemill_core::run::{Export, Run, RunEvent, RunState, Seed, Trigger, TriggerKind, Wait};
use tidemill_core::{ComponentDigest, DeploymentName, Failure, RunId, ScheduleName, Timestamp};

use tidemill_store::Store;
use tidemill_store::records::{
    AdmissionTerms, ClaimedRun, CommitEffects, CommitStart, Component, Deployment, ModuleVersion, NewRun,
    PutDeployment, RunCommit, RunCommitResult, RunRequestResult, ScheduleChange,
};

pub(crate) const NOON: Timestamp = Timestamp::from_millis(1_700_000_000_000);

pub(crate) fn later(millis: u64) -> Timestamp {
    NOON.plus_millis(millis)
}

pub(crate) fn name(text: &str) -> DeploymentName {
    text.parse().expect("a name")
}

pub(crate) fn schedule(text: &str) -> ScheduleName {
    text.parse().expect("a name")
}

pub(crate) fn digest() -> ComponentDigest {
    ComponentDigest::of(b"component")
}

pub(crate) async fn owner(store: &Arc<dyn Store>) -> Owner {
    let node = "here".parse().expect("a name");
    let epoch = store.begin_epoch(&node).await.expect("a life");
    Owner { node, epoch }
}

/// Deploys `a` and `b`, and returns an owner that runs them.
pub(crate) async fn a_and_b(store: &Arc<dyn Store>) -> Owner {
    deploy(store, "a").await;
    deploy(store, "b").await;
    owner(store).await
}

pub(crate) fn component(bytes: &[u8]) -> Component {
    Component {
        digest: ComponentDigest::of(bytes),
        size: bytes.len() as u64,
        exports: vec![Export::Workflow],
        imports: vec![],
        warnings: vec![],
        uploaded_at: NOON,
        schemas: None,
    }
}

pub(crate) fn version(number: &str, bytes: &[u8]) -> ModuleVersion {
    ModuleVersion {
        module: "module".parse().expect("a name"),
        version: number.into(),
        digest: ComponentDigest::of(bytes),
        created_at: NOON,
    }
}

pub(crate) async fn deploy(store: &Arc<dyn Store>, to: &str) -> Deployment {
    deploy_with(store, to, "{}", vec![]).await
}

pub(crate) async fn deploy_with(
    store: &Arc<dyn Store>,
    to: &str,
    manifest: &str,
    schedules: Vec<ScheduleChange>,
) -> Deployment {
    store.put_version(version("1.0.0", b"component"), component(b"component")).await.expect("a version");
    let put = PutDeployment {
        name: name(to),
        expected: None,
        component: digest(),
        manifest: manifest.into(),
        schedules,
        subscriptions: vec![],
        budgets: vec![],
        incident: None,
        now: NOON,
    };
    store.put_deployment(put).await.expect("a deployment")
}

pub(crate) fn new_run(of: &str) -> NewRun {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let random = NEXT.fetch_add(1, Ordering::Relaxed);
    NewRun {
        id: RunId::new(NOON, random.into()),
        deployment: name(of),
        revision: tidemill_core::Revision::new(1),
        component: digest(),
        export: Export::Workflow,
        trigger: Trigger::default(),
        input: Bytes::from_static(b"{}"),
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

pub(crate) fn scheduled(of: &str, by: &str, at: Timestamp) -> NewRun {
    let trigger = Trigger { kind: TriggerKind::Schedule, name: Some(by.into()), at: Some(at), ..Trigger::default() };
    NewRun { trigger, ..new_run(of) }
}

pub(crate) async fn request(store: &Arc<dyn Store>, new: NewRun) -> Run {
    match store.request_run(new).await.expect("a run") {
        RunRequestResult::Created(run) | RunRequestResult::Existing(run) | RunRequestResult::Joined(run) => run,
    }
}

pub(crate) async fn claim_one(store: &Arc<dyn Store>, owner: &Owner, of: &str) -> ClaimedRun {
    let mut claimed = store.claim(owner, &name(of), 1, NOON).await.expect("a claim");
    claimed.pop().expect("a run is ready")
}

/// Requests and claims a run that has done nothing yet.
pub(crate) async fn claimed_run(store: &Arc<dyn Store>, owner: &Owner, of: &str) -> Run {
    request(store, new_run(of)).await;
    claim_one(store, owner, of).await.run
}

/// Returns the commit that ends a running run successfully.
pub(crate) fn success(owner: &Owner, run: &Run) -> RunCommit {
    let state = run.state.next(RunEvent::Succeeded).expect("a running run can succeed");
    let run = Run { state, ended_at: Some(NOON), ..run.clone() };
    RunCommit { output: Some(Bytes::from_static(b"null")), ..RunCommit::of(owner.clone(), run, NOON) }
}

/// Returns the commit that suspends a running run.
pub(crate) fn suspended(owner: &Owner, run: &Run, wait: Wait) -> RunCommit {
    let state = run.state.next(RunEvent::Suspended).expect("a running run can wait");
    RunCommit::of(owner.clone(), Run { state, waiting_for: Some(wait), ..run.clone() }, NOON)
}

/// Returns a run that `parent` starts.
pub(crate) fn child(parent: &Run, of: &str) -> NewRun {
    let trigger = Trigger { kind: TriggerKind::Parent, parent: Some(parent.id), ..Trigger::default() };
    NewRun { trigger, ..new_run(of) }
}

/// Starts children of deployment `b` from a running run, which stays running.
pub(crate) async fn start(store: &Arc<dyn Store>, owner: &Owner, parent: &Run, number: usize) -> Vec<Run> {
    let mut commit = RunCommit::of(owner.clone(), parent.clone(), NOON);
    commit.starts = (0..number).map(|_| child(parent, "b")).collect();
    let children = commit.starts.iter().map(NewRun::to_run).collect();
    done(store, commit).await;
    children
}

/// Returns the commit of a run that ran before its request was stored.
pub(crate) fn fresh(owner: &Owner, new: &NewRun) -> RunCommit {
    let run = Run {
        state: RunState::Running { node: owner.node.clone(), epoch: owner.epoch },
        started_at: Some(new.now),
        fuel: tidemill_core::Fuel::new(1),
        peak_memory: 1,
        ..new.to_run()
    };
    RunCommit { begins: CommitStart::Fresh { input: new.input.clone() }, ..success(owner, &run) }
}

pub(crate) async fn done(store: &Arc<dyn Store>, commit: RunCommit) -> CommitEffects {
    match store.commit_run(commit).await.expect("a commit") {
        RunCommitResult::Done(caused) => caused,
        refused => panic!("{refused:?}"),
    }
}

pub(crate) fn failure() -> Failure {
    Failure::new("x", "it failed")
}
