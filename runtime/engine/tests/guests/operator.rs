//! Actions on other deployments: each takes effect once in every interruption, within its grant and
//! its bounds.

use serde_json::{Value, json};
use tidemill_core::health::{HealthState, HealthStatus};
use tidemill_core::manifest::{Grants, OperatorGrant};
use tidemill_core::operator::{OPERATOR_NOTE_BYTES, OperatorAction};
use tidemill_core::policy::PolicyInForce;
use tidemill_core::run::{Export, Run};
use tidemill_core::{Code, DeploymentName, Failure, Policy, Revision, RunId, Timestamp};
use tidemill_engine::{Cause, ObservedHealth, OperatorRequest, Outcome};
use tidemill_store::records::{FeedEvent, OperatorAnswer, OperatorCall, OperatorChange, PutDeployment};
use tidemill_store::{Store, StoreError};

use crate::durable::{check_every_interruption, host, once};
use crate::harness::{Event, Scenario};
use crate::support::{START, TestHost, everything};

/// The deployment that a run acts on: each run has its own.
fn target_of(run: &Run) -> DeploymentName {
    format!("{}-target", run.deployment).parse().unwrap()
}

fn put(run: &Run, manifest: &str, expected: Option<Revision>) -> PutDeployment {
    PutDeployment {
        name: target_of(run),
        expected: expected.map(Some),
        component: run.component,
        manifest: manifest.into(),
        schedules: Vec::new(),
        subscriptions: Vec::new(),
        budgets: Vec::new(),
        incident: None,
        now: START,
    }
}

/// Acts on the target of a run, in the store alone. The target begins in its second revision.
pub async fn operate(
    store: &dyn Store,
    run: &Run,
    call: OperatorCall,
    request: OperatorRequest,
    now: Timestamp,
) -> Result<OperatorAnswer, Failure> {
    let name = target_of(run);
    if store.deployment(&name).await.unwrap().is_none() {
        for manifest in ["{}", "{\"priority\":7}"] {
            store.put_deployment(put(run, manifest, None)).await.unwrap();
        }
    }
    let call = OperatorCall { deployment: name.clone(), ..call };
    let refused = |error: StoreError| error.code().failure(error.to_string());
    if let Some(answer) = store.operator_answer(&call).await.unwrap() {
        return Ok(answer);
    }
    let change = match request {
        OperatorRequest::Pause => OperatorChange::Pause,
        OperatorRequest::Resume => OperatorChange::Resume,
        OperatorRequest::Rollback(to) => {
            let present = store.deployment(&name).await.unwrap().unwrap().revision;
            let to = to.unwrap_or(Revision::new(present.get() - 1));
            let Some(target) = store.revision(&name, to).await.unwrap() else {
                return Err(Code::RevisionNotFound.failure("there is no such revision"));
            };
            OperatorChange::Put(Box::new(put(run, &target.manifest, Some(present))))
        }
        OperatorRequest::Retry(_) => OperatorChange::Retry(Vec::new()),
        OperatorRequest::Recycle => OperatorChange::Nothing,
    };
    store.operate(call, change, now).await.map(|result| result.answer).map_err(refused)
}

pub async fn health_of(store: &dyn Store, run: &Run) -> Result<ObservedHealth, Failure> {
    let target = store.deployment(&target_of(run)).await.unwrap();
    let state = HealthState {
        status: HealthStatus::Degraded,
        since: Some(START),
        reason: Some("it is slow".to_owned()),
        failures: 0,
    };
    Ok(ObservedHealth { state, paused: target.is_some_and(|target| target.paused.is_some()) })
}

/// Returns the actions of a run, with their notes.
pub async fn actions(store: &dyn Store, of: RunId) -> Vec<String> {
    let feed = store.feed(0, usize::MAX).await.unwrap();
    let acted = feed.into_iter().filter_map(|entry| match entry.event {
        FeedEvent::Operator { run, action, note, revision, .. } if run == of => {
            Some(format!("{action} {revision}: {note}"))
        }
        _ => None,
    });
    acted.collect()
}

fn act(action: &str, note: &str) -> Value {
    json!({ "do": "operate", "action": action, "deployment": "operated", "note": note, "limit": 5 })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_takes_effect_once_in_every_interruption() {
    let host = host();
    let add = json!({ "do": "add", "key": "n" });
    let back_to = |revision: u64| json!({ "do": "operate", "action": "rollback", "deployment": "operated", "revision": revision, "note": "back" });
    let acts = json!([
        add, act("pause", "p1"), add, act("health", ""), { "do": "sleep", "ms": 10 }, act("resume", "r1"),
        act("rollback", "b1"), act("rollback", "b2"), back_to(1), back_to(5), act("pause", "p2"), act("pause", "p3"),
        act("resume", "r2"), act("recycle", "c1"), act("recycle", "c2"), add,
    ]);
    let observed = check_every_interruption(&host, None, acts, json!([]), Scenario::default()).await;
    let health = json!(["degraded", START.as_millis(), "it is slow", true]);
    let end = json!([1, null, 2, health, null, null, 3, 4, 5, 5, null, null, null, null, null, 3]);
    assert_eq!(observed.end, Ok(end));
    let acted = [
        "pause 2: p1",
        "resume 2: r1",
        "rollback 3: b1",
        "rollback 4: b2",
        "rollback 5: back",
        "pause 5: p2",
        "pause 5: p3",
        "resume 5: r2",
        "recycle 5: c1",
        "recycle 5: c2",
    ];
    assert_eq!(observed.actions, acted);
    assert_eq!(observed.state, [("n".to_owned(), "3".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_attempt_of_a_step_sets_states_again_and_rolls_back_once() {
    let host = host();
    let acts = json!([act("pause", "p"), act("rollback", "b"), act("rollback", "b"), act("resume", "r")]);
    let step = json!({ "do": "step", "name": "s", "attempts": 3, "fail_until": 2, "delay_ms": 10, "acts": acts });
    let acts = json!([step, act("rollback", "after")]);
    let observed = check_every_interruption(&host, None, acts, json!([]), Scenario::default()).await;
    assert_eq!(observed.end, Ok(json!([[null, 3, 4, null], 5])));
    let acted = [
        "pause 2: p",
        "rollback 3: b",
        "rollback 4: b",
        "resume 4: r",
        "pause 4: p",
        "resume 4: r",
        "rollback 5: after",
    ];
    assert_eq!(observed.actions, acted);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_of_the_run_keeps_what_the_one_before_has_done() {
    let host = host();
    let acts =
        json!([act("rollback", "b"), act("pause", "p"), { "do": "fail-until", "attempt": 3 }, act("resume", "r")]);
    let how = Scenario { attempts: 3, ..Scenario::default() };
    let observed = check_every_interruption(&host, None, acts, json!([]), how).await;
    assert_eq!(observed.end, Ok(json!([3, null, 3, null])));
    assert_eq!(observed.actions, ["rollback 3: b", "pause 3: p", "resume 3: r"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_undoes_what_it_has_done() {
    let host = host();
    let acts = json!([act("pause", "p"), { "do": "sleep", "ms": 60_000 }, act("rollback", "never")]);
    let how = Scenario { events: vec![Event::Cancel], ..Scenario::default() };
    let observed = check_every_interruption(&host, None, acts, json!([act("resume", "undone")]), how).await;
    assert!(observed.cancelled);
    assert_eq!(observed.actions, ["pause 2: p", "resume 2: undone"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_after_a_claim_in_the_same_step_is_refused() {
    let host = host();
    let claim = json!({ "do": "cas", "key": "lock", "expected": null, "value": "1" });
    let step = |acts: Value| json!({ "do": "step", "name": "s", "attempts": 1, "acts": acts, "caught": true });
    let acts = json!([step(json!([claim, act("pause", "p")])), claim, step(json!([act("pause", "p")]))]);
    let observed = check_every_interruption(&host, None, acts, json!([]), Scenario::default()).await;
    let refused = json!({ "gave-up": "host/claim-in-step", "retryable": false });
    assert_eq!(observed.end, Ok(json!([refused, true, [null]])));
    assert_eq!(observed.actions, ["pause 2: p"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_arguments_are_refused_and_change_nothing() {
    let host = host();
    let tried = |action: &str, name: &str, note: &str, revision: Option<u64>, limit: u32| {
        let act = json!({
            "do": "operate", "action": action, "deployment": name, "note": note, "revision": revision, "limit": limit,
        });
        json!({ "do": "try", "act": act })
    };
    let (long, longest) = ("n".repeat(OPERATOR_NOTE_BYTES + 1), "n".repeat(OPERATOR_NOTE_BYTES));
    let names = ["", "A", "../operated", "operated\0", "operated ", &"a".repeat(100_000)];
    let mut acts: Vec<_> = names.iter().map(|name| tried("pause", name, "note", None, 1)).collect();
    acts.extend(names.iter().map(|name| tried("health", name, "", None, 1)));
    let notes = ["", "\n \t", &long, &"n".repeat(1_000_000)];
    acts.extend(notes.iter().map(|note| tried("recycle", "operated", note, None, 1)));
    acts.extend([0, 101, u32::MAX].map(|limit| tried("retry", "operated", "note", None, limit)));
    let bad = acts.len();
    acts.extend([0, 99, u64::MAX].map(|revision| tried("rollback", "operated", "note", Some(revision), 1)));
    let unknown = acts.len() - bad;
    acts.extend(["\0\u{1b}[31m\u{202e}", &longest].map(|note| tried("resume", "operated", note, None, 1)));
    let (observed, _) = once(&host, None, json!(acts), json!([]), Scenario::default()).await;
    let mut expected = vec![json!({ "code": "host/bad-argument" }); bad];
    expected.extend(vec![json!({ "code": "host/revision-not-found" }); unknown]);
    expected.extend(vec![json!({ "ok": null }); 2]);
    assert_eq!(observed.end, Ok(json!(expected)));
    assert_eq!(observed.actions, Vec::<String>::new());
}

async fn refusal(host: &TestHost, grants: Grants, deployment: &str) -> Failure {
    let module = host.module(tidemill_artifacts::durable()).await;
    let job = host.job(module).grant(grants);
    let act = json!({ "do": "operate", "action": "pause", "deployment": deployment, "note": "note" });
    match job.run(json!({ "acts": [act] })).await.outcome {
        Outcome::Failed { failure, cause: Cause::Guest } => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_needs_a_grant_for_itself_and_for_the_deployment() {
    let host = host();
    let grant = |action, deployment: &str| Grants {
        operator: Some(OperatorGrant { actions: vec![action], deployments: vec![deployment.parse().unwrap()] }),
        ..everything(None)
    };
    let line = "add to `[grants]`: operator = { actions = [";
    for (grants, added) in [
        (Grants::default(), r#""pause"], deployments = ["shop"] }"#),
        (grant(OperatorAction::Resume, "shop"), r#""resume", "pause"], deployments = ["shop"] }"#),
        (grant(OperatorAction::Pause, "other"), r#""pause"], deployments = ["other", "shop"] }"#),
    ] {
        let failure = refusal(&host, grants, "shop").await;
        assert_eq!(failure.code, "host/not-granted");
        assert!(failure.message.contains(&format!("{line}{added}")), "{}", failure.message);
    }
    let itself = refusal(&host, grant(OperatorAction::Pause, "tests"), "tests").await;
    assert_eq!(itself.code, "host/not-granted");
    assert!(itself.message.contains("itself") && !itself.message.contains(line), "{}", itself.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_of_the_operator_forbids_an_action_that_is_granted() {
    let policy = Policy::parse_toml("operator.actions = [\"resume\"]").unwrap();
    let host = TestHost::with(|config| config.policy = PolicyInForce::new(policy));
    let failure = refusal(&host, everything(None), "operated").await;
    assert_eq!(failure.code, "host/policy-denied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_check_may_not_act() {
    let host = TestHost::new();
    let mut job = host.hostile().await.grant(everything(None));
    job.export = Export::Health;
    job.context.config = r#"{"health":"operate"}"#.into();
    let Outcome::Output(output) = job.run(json!(null)).await.outcome else { panic!("it answers") };
    let status: Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(status["reason"], ["host/not-in-health-check"; 2].join(" "));
}
