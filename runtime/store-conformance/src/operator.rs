//! Claims about actions of runs on other deployments: each takes effect once, and none overrides a
//! person.

use std::sync::Arc;

use tidemill_core::operator::{OPERATOR_ACTIONS_MAX, OperatorAction};
use tidemill_core::run::{Run, RunState};
use tidemill_core::{Code, Failure, Revision, RunId};

use crate::fixture::{NOON, a_and_b, claimed_run, deploy, deploy_with, digest, done, later, name, owner, success};
use tidemill_store::records::{
    FeedEvent, OperatorAnswer, OperatorCall, OperatorChange, Pause, PutDeployment, RetentionPolicy,
};
use tidemill_store::{Store, StoreError};

fn call(number: u128, key: u8, action: OperatorAction) -> OperatorCall {
    OperatorCall {
        run: RunId::new(NOON, number),
        generation: 1,
        key: [key; 16],
        by: name("runbook"),
        deployment: name("a"),
        action,
        note: "it fails".to_owned(),
    }
}

async fn is_paused(store: &Arc<dyn Store>) -> bool {
    store.deployment(&name("a")).await.expect("a read").expect("a deployment").paused.is_some()
}

async fn actions(store: &Arc<dyn Store>) -> Vec<(OperatorAction, RunId, String, Option<u32>)> {
    let feed = store.feed(0, 1_000).await.expect("a feed");
    let acted = feed.into_iter().filter_map(|entry| match entry.event {
        FeedEvent::Operator { action, run, note, runs, .. } => Some((action, run, note, runs)),
        _ => None,
    });
    acted.collect()
}

pub(crate) async fn a_repeated_call_changes_nothing_and_returns_its_first_answer(store: Arc<dyn Store>) {
    let pause = call(1, 1, OperatorAction::Pause);
    let refused = store.operate(pause.clone(), OperatorChange::Pause, NOON).await;
    assert!(matches!(refused, Err(StoreError::NotFound { kind: "deployment", .. })), "{refused:?}");
    assert_eq!(store.operator_answer(&pause).await, Ok(None));
    deploy(&store, "a").await;
    let first = store.operate(pause.clone(), OperatorChange::Pause, NOON).await.expect("a pause");
    assert_eq!(first.answer, OperatorAnswer::Done);
    let paused = first.deployment.expect("it changed").paused;
    assert_eq!(paused, Some(Pause { since: NOON, note: "it fails".to_owned() }));
    store.pause_deployment(&name("a"), None, None, NOON).await.expect("a person resumes it");
    let again = store.operate(pause.clone(), OperatorChange::Pause, later(1)).await.expect("the first answer");
    assert_eq!((again.answer, again.deployment), (OperatorAnswer::Done, None));
    assert!(!is_paused(&store).await, "the repetition does not pause it again");
    assert_eq!(store.operator_answer(&pause).await, Ok(Some(OperatorAnswer::Done)));

    // Another key is another call.
    store.operate(call(1, 2, OperatorAction::Pause), OperatorChange::Pause, NOON).await.expect("a pause");
    assert!(is_paused(&store).await);
}

pub(crate) async fn a_run_ends_the_pause_of_a_run_and_never_that_of_a_person(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let by_hand = |note: &str| Some(Pause { since: NOON, note: note.to_owned() });
    store.operate(call(1, 1, OperatorAction::Pause), OperatorChange::Pause, NOON).await.expect("a pause");
    assert_eq!(store.paused_by(&name("a")).await, Ok(Some(RunId::new(NOON, 1))));
    deploy_with(&store, "a", r#"{"priority":7}"#, vec![]).await;
    store.operate(call(2, 1, OperatorAction::Pause), OperatorChange::Pause, NOON).await.expect("another run");
    assert_eq!(store.paused_by(&name("a")).await, Ok(Some(RunId::new(NOON, 2))));
    store.operate(call(1, 2, OperatorAction::Resume), OperatorChange::Resume, NOON).await.expect("it was a run");
    assert!(!is_paused(&store).await);
    assert_eq!(store.paused_by(&name("a")).await, Ok(None));

    // The pause of a person stays, also if a run paused before them.
    store.operate(call(1, 3, OperatorAction::Pause), OperatorChange::Pause, NOON).await.expect("a pause");
    store.pause_deployment(&name("a"), by_hand("hands off"), None, NOON).await.expect("a pause");
    assert_eq!(store.paused_by(&name("a")).await, Ok(None));
    let changes = [
        (OperatorAction::Pause, OperatorChange::Pause),
        (OperatorAction::Resume, OperatorChange::Resume),
        (OperatorAction::Retry, OperatorChange::Retry(vec![])),
        (OperatorAction::Recycle, OperatorChange::Nothing),
    ];
    for (key, (action, change)) in (10..).zip(changes) {
        let refused = store.operate(call(1, key, action), change, NOON).await;
        let Err(StoreError::EffectImpossible { code: Code::OperatorRefused, detail }) = refused else {
            panic!("{action}: {refused:?}")
        };
        assert!(detail.contains("hands off"), "{detail}");
        assert_eq!(store.operator_answer(&call(1, key, action)).await, Ok(None), "a refusal is not an answer");
    }
    store.pause_deployment(&name("a"), None, None, NOON).await.expect("a person resumes it");
    store.operate(call(1, 11, OperatorAction::Resume), OperatorChange::Resume, NOON).await.expect("it is not paused");

    // A deleted deployment leaves nothing to its successor.
    store.operate(call(1, 12, OperatorAction::Pause), OperatorChange::Pause, NOON).await.expect("a pause");
    store.delete_deployment(&name("a"), NOON).await.expect("no run is open");
    deploy(&store, "a").await;
    assert_eq!(store.paused_by(&name("a")).await, Ok(None));
}

pub(crate) async fn a_call_creates_a_revision_once(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    deploy_with(&store, "a", r#"{"priority":7}"#, vec![]).await;
    let put = || {
        OperatorChange::Put(Box::new(PutDeployment {
            name: name("a"),
            expected: Some(Some(Revision::new(2))),
            component: digest(),
            manifest: "{}".into(),
            schedules: vec![],
            subscriptions: vec![],
            budgets: vec![],
            incident: None,
            now: NOON,
        }))
    };
    let back = call(1, 1, OperatorAction::Rollback);
    for _ in 0..2 {
        let result = store.operate(back.clone(), put(), NOON).await.expect("a revision");
        assert_eq!(result.answer, OperatorAnswer::Revision(Revision::new(3)));
    }
    let other = store.operate(call(1, 2, OperatorAction::Rollback), put(), NOON).await;
    assert_eq!(
        other.expect_err("another revision is present"),
        StoreError::RevisionChanged { present: Some(Revision::new(3)) }
    );
    let present = store.deployment(&name("a")).await.expect("a read").expect("a deployment");
    assert_eq!((present.revision, &*present.manifest), (Revision::new(3), "{}"));
    assert_eq!(actions(&store).await.len(), 1);
}

pub(crate) async fn a_call_retries_parked_runs_of_its_deployment_only(store: Arc<dyn Store>) {
    let owner = a_and_b(&store).await;
    let park = async |of: &str| -> Run {
        let run = claimed_run(&store, &owner, of).await;
        let mut commit = success(&owner, &run);
        commit.run.state = RunState::Parked(Failure::new("no-luck", "it did not work"));
        (commit.output, commit.run.ended_at) = (None, None);
        done(&store, commit).await;
        run
    };
    let (first, second, other) = (park("a").await, park("a").await, park("b").await);
    let ended = claimed_run(&store, &owner, "a").await;
    done(&store, success(&owner, &ended)).await;
    let unknown = RunId::new(NOON, u128::MAX);
    let runs = vec![first.id, other.id, ended.id, unknown, second.id];
    let retry = call(1, 1, OperatorAction::Retry);
    let result = store.operate(retry.clone(), OperatorChange::Retry(runs.clone()), NOON).await.expect("retries");
    assert_eq!(result.answer, OperatorAnswer::Runs(2));
    assert_eq!(result.caused.ready, [name("a")]);
    let state = async |run: &Run| store.run(run.id).await.expect("a read").expect("a run").state;
    for run in [&first, &second] {
        assert!(matches!(state(run).await, RunState::Queued { .. }));
    }
    assert_eq!(state(&other).await.name(), "parked");
    assert_eq!(state(&ended).await, RunState::Succeeded);

    let again = store.operate(retry, OperatorChange::Retry(runs), NOON).await.expect("the first answer");
    assert_eq!((again.answer, again.caused.ready.len()), (OperatorAnswer::Runs(2), 0));
    let none = store.operate(call(1, 2, OperatorAction::Retry), OperatorChange::Retry(vec![first.id]), NOON).await;
    assert_eq!(none.expect("nothing is parked").answer, OperatorAnswer::Runs(0));
    assert_eq!(actions(&store).await.len(), 1, "what changes nothing is not announced");
}

pub(crate) async fn the_calls_of_a_generation_are_bounded_and_the_next_one_has_none(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let numbered = |number: usize, generation: u32| {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&(number as u64).to_le_bytes());
        OperatorCall { run: run.id, generation, key, ..call(1, 0, OperatorAction::Recycle) }
    };
    for number in 0..OPERATOR_ACTIONS_MAX {
        store.operate(numbered(number, 1), OperatorChange::Nothing, NOON).await.expect("there is room");
    }
    let over = store.operate(numbered(OPERATOR_ACTIONS_MAX, 1), OperatorChange::Nothing, NOON).await;
    assert!(matches!(over, Err(StoreError::OverBound { code: Code::OperatorRefused, .. })), "{over:?}");
    assert_eq!(store.operator_answer(&numbered(0, 1)).await, Ok(Some(OperatorAnswer::Done)));
    store.operate(numbered(0, 1), OperatorChange::Nothing, NOON).await.expect("it is a repetition");

    store.operate(numbered(0, 2), OperatorChange::Nothing, NOON).await.expect("another generation");
    assert_eq!(store.operator_answer(&numbered(0, 1)).await, Ok(None));
    assert_eq!(store.operator_answer(&numbered(0, 2)).await, Ok(Some(OperatorAnswer::Done)));

    // Retention removes the answers with the run.
    done(&store, success(&owner, &run)).await;
    let policy = RetentionPolicy { ended_before: Some(later(1_000_000)), ..RetentionPolicy::default() };
    assert_eq!(store.expire(policy, 10).await.expect("a pass").runs, 1);
    assert_eq!(store.operator_answer(&numbered(0, 2)).await, Ok(None));
}

pub(crate) async fn an_action_is_on_the_feed_with_its_run(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let steps = [
        (OperatorAction::Resume, OperatorChange::Resume),
        (OperatorAction::Pause, OperatorChange::Pause),
        (OperatorAction::Resume, OperatorChange::Resume),
        (OperatorAction::Recycle, OperatorChange::Nothing),
    ];
    for (key, (action, change)) in (1..).zip(steps) {
        store.operate(call(7, key, action), change, NOON).await.expect("an action");
    }
    let acted = |action| (action, RunId::new(NOON, 7), "it fails".to_owned(), None);
    // The first one found nothing to resume.
    let expected = [OperatorAction::Pause, OperatorAction::Resume, OperatorAction::Recycle].map(acted);
    assert_eq!(actions(&store).await, expected);
    let feed = store.feed(0, 1_000).await.expect("a feed");
    let changes: Vec<_> = feed
        .iter()
        .filter_map(|entry| match &entry.event {
            FeedEvent::Deployment { change, .. } => Some(change.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(changes, ["put", "paused", "resumed"]);
}
