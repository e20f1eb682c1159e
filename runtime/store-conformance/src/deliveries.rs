//! Claims about deliveries to hooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tidemill_core::delivery::{BODY_DEDUPE_MILLIS, BodyDigest, DeliveryOutcome, EVIDENCE_MAX};
use tidemill_core::hook::ObjectVersion;
use tidemill_core::ids::Owner;
use tidemill_core::run::{Export, Run, RunEvent, Trigger, TriggerKind};
use tidemill_core::{DeliveryId, RunId, Timestamp};
use tidemill_store::records::{
    AdmissionTerms, DeliveryAdmission, DeliveryBody, DeliveryFilter, DeliveryPolicy, DeliveryReceipt, DeliveryReplay,
    Evidence, FeedEvent, HookDelivery, KeyRotation, NewDelivery, NewEntry, NewRun, Operation, OperationState, Page,
    PageRequest, ReplayObstacle, RetryChange, RewrappedKey, RunCommit, SealedTable, Task,
};
use tidemill_store::{Store, StoreError};

use crate::fixture::{NOON, claim_one, deploy, done, failure, later, name, new_run, owner, success};
use crate::ledger::posting;

const DAY: u64 = 24 * 3_600_000;

fn arrived(of: &str, key: &str, body: &'static str, at: Timestamp) -> NewDelivery {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let delivery = HookDelivery {
        id: DeliveryId::new(at, NEXT.fetch_add(1, Ordering::Relaxed).into()),
        deployment: name(of),
        hook: "events".parse().expect("a name"),
        received_at: at,
        verified_by: "stripe".into(),
        key: key.into(),
        transmission: None,
        event: Some("charge.succeeded".into()),
        object: None,
        version: None,
        method: "POST".into(),
        path: "/hooks/a/events".into(),
        query: String::new(),
        headers: vec![("content-type".into(), "application/json".into())],
        body_bytes: body.len() as u64,
        digest: BodyDigest::of(body.as_bytes()),
        signed_digest: None,
    };
    let body = DeliveryBody { key: Bytes::new(), bytes: Bytes::from_static(body.as_bytes()) };
    NewDelivery { delivery, body, admission: DeliveryAdmission::Wait, body_dedupe_millis: None }
}

fn run_of(delivery: &HookDelivery, queue_max: u64) -> NewRun {
    let trigger = Trigger {
        kind: TriggerKind::Webhook,
        name: Some(delivery.hook.to_string()),
        id: Some(delivery.id.to_string()),
        ..Trigger::default()
    };
    let terms = AdmissionTerms { queue_max, ..AdmissionTerms::default() };
    let now = delivery.received_at;
    let of = delivery.deployment.as_str();
    NewRun { trigger, terms, now, not_before: now, export: Export::Webhook, input: Bytes::new(), ..new_run(of) }
}

fn with_run(new: NewDelivery, queue_max: u64) -> NewDelivery {
    let run = run_of(&new.delivery, queue_max);
    NewDelivery { admission: DeliveryAdmission::Run(Box::new(run)), ..new }
}

async fn receive(store: &Arc<dyn Store>, new: &NewDelivery) -> DeliveryReceipt {
    store.receive_delivery(new.clone()).await.expect("a receipt")
}

async fn queued(store: &Arc<dyn Store>, new: &NewDelivery) -> RunId {
    match receive(store, new).await {
        DeliveryReceipt::Queued(run) => run.id,
        other => panic!("{other:?}"),
    }
}

async fn outcome(store: &Arc<dyn Store>, id: DeliveryId) -> DeliveryOutcome {
    store.delivery(id).await.expect("a read").expect("a delivery").progress.outcome
}

async fn list(store: &Arc<dyn Store>, filter: DeliveryFilter) -> Vec<DeliveryId> {
    let page = store.deliveries(filter, PageRequest::first(100)).await.expect("a page");
    assert_eq!(page.next, None);
    page.items.iter().map(|one| one.delivery.id).collect()
}

async fn changes(store: &Arc<dyn Store>) -> Vec<String> {
    let entries = store.feed(0, 1_000).await.expect("the feed");
    let changes = entries.into_iter().filter_map(|entry| match entry.event {
        FeedEvent::Delivery { change, .. } => Some(change),
        _ => None,
    });
    changes.collect()
}

fn parked(owner: &Owner, run: &Run) -> RunCommit {
    let state = run.state.next(RunEvent::Parked(failure())).expect("a running run can be parked");
    RunCommit::of(owner.clone(), Run { state, ..run.clone() }, later(10))
}

pub(crate) async fn a_delivery_is_stored_with_the_request_for_its_run(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let new = with_run(arrived("a", "evt_1", "{}", NOON), 10);
    let id = new.delivery.id;
    let run = queued(&store, &new).await;
    let stored = store.delivery(id).await.expect("a read").expect("a delivery");
    assert_eq!(stored.delivery, new.delivery);
    let progress = stored.progress;
    assert_eq!((progress.outcome, progress.runs), (DeliveryOutcome::Stored, 1));
    assert_eq!((progress.first_run, progress.last_run, progress.settled_at), (Some(run), Some(run), None));
    assert_eq!(store.delivery_body(id).await, Ok(Some(new.body)));
    assert_eq!(store.delivery_runs(id).await, Ok(vec![run]));
    let trigger = store.run(run).await.expect("a read").expect("a run").trigger;
    assert_eq!((trigger.kind, trigger.id), (TriggerKind::Webhook, Some(id.to_string())));
    assert_eq!(store.input(run).await, Ok(None));
    let missing = store.receive_delivery(arrived("absent", "evt_1", "{}", NOON)).await;
    assert!(matches!(missing, Err(StoreError::NotFound { kind: "deployment", .. })));
}

pub(crate) async fn a_long_body_is_read_back_as_it_was(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let body = DeliveryBody { key: Bytes::from_static(b"key"), bytes: Bytes::from(vec![7; 100_000]) };
    let new = NewDelivery { body: body.clone(), ..arrived("a", "evt_1", "{}", NOON) };
    receive(&store, &new).await;
    assert_eq!(store.delivery_body(new.delivery.id).await, Ok(Some(body)));
    let used = store.usage().await.expect("the usage");
    assert!(used.iter().any(|(of, usage)| *of == name("a") && usage.payload_bytes == 100_004), "{used:?}");
}

pub(crate) async fn the_keys_of_sealed_bodies_are_wrapped_again(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let sealed = |n: u64, length| {
        let body = DeliveryBody { key: Bytes::from(vec![1; 90]), bytes: Bytes::from(vec![7; length]) };
        NewDelivery { body, ..arrived("a", &format!("evt_{n}"), "{}", later(n)) }
    };
    let (short, long, plain) = (sealed(1, 10), sealed(2, 10_000), arrived("a", "evt_3", "{}", later(3)));
    for new in [&short, &long, &plain] {
        receive(&store, new).await;
    }
    let keys = store.sealed_keys(None, 10, usize::MAX).await.expect("keys");
    let names: Vec<_> = keys.iter().map(|key| (key.place.table, key.name.clone(), key.wrapped.clone())).collect();
    let of = |new: &NewDelivery| (SealedTable::Deliveries, new.delivery.id.to_string(), new.body.key.clone());
    assert_eq!(names, [of(&short), of(&long)]);
    let rotation = KeyRotation {
        to: [2; 8],
        total: 2,
        visited: 2,
        wrapped: 2,
        damaged: 0,
        cursor: keys.last().map(|key| key.place.clone()),
        started_at: NOON,
        ended_at: None,
    };
    let to = |byte: u8| Bytes::from(vec![byte; 90]);
    let again =
        keys.iter().map(|key| RewrappedKey { place: key.place.clone(), before: key.wrapped.clone(), after: to(2) });
    let overtaken = RewrappedKey { place: keys[0].place.clone(), before: to(3), after: to(4) };
    store.rewrap([overtaken].into_iter().chain(again).collect(), rotation).await.expect("a commit");
    for new in [&short, &long] {
        let body = DeliveryBody { key: to(2), bytes: new.body.bytes.clone() };
        assert_eq!(store.delivery_body(new.delivery.id).await, Ok(Some(body)));
    }
}

pub(crate) async fn a_repeated_delivery_is_counted_and_makes_no_run(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    deploy(&store, "b").await;
    let first = with_run(arrived("a", "evt_1", "{}", NOON), 10);
    queued(&store, &first).await;
    // Redeliveries of one event can differ in their bodies.
    let again = with_run(arrived("a", "evt_1", "{\"pending_webhooks\":2}", later(5)), 10);
    let id = first.delivery.id;
    for _ in 0..2 {
        assert_eq!(receive(&store, &again).await, DeliveryReceipt::Duplicate(id));
    }
    let progress = store.delivery(id).await.expect("a read").expect("a delivery").progress;
    assert_eq!((progress.duplicates, progress.last_duplicate_at, progress.runs), (2, Some(later(5)), 1));
    assert_eq!(store.delivery(again.delivery.id).await, Ok(None));
    // The same id at another hook is another delivery.
    queued(&store, &with_run(arrived("b", "evt_1", "{}", NOON), 10)).await;
}

pub(crate) async fn a_body_under_an_unsigned_key_is_known_for_72_hours(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let unsigned = |key: &str, body, at| NewDelivery {
        body_dedupe_millis: Some(BODY_DEDUPE_MILLIS),
        ..arrived("a", key, body, at)
    };
    let first = unsigned("1", "{}", NOON);
    assert_eq!(receive(&store, &first).await, DeliveryReceipt::Waiting);
    let duplicate = DeliveryReceipt::Duplicate(first.delivery.id);
    assert_eq!(receive(&store, &unsigned("1", "{}", later(1))).await, duplicate);
    assert_eq!(receive(&store, &unsigned("2", "{}", later(BODY_DEDUPE_MILLIS - 1))).await, duplicate);
    // Another body does not block the id.
    assert_eq!(receive(&store, &unsigned("1", "[]", later(2))).await, DeliveryReceipt::Waiting);
    assert_eq!(receive(&store, &unsigned("3", "{}", later(BODY_DEDUPE_MILLIS))).await, DeliveryReceipt::Waiting);
    let late = later(2 * BODY_DEDUPE_MILLIS);
    assert_eq!(receive(&store, &unsigned("1", "{}", late)).await, duplicate);
}

pub(crate) async fn a_signed_text_with_several_readings_is_one_delivery(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let cut = |key: &str, body, signed: &str, at| {
        let mut new = arrived("a", key, body, at);
        new.body_dedupe_millis = Some(BODY_DEDUPE_MILLIS);
        new.delivery.signed_digest = Some(BodyDigest::of(signed.as_bytes()));
        new
    };
    let first = cut("1", "id=1&x=2", "id1x2", NOON);
    assert_eq!(receive(&store, &first).await, DeliveryReceipt::Waiting);
    // Another body and another id with the same signed text.
    let duplicate = DeliveryReceipt::Duplicate(first.delivery.id);
    assert_eq!(receive(&store, &cut("1x2", "id=1x2&", "id1x2", later(1))).await, duplicate);
    assert_eq!(receive(&store, &cut("1", "id=1&x=2&", "id1x2", later(2))).await, duplicate);
    assert_eq!(receive(&store, &cut("1", "id=1&x=3", "id1x3", later(3))).await, DeliveryReceipt::Waiting);
    // Retention forgets it by the same digest.
    assert_eq!(store.drop_backlog(&name("a"), later(4)).await, Ok(false));
    let all = DeliveryPolicy { settled_before: later(5), dead_before: later(5) };
    assert_eq!(store.expire_deliveries(all, 10, later(5)).await.expect("an expiry").deleted, 2);
    assert_eq!(receive(&store, &cut("1", "id=1&x=2", "id1x2", later(6))).await, DeliveryReceipt::Waiting);
}

pub(crate) async fn another_body_of_a_transmission_is_refused_and_kept(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let sent = |key: &str, body| {
        let mut new = arrived("a", key, body, NOON);
        new.delivery.transmission = Some("t-1".into());
        new
    };
    let first = sent("1", "{}");
    assert_eq!(receive(&store, &first).await, DeliveryReceipt::Waiting);
    assert_eq!(receive(&store, &sent("1", "{}")).await, DeliveryReceipt::Duplicate(first.delivery.id));
    for number in 0..EVIDENCE_MAX + 2 {
        let forged = sent("2", "{\"amount\":9}");
        let kept = number < EVIDENCE_MAX;
        assert_eq!(receive(&store, &forged).await, DeliveryReceipt::Refused { first: first.delivery.id, kept });
        let stored = store.delivery(forged.delivery.id).await.expect("a read");
        assert_eq!(stored.map(|one| one.progress.outcome), kept.then_some(DeliveryOutcome::Refused));
    }
    let refused = DeliveryFilter { outcomes: vec![DeliveryOutcome::Refused], ..DeliveryFilter::default() };
    assert_eq!(list(&store, refused).await.len(), EVIDENCE_MAX as usize);
    assert_eq!(store.backlogs().await, Ok(vec![(name("a"), 1)]));
}

pub(crate) async fn deliveries_wait_in_order_outside_a_full_queue(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let news: Vec<_> = (0..5).map(|n| with_run(arrived("a", &format!("evt_{n}"), "{}", later(9 - n)), 2)).collect();
    for (n, new) in news.iter().enumerate() {
        match receive(&store, new).await {
            DeliveryReceipt::Queued(_) => assert!(n < 2),
            DeliveryReceipt::Waiting => assert!(n >= 2),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.backlogs().await, Ok(vec![(name("a"), 3)]));
    let waiting = store.backlog(&name("a"), 10).await.expect("the backlog");
    let ids: Vec<_> = waiting.iter().map(|one| one.id).collect();
    assert_eq!(ids, news[2..].iter().map(|new| new.delivery.id).collect::<Vec<_>>());
    let runs = |of: &[HookDelivery]| of.iter().map(|one| (one.id, run_of(one, 2))).collect::<Vec<_>>();
    // The queue has no room.
    assert_eq!(store.admit_deliveries(&name("a"), runs(&waiting)).await, Ok(vec![]));
    claim_one(&store, &owner, "a").await;
    // There is room, but others wait before it.
    let last = with_run(arrived("a", "evt_9", "{}", later(10)), 2);
    assert_eq!(receive(&store, &last).await, DeliveryReceipt::Waiting);
    // Only the first can be admitted, and only once.
    assert_eq!(store.admit_deliveries(&name("a"), runs(&waiting[1..])).await, Ok(vec![]));
    let admitted = store.admit_deliveries(&name("a"), runs(&waiting)).await.expect("runs");
    assert_eq!(admitted.iter().map(|run| run.trigger.id.clone()).collect::<Vec<_>>(), [Some(ids[0].to_string())]);
    assert_eq!(store.admit_deliveries(&name("a"), runs(&waiting)).await, Ok(vec![]));
    assert_eq!(store.backlogs().await, Ok(vec![(name("a"), 3)]));
    assert_eq!(outcome(&store, ids[0]).await, DeliveryOutcome::Stored);
    assert_eq!(store.delivery_runs(ids[0]).await, Ok(vec![admitted[0].id]));
}

pub(crate) async fn the_outcome_of_a_delivery_follows_its_run(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let good = with_run(arrived("a", "evt_1", "{}", NOON), 10);
    queued(&store, &good).await;
    assert_eq!(outcome(&store, good.delivery.id).await, DeliveryOutcome::Stored);
    let run = claim_one(&store, &owner, "a").await;
    assert!(run.input.is_empty());
    assert_eq!(outcome(&store, good.delivery.id).await, DeliveryOutcome::Running);
    done(&store, success(&owner, &run.run)).await;
    assert_eq!(outcome(&store, good.delivery.id).await, DeliveryOutcome::Done);

    let bad = with_run(arrived("a", "evt_2", "{}", NOON), 10);
    let id = queued(&store, &bad).await;
    let run = claim_one(&store, &owner, "a").await.run;
    done(&store, parked(&owner, &run)).await;
    let progress = store.delivery(bad.delivery.id).await.expect("a read").expect("a delivery").progress;
    assert_eq!((progress.outcome, progress.settled_at), (DeliveryOutcome::Dead, Some(later(10))));
    let retry = RetryChange { component: None, from_start: false, now: later(20) };
    store.retry_run(id, retry).await.expect("a retry");
    let progress = store.delivery(bad.delivery.id).await.expect("a read").expect("a delivery").progress;
    assert!(progress.outcome.is_open() && progress.settled_at.is_none());
    store.request_cancel(id, true, later(30)).await.expect("a cancellation");
    assert_eq!(outcome(&store, bad.delivery.id).await, DeliveryOutcome::Failed);
    assert_eq!(changes(&store).await, ["stored", "stored", "dead", "failed"]);
}

pub(crate) async fn a_delivery_that_makes_no_run_is_settled_at_once(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    for made in [DeliveryOutcome::Ignored, DeliveryOutcome::Test] {
        let admission = DeliveryAdmission::NoRun(made);
        let new = NewDelivery { admission, ..arrived("a", made.as_str(), "{}", NOON) };
        assert_eq!(receive(&store, &new).await, DeliveryReceipt::NoRun);
        let progress = store.delivery(new.delivery.id).await.expect("a read").expect("a delivery").progress;
        assert_eq!((progress.outcome, progress.settled_at, progress.runs), (made, Some(NOON), 0));
    }
    assert_eq!(store.backlogs().await, Ok(vec![]));
    assert_eq!(changes(&store).await, ["ignored", "test"]);
}

pub(crate) async fn a_settled_delivery_is_replayed_with_another_run(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let (good, waiting) = (with_run(arrived("a", "evt_1", "{}", NOON), 1), arrived("a", "evt_2", "{}", NOON));
    let first = queued(&store, &good).await;
    receive(&store, &waiting).await;
    let run = claim_one(&store, &owner, "a").await.run;
    done(&store, success(&owner, &run)).await;
    let unknown = arrived("a", "evt_3", "{}", NOON);
    let task = Task::Schedules { pause: None, deployment: None, labels: vec![] };
    let operation = store.add_operation(Operation::new("op_1", task, NOON)).await.expect("an operation");
    let replay = DeliveryReplay {
        runs: [&good, &waiting, &unknown].map(|new| (new.delivery.id, run_of(&new.delivery, 10))).into(),
        operation: Some(Operation { cursor: Some(vec![1]), ..operation }),
        now: later(50),
    };
    let result = store.replay_deliveries(replay.clone()).await.expect("a replay");
    let second = result.runs[0].id;
    assert_eq!(
        result.skipped,
        [(waiting.delivery.id, ReplayObstacle::Open), (unknown.delivery.id, ReplayObstacle::Missing)]
    );
    let stored = store.operation("op_1").await.expect("a read").expect("an operation");
    assert_eq!((stored.matched, stored.done, stored.failed, stored.cursor), (3, 1, 2, Some(vec![1])));
    assert_eq!(store.delivery_runs(good.delivery.id).await, Ok(vec![first, second]));
    assert_eq!(outcome(&store, good.delivery.id).await, DeliveryOutcome::Stored);
    // The end of an earlier run no longer counts, and the latest run decides.
    let run = claim_one(&store, &owner, "a").await.run;
    assert_eq!(run.id, second);
    done(&store, parked(&owner, &run)).await;
    assert_eq!(outcome(&store, good.delivery.id).await, DeliveryOutcome::Dead);
    // A cancelled operation replays nothing more.
    store.cancel_operation("op_1", later(60)).await.expect("a cancellation");
    store.request_cancel(second, true, later(60)).await.expect("a cancellation");
    let result = store.replay_deliveries(replay).await.expect("a replay");
    assert_eq!(result.operation.map(|operation| operation.state), Some(OperationState::Cancelled));
    assert!(result.runs.is_empty() && result.skipped.is_empty());
}

pub(crate) async fn a_delivery_that_is_evidence_is_kept_longer(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let [kept, replayed, plain] = ["evt_1", "evt_2", "evt_3"].map(|key| with_run(arrived("a", key, "{}", NOON), 9));
    let post = async |of: &NewDelivery, id: &str, now: Timestamp| {
        let run = claim_one(&store, &owner, "a").await.run;
        let mut commit = success(&owner, &run);
        let evidence = Evidence { delivery: Some(of.delivery.id.to_string()), ..Evidence::default() };
        commit.postings = vec![NewEntry { evidence, ..posting(&run, id, 5) }];
        (commit.keep_evidence_millis, commit.now) = (400 * DAY, now);
        done(&store, commit).await;
    };
    for (of, id) in [(&kept, "1"), (&replayed, "2")] {
        queued(&store, of).await;
        post(of, id, NOON).await;
    }
    queued(&store, &plain).await;
    let run = claim_one(&store, &owner, "a").await.run;
    done(&store, success(&owner, &run)).await;
    let expire = async |now: Timestamp| {
        let before = Timestamp::from_millis(now.as_millis() - 30 * DAY);
        let policy = DeliveryPolicy { settled_before: before, dead_before: before };
        let deleted = store.expire_deliveries(policy, 9, now).await.expect("an expiry").deleted;
        (deleted, store.expire_evidence(now, 9).await.expect("an expiry").removed)
    };
    let body = async |of: &NewDelivery| store.delivery_body(of.delivery.id).await.expect("a read").is_some();
    assert_eq!(expire(later(31 * DAY)).await, (1, 0));
    assert_eq!((body(&kept).await, body(&replayed).await, body(&plain).await), (true, true, false));
    // A replay posts again, and makes the delivery evidence for longer.
    let again = later(100 * DAY);
    let runs = vec![(replayed.delivery.id, run_of(&replayed.delivery, 9))];
    store.replay_deliveries(DeliveryReplay { runs, operation: None, now: again }).await.expect("a replay");
    post(&replayed, "3", again).await;
    assert_eq!(expire(NOON.plus_millis(400 * DAY)).await, (0, 2));
    assert_eq!((body(&kept).await, body(&replayed).await), (false, true));
    assert_eq!(expire(again.plus_millis(399 * DAY)).await, (0, 0));
    assert_eq!(expire(again.plus_millis(400 * DAY)).await, (0, 1));
    assert!(!body(&replayed).await);
    assert_eq!(expire(Timestamp::MAX).await, (0, 0));
}

pub(crate) async fn a_delivery_has_the_entries_of_its_runs(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let (first, other) =
        (with_run(arrived("a", "evt_1", "{}", NOON), 9), with_run(arrived("a", "evt_2", "{}", NOON), 9));
    queued(&store, &first).await;
    let run = claim_one(&store, &owner, "a").await.run;
    let mut commit = success(&owner, &run);
    commit.postings = vec![posting(&run, "1", 5), posting(&run, "2", 6)];
    done(&store, commit).await;
    queued(&store, &other).await;
    let unrelated = claim_one(&store, &owner, "a").await.run;
    let mut commit = success(&owner, &unrelated);
    commit.postings = vec![posting(&unrelated, "3", 7)];
    done(&store, commit).await;
    let runs = vec![(first.delivery.id, run_of(&first.delivery, 9))];
    store.replay_deliveries(DeliveryReplay { runs, operation: None, now: later(20) }).await.expect("a replay");
    let again = claim_one(&store, &owner, "a").await.run;
    let mut commit = success(&owner, &again);
    commit.postings = vec![posting(&again, "4", 8)];
    done(&store, commit).await;
    let ids = |of: &[(&Run, &str)]| of.iter().map(|(run, id)| format!("{}-{id}", run.id)).collect::<Vec<_>>();
    let all = ids(&[(&run, "1"), (&run, "2"), (&again, "4")]);
    assert_eq!(store.delivery_entries(first.delivery.id, 9).await, Ok(all.clone()));
    assert_eq!(store.delivery_entries(first.delivery.id, 1).await, Ok(all[..1].to_vec()));
    assert_eq!(store.delivery_entries(other.delivery.id, 9).await, Ok(ids(&[(&unrelated, "3")])));
    assert_eq!(store.delivery_entries(DeliveryId::new(NOON, 9_999), 9).await, Ok(vec![]));
}

pub(crate) async fn a_list_of_deliveries_finds_each_once(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    deploy(&store, "b").await;
    let mut ids = Vec::new();
    for n in 0..10_u64 {
        let of = if n.is_multiple_of(2) { "a" } else { "b" };
        let mut new = arrived(of, &format!("evt_{n}"), "{}", later(n));
        new.delivery.object = (n < 4).then(|| "ch_1".to_owned());
        new.delivery.version = Some(ObjectVersion::Number(7));
        if n.is_multiple_of(5) {
            new.delivery.hook = "other".parse().expect("a name");
        }
        if n == 8 {
            new.admission = DeliveryAdmission::NoRun(DeliveryOutcome::Ignored);
        }
        receive(&store, &new).await;
        ids.insert(0, new.delivery.id);
    }
    let of = |indexes: &[usize]| indexes.iter().map(|n| ids[9 - n]).collect::<Vec<_>>();
    let any = DeliveryFilter::default();
    let a = DeliveryFilter { deployment: Some(name("a")), ..any.clone() };
    let events = Some("events".parse().expect("a name"));
    let object = Some("ch_1".to_owned());
    for (filter, found) in [
        (any.clone(), of(&[9, 8, 7, 6, 5, 4, 3, 2, 1, 0])),
        (a.clone(), of(&[8, 6, 4, 2, 0])),
        (DeliveryFilter { hook: events.clone(), ..a.clone() }, of(&[8, 6, 4, 2])),
        (DeliveryFilter { hook: events.clone(), ..any.clone() }, of(&[9, 8, 7, 6, 4, 3, 2, 1])),
        (DeliveryFilter { outcomes: vec![DeliveryOutcome::Ignored], ..a.clone() }, of(&[8])),
        (DeliveryFilter { outcomes: vec![DeliveryOutcome::Stored], ..a.clone() }, of(&[6, 4, 2, 0])),
        (DeliveryFilter { outcomes: vec![DeliveryOutcome::Running], ..any.clone() }, of(&[])),
        (DeliveryFilter { object: object.clone(), ..a.clone() }, of(&[2, 0])),
        (DeliveryFilter { object, ..any.clone() }, of(&[3, 2, 1, 0])),
        (DeliveryFilter { since: Some(later(2)), until: Some(later(6)), ..a.clone() }, of(&[4, 2])),
        (DeliveryFilter { since: Some(later(2)), until: Some(later(4)), ..any.clone() }, of(&[3, 2])),
        (DeliveryFilter { key: Some("evt_4".into()), hook: events, ..a.clone() }, of(&[4])),
        (DeliveryFilter { key: Some("evt_4".into()), ..any.clone() }, of(&[4])),
        (DeliveryFilter { key: Some("evt_5".into()), ..a.clone() }, of(&[])),
    ] {
        assert_eq!(list(&store, filter.clone()).await, found, "{filter:?}");
    }
    let (mut paged, mut page) = (Vec::new(), PageRequest::first(2));
    loop {
        let Page { items, next } = store.deliveries(a.clone(), page).await.expect("a page");
        paged.extend(items.iter().map(|one| one.delivery.id));
        match next {
            Some(cursor) => page = PageRequest { cursor: Some(cursor), limit: 2 },
            None => break,
        }
    }
    assert_eq!(paged, of(&[8, 6, 4, 2, 0]));
}

pub(crate) async fn a_settled_delivery_expires_completely(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let owner = owner(&store).await;
    let usage = |store: Arc<dyn Store>| async move { store.usage().await.expect("the usage")[0].1.payload_bytes };
    let (done_one, dead) = (with_run(arrived("a", "1", "{}", NOON), 10), with_run(arrived("a", "2", "[]", NOON), 10));
    queued(&store, &done_one).await;
    queued(&store, &dead).await;
    let first = claim_one(&store, &owner, "a").await.run;
    done(&store, success(&owner, &first)).await;
    let second = claim_one(&store, &owner, "a").await.run;
    done(&store, parked(&owner, &second)).await;
    let open = arrived("a", "3", "{\"open\":1}", NOON);
    receive(&store, &open).await;
    let at = |now: Timestamp| {
        let before = |days: u64| Timestamp::from_millis(now.as_millis().saturating_sub(days * DAY));
        DeliveryPolicy { settled_before: before(30), dead_before: before(23) }
    };
    let expire = |now| {
        let store = Arc::clone(&store);
        async move {
            let expired = store.expire_deliveries(at(now), 100, now).await.expect("an expiry");
            (expired.deleted, expired.announced, expired.more)
        }
    };
    assert_eq!(expire(later(22 * DAY)).await, (0, 0, false));
    assert_eq!(expire(later(24 * DAY)).await, (0, 1, false));
    assert_eq!(expire(later(25 * DAY)).await, (0, 0, false));
    assert_eq!(expire(later(31 * DAY)).await, (2, 0, false));
    assert_eq!(list(&store, DeliveryFilter::default()).await, [open.delivery.id]);
    assert_eq!(store.delivery_body(done_one.delivery.id).await, Ok(None));
    assert!(changes(&store).await.ends_with(&["expires".to_owned()]));
    // Only the input of the open one is left: its body.
    assert_eq!(usage(Arc::clone(&store)).await, 1 + open.body.bytes.len() as u64 + "null".len() as u64);
    // Its id is free again.
    assert_eq!(receive(&store, &arrived("a", "1", "{}", later(31 * DAY))).await, DeliveryReceipt::Waiting);
}

pub(crate) async fn a_deployment_with_waiting_deliveries_is_not_deleted(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let new = arrived("a", "1", "{}", NOON);
    receive(&store, &new).await;
    assert_eq!(store.delete_deployment(&name("a"), NOON).await, Err(StoreError::UnendedRuns { unended: 1 }));
    assert_eq!(store.drop_backlog(&name("a"), later(1)).await, Ok(false));
    assert_eq!(outcome(&store, new.delivery.id).await, DeliveryOutcome::Failed);
    assert_eq!(store.backlogs().await, Ok(vec![]));
    assert_eq!(store.delete_deployment(&name("a"), NOON).await, Ok(()));
}
