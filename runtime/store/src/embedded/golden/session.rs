//! All rows of a store after a scripted session: keys, values and internal records.

use std::fmt::Write as _;

use bytes::Bytes;
use tidemill_artifacts::golden::hex;
use tidemill_core::breaker::BreakerMode;
use tidemill_core::delivery::{BodyDigest, DeliveryOutcome};
use tidemill_core::flow::Rate;
use tidemill_core::health::{HealthStatus, HealthTransition};
use tidemill_core::ids::Owner;
use tidemill_core::journal::JournalChange;
use tidemill_core::lane::Lane;
use tidemill_core::money::{EntryCall, EntryKind};
use tidemill_core::run::{Export, Run, RunEvent, Trigger, TriggerKind, Wait, WaitCondition};
use tidemill_core::schedule::Overlap;
use tidemill_core::topics::SubscriptionStart;
use tidemill_core::{ComponentDigest, EventId, Failure, Fuel, Revision, Timestamp};

use super::{SEED, at, golden, healing, hook_delivery, run};
use crate::embedded::tables::{
    ACCOUNTS, ALL, CANCELS, ENTRIES, ENTRIES_BY_STREAM, EXTERNAL_IDS, PURGES, STREAMS, UNNAMED,
};
use crate::embedded::{EmbeddedStore, fixture};
use crate::kv::{KeyRange, Table};
use crate::records::{
    AdmissionLimits, AdmissionTerms, BreakerDecision, BudgetLimit, ClosedPeriod, CommitStart, Component, DebounceTerms,
    DeliveryAdmission, DeliveryBody, DeliveryReceipt, DeliveryReplay, FailedPart, FailureRecord, FindingClosure,
    FiringCommit, HookDelivery, KeyRotation, LedgerLeg, LogLevel, LogLine, MasterKeyRecord, ModuleVersion, NewDelivery,
    NewEntry, NewEvent, NewFiring, NewPublication, NewRun, NewSignal, NominalRange as Times, Operation, PutDeployment,
    PutSecret, RateRecord, RunCommit, RunCommitResult, RunRequestResult, ScheduleChange, SealedValue, SecretEncoding,
    StateEdit, StateWrite, SubscriptionChange, Task,
};
use crate::traits::*;

/// A request for a run of `shop`.
fn new(number: u128) -> NewRun {
    NewRun {
        id: run(number),
        deployment: "shop".parse().unwrap(),
        revision: Revision::new(2),
        input: Bytes::from_static(b"{\"n\":1}"),
        now: at(0),
        not_before: at(0),
        seed: SEED,
        ..fixture::new_run()
    }
}

/// A store and the owner of its runs.
struct Session {
    store: EmbeddedStore,
    owner: Owner,
    _dir: tempfile::TempDir,
}

impl Session {
    async fn begin() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = EmbeddedStore::open(EmbeddedStore::config(dir.path())).unwrap();
        let node = "node-1".parse().unwrap();
        let epoch = store.begin_epoch(&node).await.unwrap();
        Self { store, owner: Owner { node, epoch }, _dir: dir }
    }

    async fn deploy(&self, name: &str, manifest: &str) {
        let digest = ComponentDigest::of(b"component");
        let version =
            ModuleVersion { module: "shop".parse().unwrap(), version: "1.0.0".to_owned(), digest, created_at: at(0) };
        let component = Component {
            digest,
            size: 9,
            exports: vec![Export::Workflow],
            imports: vec![],
            warnings: vec![],
            uploaded_at: at(0),
            schemas: None,
        };
        self.store.put_version(version, component).await.unwrap();
        let (mut schedules, mut subscriptions, mut budgets) = (vec![], vec![], vec![]);
        if name == "shop" {
            let times = crate::records::FiringTimes::new(|after| Some(after.plus_millis(60_000).into()));
            let (next, name) = (Some(at(60_000).into()), "nightly".parse().unwrap());
            let (limit, pause_after_failures, missed) = (Some(9), Some(3), None);
            schedules.push(ScheduleChange { name, spec: 7, next, times, limit, pause_after_failures, missed });
            let (name, topic) = ("orders".parse().unwrap(), "orders.*".parse().unwrap());
            subscriptions.push(SubscriptionChange { name, topic, begin: SubscriptionStart::Earliest });
            budgets.push(super::credit::new_budget());
        }
        let put = PutDeployment {
            name: name.parse().unwrap(),
            expected: None,
            component: digest,
            manifest: manifest.into(),
            schedules,
            subscriptions,
            budgets,
            incident: None,
            now: at(0),
        };
        self.store.put_deployment(put).await.unwrap();
    }

    async fn request(&self, new: NewRun) -> Run {
        match self.store.request_run(new).await.unwrap() {
            RunRequestResult::Created(run) | RunRequestResult::Existing(run) | RunRequestResult::Joined(run) => run,
        }
    }

    /// Claims the next run of `shop`, under a rate limit.
    async fn admit(&self) -> Run {
        let rate = Some(Rate { runs: 10, per_millis: 60_000 });
        let shop = "shop".parse().unwrap();
        let admitted = self.store.admit(&self.owner, &shop, 1, rate.into(), at(10)).await.unwrap();
        admitted.claimed.into_iter().next().unwrap().run
    }

    fn of(&self, run: &Run, event: RunEvent) -> RunCommit {
        let state = run.state.next(event).unwrap();
        let ended_at = state.has_ended().then(|| at(20));
        let run = Run { state, ended_at, fuel: Fuel::new(1_000), peak_memory: 65_536, ..run.clone() };
        RunCommit::of(self.owner.clone(), run, at(20))
    }

    async fn commit(&self, commit: RunCommit) {
        let committed = self.store.commit_run(commit).await.unwrap();
        assert!(matches!(committed, RunCommitResult::Done(_)), "{committed:?}");
    }

    async fn publish(&self, number: u128, key: Option<&str>, payload: Bytes) {
        let event = NewEvent { id: EventId::new(at(1), number), topic: "orders.new".parse().unwrap(), payload };
        self.store.publish(NewPublication { event, key: key.map(str::to_owned) }, at(1)).await.unwrap();
    }

    /// All rows of a table, in the order of their keys.
    fn rows(&self, table: Table, text: &mut String) -> usize {
        let all = KeyRange::between(Vec::new(), vec![u8::MAX; 64]);
        let rows = self.store.kv().scan(table, &all, false, usize::MAX).unwrap();
        for (key, value) in &rows {
            writeln!(text, "{} {}\n  {}", table.name, key.escape_ascii(), hex(value)).unwrap();
        }
        rows.len()
    }
}

/// Runs that wait for a time, a lane, newer requests with the same debounce key, or a slot.
async fn queue(session: &Session) {
    session.deploy("shop", "{}").await;
    session.deploy("shop", "{\"priority\":6}").await;
    session.deploy("child", "{}").await;
    let lane = || vec![Lane { name: "key/1".to_owned(), capacity: 1 }];
    session.request(NewRun { key: Some("order-1".to_owned()), lanes: lane(), ..new(1) }).await;
    session.request(NewRun { lanes: lane(), ..new(2) }).await;
    session.request(NewRun { not_before: at(90_000), ..new(3) }).await;
    let debounce = Some(DebounceTerms { key: "d".to_owned(), wait_millis: 1_000, max_wait_millis: 5_000 });
    session.request(NewRun { terms: AdmissionTerms { debounce, ..AdmissionTerms::default() }, ..new(4) }).await;
    session.request(NewRun { priority: 9, input: Bytes::from(vec![b' '; 9_000]), ..new(5) }).await;
    session.request(NewRun { priority: 1, labels: vec![("team".to_owned(), "blue".to_owned())], ..new(6) }).await;
    session.publish(1, Some("event-1"), Bytes::from_static(b"1")).await;
    session.publish(2, None, Bytes::from(vec![b' '; 9_000])).await;
}

/// A run that holds fuel of a budget, and one that waits for it.
async fn work(session: &Session) {
    let name: tidemill_core::DeploymentName = "work".parse().unwrap();
    let put = PutDeployment {
        name: name.clone(),
        expected: None,
        component: ComponentDigest::of(b"component"),
        manifest: "{}".into(),
        schedules: vec![],
        subscriptions: vec![],
        budgets: vec![super::credit::new_fuel_budget()],
        incident: None,
        now: at(90),
    };
    session.store.put_deployment(put).await.unwrap();
    for number in [901, 902] {
        let terms = AdmissionTerms { customer: Some("c-1".to_owned()), ..AdmissionTerms::default() };
        let new = NewRun { id: run(number), deployment: name.clone(), terms, ..fixture::new_run() };
        session.request(new).await;
    }
    let limits = AdmissionLimits { fuel: Some(1_100), ..AdmissionLimits::default() };
    let admitted = session.store.admit(&session.owner, &name, 2, limits, at(91)).await.unwrap();
    assert_eq!(admitted.claimed.len(), 1);
}

/// A commit with one effect of each kind, of a run that is suspended by it.
async fn suspend(session: &Session) {
    let running = session.admit().await;
    let wait = Wait { any_of: vec![WaitCondition::Signal("paid".to_owned())], all: false, until: Some(at(80_000)) };
    let mut commit = session.of(&running, RunEvent::Suspended);
    commit.run.waiting_for = Some(wait);
    commit.run.journal_entries = 2;
    commit.writes = vec![
        StateWrite { key: "orders/1".to_owned(), value: Some(Bytes::from_static(b"paid")) },
        StateWrite { key: "orders/long".to_owned(), value: Some(Bytes::from(vec![7; 9_000])) },
    ];
    commit.postings = vec![entry(&running), reservation(&running)];
    commit.logs = vec![LogLine {
        seq: 0,
        at: at(11),
        attempt: 1,
        level: LogLevel::Info,
        message: "counted".to_owned(),
        fields: vec![("n".to_owned(), "1".to_owned())],
    }];
    let part = FailedPart::Step { path: "charge".to_owned(), attempt: 1 };
    commit.failures =
        vec![FailureRecord { at: at(12), attempt: 1, part, failure: Failure::retryable("declined", "no") }];
    commit.journal =
        Some(JournalChange { from: 0, chunks: vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")] });
    commit.snapshot = Some(Bytes::from_static(b"head"));
    let trigger = Trigger { kind: TriggerKind::Parent, parent: Some(running.id), ..Trigger::default() };
    let child = |number, detached| NewRun {
        deployment: "child".parse().unwrap(),
        revision: Revision::new(1),
        trigger: trigger.clone(),
        detached,
        ..new(number)
    };
    commit.starts = vec![child(20, false), child(21, true)];
    let payload = Bytes::from_static(b"true");
    commit.signals = vec![NewSignal { to: run(20), name: "go".to_owned(), payload, key: Some("s-1".to_owned()) }];
    let (id, topic) = (EventId::new(at(2), 3), "orders.paid".parse().unwrap());
    commit.events = vec![NewEvent { id, topic, payload: Bytes::from_static(b"{}") }];
    session.commit(commit).await;
}

fn entry(of: &Run) -> NewEntry {
    NewEntry {
        id: format!("{}-00001", of.id),
        stream: of.deployment.clone().into(),
        run: Some(of.id),
        external_id: "sale-1".to_owned(),
        of: Some("order-1".to_owned()),
        occurred_at: at(1),
        ..fixture::new_entry()
    }
}

/// A reservation that expires.
fn reservation(of: &Run) -> NewEntry {
    let made = entry(of);
    NewEntry {
        id: format!("{}-00002", of.id),
        external_id: "hold-1".to_owned(),
        call: EntryCall::Reserve,
        net_revenue: 0,
        pending: made.legs.clone(),
        legs: vec![],
        of: None,
        expires_at: Some(at(1_000_000)),
        ..made
    }
}

/// Runs that succeed, are parked, keep running, or are first stored when they end.
async fn end(session: &Session) {
    let succeeded = session.admit().await;
    let mut commit = session.of(&succeeded, RunEvent::Succeeded);
    commit.output = Some(Bytes::from_static(b"[1]"));
    commit.watermark = Some(at(15));
    session.commit(commit).await;
    let failure = Failure::new("no-luck", "it failed");
    let parked = session.admit().await;
    let mut commit = session.of(&parked, RunEvent::Parked(failure.clone()));
    commit.failures = vec![FailureRecord { at: at(20), attempt: 1, part: FailedPart::Attempt, failure }];
    session.commit(commit).await;
    let fresh = NewRun { key: Some("fresh-1".to_owned()), ..new(30) };
    let claimed = RunEvent::Claimed(session.owner.clone());
    let started = Run { state: fresh.to_run().state.next(claimed).unwrap(), started_at: Some(at(0)), ..fresh.to_run() };
    let mut commit = session.of(&started, RunEvent::Succeeded);
    commit.begins = CommitStart::Fresh { input: fresh.input.clone() };
    commit.output = Some(Bytes::from_static(b"null"));
    session.commit(commit).await;
    let child = "child".parse().unwrap();
    assert_eq!(session.store.claim(&session.owner, &child, 1, at(10)).await.unwrap().len(), 1);
}

/// A late firing that queues, a delivery, a replay, a manual state edit, a signal and zone marks.
async fn steer(session: &Session) {
    let store = &session.store;
    let trigger = |nominal: Timestamp| Trigger {
        kind: TriggerKind::Schedule,
        name: Some("nightly".to_owned()),
        at: Some(nominal),
        ..Trigger::default()
    };
    let firing = |number, nominal| NewFiring { run: NewRun { trigger: trigger(nominal), ..new(number) }, late: true };
    let firing = FiringCommit {
        deployment: "shop".parse().unwrap(),
        name: "nightly".parse().unwrap(),
        revision: Revision::new(2),
        at: at(60_000),
        through: at(120_000),
        next: Some(at(180_000).into()),
        firings: vec![firing(40, at(60_000)), firing(41, at(120_000))],
        overlap: Overlap::QueueAll,
        queue: 100,
        missed: Some(Times { first: at(10_000), last: at(20_000), count: 2, more: true }),
    };
    assert!(store.fire(firing, at(125_000)).await.unwrap().is_some());
    let subscription = store.subscription(&"shop".parse().unwrap(), &"orders".parse().unwrap()).await.unwrap().unwrap();
    let topic = "orders.new".parse().unwrap();
    let lag = store.subscription_lag(&subscription.deployment, &subscription.name, &topic).await.unwrap().unwrap();
    let delivery = crate::records::DeliveryCommit {
        deployment: subscription.deployment.clone(),
        subscription: subscription.name.clone(),
        revision: Revision::new(2),
        topic,
        from: lag.position,
        to: lag.position + 2,
        runs: vec![NewRun { trigger: Trigger { kind: TriggerKind::Event, ..Trigger::default() }, ..new(50) }],
        last: at(1),
    };
    assert!(store.deliver(delivery).await.unwrap());
    let task = Task::Replay {
        deployment: subscription.deployment,
        subscription: subscription.name,
        since: at(0),
        until: None,
    };
    store.begin_replay(Operation::new("op-1", task, at(30))).await.unwrap();
    let edit = StateEdit {
        deployment: "child".parse().unwrap(),
        key: "k".to_owned(),
        value: Some(Bytes::from_static(b"v")),
        expected: None,
        now: at(31),
    };
    store.edit_state(edit).await.unwrap();
    let period = ClosedPeriod {
        name: "1970-01-01".to_owned(),
        time_zone: "UTC".to_owned(),
        start: at(0),
        end: at(20),
        closed_at: at(0),
        sequence: 0,
    };
    store.close_period(period, at(32)).await.unwrap();
    let rate = RateRecord {
        day: "1970-01-01".to_owned(),
        from: "USD".to_owned(),
        to: "EUR".to_owned(),
        rate: "0.92".to_owned(),
        source: "bank".to_owned(),
        set_at: at(32),
    };
    store.put_rates(vec![rate]).await.unwrap();
    let late = NewEntry { external_id: "sale-2".to_owned(), occurred_at: at(2), ..fixture::new_entry() };
    store.append_entries(vec![late], at(32)).await.unwrap();
    let odd = |id: &str, kind: EntryKind, metadata: &str, of: Option<&str>| NewEntry {
        external_id: id.to_owned(),
        kind: kind.as_str().to_owned(),
        minor_units: 5,
        net_revenue: 0,
        occurred_at: at(33),
        metadata: metadata.to_owned(),
        of: of.map(str::to_owned),
        legs: kind.legs(5).unwrap().map(LedgerLeg::from).to_vec(),
        ..fixture::new_entry()
    };
    let entries = vec![
        odd("refund-1", EntryKind::Refund, "{}", Some("sale-3")),
        odd("received-1", EntryKind::Received, r#"{"invoice":"in_1"}"#, None),
        odd("out-1", EntryKind::ConversionOut, r#"{"conversion":"fx_1"}"#, None),
        odd("out-2", EntryKind::ConversionOut, r#"{"conversion":"fx_2"}"#, None),
    ];
    store.append_entries(entries, at(33)).await.unwrap();
    let closure = FindingClosure { at: at(33), actor: "ann".to_owned(), reason: "known".to_owned() };
    store.close_finding(1, closure).await.unwrap();
    super::credit::post(store).await;
    let limit = BudgetLimit { limit: 500, set_at: at(33) };
    let (shop, cap) = ("shop".parse().unwrap(), "cap".parse().unwrap());
    store.set_budget_limit(&shop, &cap, "c-1", Some(limit), at(33)).await.unwrap();
    let payload = Bytes::from_static(b"{}");
    let signal = NewSignal { to: run(3), name: "paid".to_owned(), payload, key: Some("outside".to_owned()) };
    store.signal(signal, at(32)).await.unwrap();
    store.put_zone_marks([("Europe/Berlin".to_owned(), 5)].into()).await.unwrap();
    store
        .announce(crate::records::FeedEvent::ClockSetBack { back_millis: 1, schedules: 2, until: at(33) }, at(33))
        .await
        .unwrap();
}

/// Deliveries of each kind: one whose run is parked, its duplicate, a forged one, one that is
/// ignored, and one that waits; and a replay.
async fn receive(session: &Session) {
    let store = &session.store;
    session.deploy("hooked", "{}").await;
    let hooked: tidemill_core::DeploymentName = "hooked".parse().unwrap();
    let hook_delivery = |number| HookDelivery { deployment: hooked.clone(), ..hook_delivery(number) };
    let webhook = |number: u128| {
        let id = Some(hook_delivery(number).id.to_string());
        let trigger = Trigger { kind: TriggerKind::Webhook, id, ..Trigger::default() };
        let (deployment, revision) = (hooked.clone(), Revision::new(1));
        NewRun { deployment, revision, trigger, export: Export::Webhook, input: Bytes::new(), ..new(100 + number) }
    };
    let first = NewDelivery {
        delivery: hook_delivery(1),
        body: DeliveryBody { key: Bytes::from_static(b"key"), bytes: Bytes::from_static(b"{}") },
        admission: DeliveryAdmission::Run(Box::new(webhook(1))),
        body_dedupe_millis: Some(1_000),
    };
    assert!(matches!(store.receive_delivery(first.clone()).await, Ok(DeliveryReceipt::Queued(_))));
    assert!(matches!(store.receive_delivery(first.clone()).await, Ok(DeliveryReceipt::Duplicate(_))));
    let forged = HookDelivery { digest: BodyDigest::of(b"[]"), ..hook_delivery(2) };
    let forged = NewDelivery { delivery: forged, ..first.clone() };
    assert!(matches!(store.receive_delivery(forged).await, Ok(DeliveryReceipt::Refused { kept: true, .. })));
    let other = |number| HookDelivery { transmission: None, ..hook_delivery(number) };
    let admission = DeliveryAdmission::NoRun(DeliveryOutcome::Ignored);
    let ignored = NewDelivery { delivery: other(3), admission, body_dedupe_millis: None, ..first.clone() };
    assert_eq!(store.receive_delivery(ignored).await, Ok(DeliveryReceipt::NoRun));
    let admission = DeliveryAdmission::Wait;
    let waiting = NewDelivery { delivery: other(4), admission, body_dedupe_millis: None, ..first };
    assert_eq!(store.receive_delivery(waiting).await, Ok(DeliveryReceipt::Waiting));
    let run = store.claim(&session.owner, &hooked, 1, at(10)).await.unwrap().remove(0).run;
    session.commit(session.of(&run, RunEvent::Parked(Failure::new("x", "it failed")))).await;
    let runs = vec![(hook_delivery(3).id, webhook(3))];
    let replay = DeliveryReplay { runs, operation: None, now: at(40) };
    assert_eq!(store.replay_deliveries(replay).await.unwrap().runs.len(), 1);
}

async fn seal(session: &Session) {
    let store = &session.store;
    let sealed =
        |text: &'static str| SealedValue { key: Bytes::from_static(b"key"), body: Bytes::from_static(text.as_bytes()) };
    for (after, text) in [(0, "old"), (1, "new")] {
        let value = Some((SecretEncoding::Text, sealed(text)));
        let put = PutSecret { name: "api-key".to_owned(), after, value, older_end_at: at(99), now: at(34 + after) };
        store.put_secret(put).await.unwrap();
    }
    let rotation = KeyRotation {
        to: [7; 8],
        total: 2,
        visited: 0,
        wrapped: 0,
        damaged: 0,
        cursor: None,
        started_at: at(36),
        ended_at: None,
    };
    let key = MasterKeyRecord { id: [7; 8], canary: sealed("canary"), since: at(36) };
    store.add_master_key(key, Some(rotation)).await.unwrap();
}

#[tokio::test]
async fn every_row_keeps_its_key_and_bytes() {
    let session = Session::begin().await;
    queue(&session).await;
    suspend(&session).await;
    end(&session).await;
    steer(&session).await;
    receive(&session).await;
    seal(&session).await;
    work(&session).await;
    let decision = BreakerDecision { mode: BreakerMode::ForcedOpen, since: at(95), note: "moving".to_owned() };
    session.store.decide_breaker(&"shop".parse().unwrap(), decision).await.unwrap();
    let (from, to, reason) = (HealthStatus::Healthy, HealthStatus::Degraded, "the queue grows".to_owned());
    let change = HealthTransition { at: at(1), from, to, reason };
    session.store.record_health(&"shop".parse().unwrap(), change).await.unwrap();
    healing::incident(&session.store).await;
    super::alerts::work(&session.store).await;
    super::operator::act(&session.store).await;
    let mut text = String::new();
    let mut tables = ALL.to_vec();
    tables.sort_by_key(|table| table.id);
    for table in tables {
        let rows = session.rows(table, &mut text);
        // Rows exist only during a deletion or a large cancellation, or in old folders.
        let old = [ENTRIES, ENTRIES_BY_STREAM, EXTERNAL_IDS, ACCOUNTS, STREAMS];
        let may_be_empty = [PURGES, UNNAMED, CANCELS].iter().chain(&old).any(|empty| empty.id == table.id);
        assert!(rows > 0 || may_be_empty, "no row in {}", table.name);
    }
    golden("session.txt", &text);
}

/// The cancellation of more children than one commit reaches stores its progress.
#[tokio::test]
async fn the_note_of_a_cancellation_keeps_its_bytes() {
    let session = Session::begin().await;
    session.deploy("shop", "{}").await;
    session.deploy("child", "{}").await;
    session.request(NewRun { revision: Revision::new(1), ..new(1) }).await;
    let parent = session.admit().await;
    let mut commit = RunCommit::of(session.owner.clone(), parent.clone(), at(20));
    let trigger = Trigger { kind: TriggerKind::Parent, parent: Some(parent.id), ..Trigger::default() };
    let child = |number| NewRun { deployment: "child".parse().unwrap(), trigger: trigger.clone(), ..new(number) };
    commit.starts = (100..400).map(child).collect();
    session.commit(commit).await;
    session.store.request_cancel(parent.id, true, at(30)).await.unwrap();
    let mut text = String::new();
    assert_eq!(session.rows(CANCELS, &mut text), 1);
    golden("cancels.txt", &text);
}
