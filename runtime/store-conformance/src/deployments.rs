//! Claims about deployments and the epochs of nodes.

use std::sync::Arc;

use bytes::Bytes;
use tidemill_core::Revision;
use tidemill_core::breaker::BreakerMode;
use tidemill_core::run::RunState;

use crate::fixture::{NOON, claimed_run, deploy, deploy_with, digest, name, new_run, owner, request, success};
use tidemill_store::records::{BreakerDecision, FeedEvent, PageRequest, PutDeployment, StateWrite, Version};
use tidemill_store::{Store, StoreError};

pub(crate) async fn each_change_makes_a_revision_and_a_repeated_one_makes_none(store: Arc<dyn Store>) {
    let first = deploy_with(&store, "a", "{}", vec![]).await;
    assert_eq!(first.revision, Revision::new(1));
    assert_eq!(deploy_with(&store, "a", "{}", vec![]).await, first);
    let second = deploy_with(&store, "a", r#"{"priority":7}"#, vec![]).await;
    assert_eq!(second.revision, Revision::new(2));
    let all = store.revisions(&name("a"), PageRequest::first(10)).await.expect("a list").items;
    assert_eq!(all, [second.clone(), first.clone()]);
    assert_eq!(store.revision(&name("a"), Revision::new(1)).await, Ok(Some(first)));
    assert_eq!(store.deployment(&name("a")).await, Ok(Some(second)));
}

pub(crate) async fn an_unexpected_revision_is_refused(store: Arc<dyn Store>) {
    let first = deploy(&store, "a").await;
    let put = |expected| PutDeployment {
        name: name("a"),
        expected: Some(expected),
        component: digest(),
        manifest: r#"{"priority":9}"#.into(),
        schedules: vec![],
        subscriptions: vec![],
        budgets: vec![],
        incident: None,
        now: NOON,
    };
    for wrong in [None, Some(Revision::new(2))] {
        let refused = store.put_deployment(put(wrong)).await;
        assert_eq!(refused, Err(StoreError::RevisionChanged { present: Some(Revision::new(1)) }));
    }
    assert_eq!(store.deployment(&name("a")).await, Ok(Some(first)));
    store.put_deployment(put(Some(Revision::new(1)))).await.expect("the present revision was named");
}

pub(crate) async fn a_deleted_deployment_leaves_no_state_to_its_successor(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let run = claimed_run(&store, &owner, "a").await;
    let mut commit = success(&owner, &run);
    commit.writes = vec![StateWrite { key: "n".into(), value: Some(Bytes::from_static(b"1")) }];
    commit.watermark = Some(NOON);
    crate::fixture::done(&store, commit).await;
    store.delete_deployment(&name("a"), NOON).await.expect("no run is open");
    assert_eq!(store.deployment(&name("a")).await, Ok(None));
    assert_eq!(deploy(&store, "a").await.revision, Revision::new(1));
    assert_eq!(store.state(&name("a"), "n").await.expect("a read").version, Version::ABSENT);
    assert_eq!(store.watermark(&name("a")).await, Ok(None));
    assert!(store.run(run.id).await.expect("a read").is_some(), "its runs stay");
}

pub(crate) async fn a_deployment_with_running_runs_is_not_deleted(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let queued = request(&store, new_run("a")).await;
    let refused = store.delete_deployment(&name("a"), NOON).await;
    assert_eq!(refused, Err(StoreError::UnendedRuns { unended: 1 }));
    let running = crate::fixture::claim_one(&store, &owner, "a").await.run;
    assert_eq!(running.id, queued.id);
    let waiting = request(&store, new_run("a")).await;
    let (_, caused) = store.end_waiting(&name("a"), None, NOON).await.expect("the waiting ones end");
    assert_eq!(caused.settled.iter().map(|run| run.id).collect::<Vec<_>>(), [waiting.id]);
    assert_eq!(
        store.delete_deployment(&name("a"), NOON).await,
        Err(StoreError::UnendedRuns { unended: 1 }),
        "the running one is its owner's to stop"
    );
    let cancelled = store.run(waiting.id).await.expect("a read").expect("a run");
    assert_eq!(cancelled.state, RunState::Cancelled);
    crate::fixture::done(&store, success(&owner, &running)).await;
    store.delete_deployment(&name("a"), NOON).await.expect("no run is open");
}

pub(crate) async fn a_decision_about_a_breaker_is_kept_until_the_next_one(store: Arc<dyn Store>) {
    let decision = |mode, note: &str| BreakerDecision { mode, since: NOON, note: note.to_owned() };
    let refused = store.decide_breaker(&name("b"), decision(BreakerMode::ForcedOpen, "")).await;
    assert!(matches!(refused, Err(StoreError::NotFound { kind: "deployment", .. })), "{refused:?}");
    deploy(&store, "b").await;
    deploy(&store, "a").await;
    assert_eq!(store.breaker_decisions().await, Ok(vec![]));
    let (open, closed) = (decision(BreakerMode::ForcedOpen, "moving"), decision(BreakerMode::ForcedClosed, "it works"));
    for (of, decided) in [("b", &open), ("a", &open), ("a", &closed)] {
        store.decide_breaker(&name(of), decided.clone()).await.expect("a decision");
    }
    deploy_with(&store, "a", r#"{"priority":7}"#, vec![]).await;
    assert_eq!(store.breaker_decisions().await, Ok(vec![(name("a"), closed), (name("b"), open)]));
    let feed = store.feed(0, 100).await.expect("a feed");
    let announced: Vec<_> = feed
        .iter()
        .filter_map(|entry| match &entry.event {
            FeedEvent::Breaker { deployment, state, reason, .. } => {
                Some((deployment.as_str(), state.as_str(), reason.as_str()))
            }
            _ => None,
        })
        .collect();
    let expected = [("b", "forced-open", "moving"), ("a", "forced-open", "moving"), ("a", "forced-closed", "it works")];
    assert_eq!(announced, expected);
    store.delete_deployment(&name("a"), NOON).await.expect("no run is open");
    deploy(&store, "a").await;
    let left = store.breaker_decisions().await.expect("a list");
    assert_eq!(left.iter().map(|(of, _)| of.as_str()).collect::<Vec<_>>(), ["b"], "a successor starts without one");
}

pub(crate) async fn epochs_of_a_node_are_counted(store: Arc<dyn Store>) {
    let (first, second) = (owner(&store).await, owner(&store).await);
    assert_eq!(first.node, second.node);
    assert!(first.epoch < second.epoch);
}
