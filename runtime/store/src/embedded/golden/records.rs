//! A value of each type that is encoded as a record, and of each variant.

use std::collections::BTreeMap;
use std::fmt::Debug;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidemill_artifacts::golden::hex;
use tidemill_core::breaker::BreakerMode;
use tidemill_core::delivery::DeliveryOutcome;
use tidemill_core::hook::ObjectVersion;
use tidemill_core::lane::Lane;
use tidemill_core::money::EntryCall;
use tidemill_core::money::balance::GrantPart;
use tidemill_core::run::{CancelRequest, Export, Progress, Run, RunState, Trigger, TriggerKind, Wait, WaitCondition};
use tidemill_core::schedule::Overlap;
use tidemill_core::{ComponentDigest, DeploymentName, Epoch, Failure, Fuel, Revision};

use super::{SEED, at, delivery, golden, run};
use crate::embedded::codec::{decode, encode};
use crate::embedded::ledger::convert::OldEntry;
use crate::embedded::ledger::findings::book::FindingMarks;
use crate::embedded::ledger::findings::due_change::DueChange;
use crate::embedded::ledger::findings::sides::ClearingRecord;
use crate::embedded::ledger::record::{AccountRecord, HeadRecord, ReservationRecord, StreamRecord};
use crate::embedded::runs::RunKeyRecord;
use crate::embedded::runs::record::{RunCounters, RunRecord};
use crate::embedded::tables::{
    ACCOUNTS, BREAKERS, COMPONENTS, CURSORS, DELIVERIES, DELIVERY_PROGRESS, DEPLOYMENTS, ENTRIES, FAILURES, FEED,
    FIRING_LIST, KEY_ROTATION, KEYS, LEDGER_ACCOUNTS, LEDGER_BUCKETS, LEDGER_ENTRIES, LEDGER_FINDING_SUMS,
    LEDGER_FINDINGS, LEDGER_MARKS, LEDGER_OUTGOING, LEDGER_RESERVATIONS, LEDGER_STREAMS, LOGS, MASTER_KEYS, META,
    MODULES, OPERATIONS, PARKED, REPLAYS, RUNS, SCHEDULES, SECRET_VERSIONS, SECRETS, SUBSCRIPTIONS, TOPIC_OWNERS,
    TOPICS, USAGE, WATERMARKS,
};
use crate::embedded::topics::TopicRecord;
use crate::embedded::tx::Table;
use crate::records::{
    Action, BreakerDecision, Bucket, Component, DeliveryFilter, DeliveryProgress, Deployment, Evidence, FailedPart,
    FailureRecord, FeedEvent, Finding, FindingClosure, FiringEntry, FiringFate, HandEntry, HookDelivery, KeyRotation,
    LedgerEntry, LedgerHead, LedgerLeg, LogLevel, LogLine, MasterKeyRecord, ModuleVersion, Operation, OperationState,
    ParkRecord, Pause, RunFilter, Schedule, Scrub, SealedPlace, SealedTable, SealedValue, SecretEncoding,
    SecretVersion, Subscription, Task, Usage,
};

/// The text of the golden file.
#[derive(Default)]
pub(super) struct Rows(String);

impl Rows {
    pub(super) fn add<T: Serialize + DeserializeOwned + PartialEq + Debug>(
        &mut self,
        table: Table,
        what: &str,
        value: &T,
    ) {
        let bytes = encode(value).unwrap();
        assert_eq!(decode::<T>(table, &bytes).as_ref(), Ok(value), "{what}");
        self.0 += &format!("{} {what}\n  {}\n", table.name, hex(&bytes));
    }
}

fn name(text: &str) -> DeploymentName {
    text.parse().unwrap()
}

fn failure() -> Failure {
    Failure::retryable("card-declined", "the card was declined").with_details("{\"try\":\"again\"}")
}

fn pause() -> Pause {
    Pause { since: at(1), note: "moving".to_owned() }
}

fn plain() -> Run {
    Run { seed: SEED, ..crate::embedded::fixture::new_run().to_run() }
}

/// A run with every field set.
fn whole(state: RunState) -> Run {
    Run {
        id: run(1),
        deployment: name("shop"),
        revision: Revision::new(3),
        component: ComponentDigest::of(b"component"),
        export: Export::RevenueStream,
        state,
        trigger: Trigger {
            kind: TriggerKind::Schedule,
            name: Some("nightly".to_owned()),
            id: Some("op-1".to_owned()),
            at: Some(at(2)),
            parent: Some(run(2)),
            details: Some(Trigger::BACKFILL.to_owned()),
        },
        key: Some("order-1".to_owned()),
        key_millis: 86_400_000,
        labels: vec![("team".to_owned(), "blue".to_owned())],
        priority: 9,
        attempt: 2,
        generation: 3,
        created_at: at(3),
        started_at: Some(at(4)),
        ended_at: Some(at(5)),
        fuel: Fuel::new(123_456_789),
        peak_memory: 1 << 20,
        progress: Some(Progress { done: 3, total: Some(10), note: "counting".to_owned() }),
        status: Some("{\"at\":3}".to_owned()),
        takeovers: 1,
        seed: SEED,
        waiting_for: Some(Wait {
            any_of: vec![WaitCondition::Signal("paid".to_owned()), WaitCondition::Run(run(3))],
            all: true,
            until: Some(at(6)),
        }),
        journal_entries: 42,
        cancel: Some(CancelRequest { at: at(7), terminate: true, notified: true }),
        detached: true,
        lanes: vec![Lane { name: "key/1".to_owned(), capacity: 2 }],
    }
}

fn runs(rows: &mut Rows) {
    let states = [
        RunState::Queued { not_before: at(1) },
        RunState::Running { node: "node-1".parse().unwrap(), epoch: Epoch::new(4) },
        RunState::Suspended,
        RunState::Succeeded,
        RunState::Failed(failure()),
        RunState::Cancelled,
        RunState::Parked(Failure::new("x", "y")),
    ];
    for state in states {
        let what = format!("run, {}", state.name());
        rows.add(RUNS, &what, &RunRecord::new(Run { state, ..plain() }));
    }
    for export in Export::ALL {
        rows.add(RUNS, &format!("run of {}", export.as_str()), &RunRecord::new(Run { export, ..plain() }));
    }
    let kinds = [
        TriggerKind::Manual,
        TriggerKind::Schedule,
        TriggerKind::Webhook,
        TriggerKind::Event,
        TriggerKind::Parent,
        TriggerKind::HealthCheck,
    ];
    for kind in kinds {
        let trigger = Trigger { kind, ..Trigger::default() };
        rows.add(RUNS, &format!("run by {}", kind.as_str()), &RunRecord::new(Run { trigger, ..plain() }));
    }
    let counters = RunCounters {
        chunks: 2,
        snapshot: true,
        children: 300,
        open_children: 4,
        signals: 5,
        signal_bytes: 600,
        next_place: 7,
        lanes: 1,
        ticket: Some((8, 9)),
        debounce_hash: Some(u128::MAX - 1),
        turn: Some((10, 11)),
        fuel: true,
    };
    rows.add(RUNS, "run with everything", &RunRecord { run: whole(RunState::Suspended), counters });
    rows.add(KEYS, "reserved", &RunKeyRecord { run: run(1), input: 99, until: Some(at(1)) });
    rows.add(KEYS, "reserved without an end", &RunKeyRecord { run: run(1), input: 99, until: None });
    let line = |seq, level| LogLine {
        seq,
        at: at(seq),
        attempt: 1,
        level,
        message: "counted".to_owned(),
        fields: vec![("n".to_owned(), "1".to_owned())],
    };
    let levels = [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
    let lines: Vec<_> = (1..).zip(levels).map(|(seq, level)| line(seq, level)).collect();
    rows.add(LOGS, "lines", &lines);
    let parts = [
        FailedPart::Step { path: "order/charge".to_owned(), attempt: 2 },
        FailedPart::Attempt,
        FailedPart::Cancellation,
    ];
    for (number, part) in (1..).zip(parts) {
        let record = FailureRecord { at: at(number), attempt: 1, part, failure: failure() };
        rows.add(FAILURES, &format!("failure {number}"), &record);
    }
    let parked = ParkRecord { deployment: name("shop"), code: "card-declined".to_owned(), since: at(1) };
    rows.add(PARKED, "parked", &parked);
}

fn deployments(rows: &mut Rows) {
    let deployment = Deployment {
        name: name("shop"),
        revision: Revision::new(2),
        component: ComponentDigest::of(b"component"),
        manifest: "{\"module\":\"shop@1.0.0\"}".into(),
        paused: Some(pause()),
        created_at: at(1),
        updated_at: at(2),
    };
    rows.add(DEPLOYMENTS, "deployment", &Deployment { paused: None, ..deployment.clone() });
    rows.add(DEPLOYMENTS, "deployment, paused", &deployment);
    let component = Component {
        digest: ComponentDigest::of(b"component"),
        size: 1 << 20,
        exports: Export::ALL.to_vec(),
        imports: vec!["tidemill:guest/log@0.1.0".to_owned()],
        warnings: vec!["it is large".to_owned()],
        uploaded_at: at(1),
        schemas: Some("{\"workflow\":{}}".to_owned()),
    };
    rows.add(COMPONENTS, "component", &component);
    let version = ModuleVersion {
        module: "shop".parse().unwrap(),
        version: "1.0.0".to_owned(),
        digest: ComponentDigest::of(b"component"),
        created_at: at(2),
    };
    rows.add(MODULES, "module version", &version);
    let usage = Usage { runs: 1, state_bytes: 2, payload_bytes: 3, log_bytes: 400, events: 5, topics: 6 };
    rows.add(USAGE, "usage", &usage);
}

fn schedules(rows: &mut Rows) {
    let schedule = Schedule {
        deployment: name("shop"),
        name: "nightly".parse().unwrap(),
        revision: Revision::new(2),
        spec: u64::MAX,
        next: Some(at(1)),
        paused: Some(pause()),
        last: Some(at(2)),
        last_run: Some(run(1)),
        fired: 1,
        skipped: 2,
        dropped: 3,
        late: 4,
        missed: 5,
        by_hand: 6,
        limit: Some(7),
        left: Some(8),
        pause_after_failures: Some(9),
        failures: 10,
        last_failed: Some(run(2)),
        waiting: 11,
        listed: 12,
        due: Some(at(3)),
        through: Some(at(4)),
        since: Some(at(5)),
    };
    rows.add(SCHEDULES, "schedule", &schedule);
    for fate in [FiringFate::Skipped, FiringFate::Dropped, FiringFate::Late, FiringFate::Missed, FiringFate::Paused] {
        let entry = FiringEntry {
            fate,
            code: "host/overlap-skipped".to_owned(),
            first: at(1),
            last: at(2),
            count: 3,
            seen: at(4),
            run: Some(run(1)),
            operation: Some("op-1".to_owned()),
            more: true,
        };
        rows.add(FIRING_LIST, &format!("firing, {}", fate.as_str()), &entry);
    }
    rows.add(WATERMARKS, "watermark", &at(1));
    rows.add(META, "zones", &BTreeMap::from([("Europe/Berlin".to_owned(), 9_u64)]));
}

fn operations(rows: &mut Rows) {
    let filter = RunFilter {
        deployment: Some(name("shop")),
        states: vec!["parked".to_owned()],
        labels: vec![("team".to_owned(), "blue".to_owned())],
        since: Some(at(1)),
        until: Some(at(2)),
        codes: vec!["card-declined".to_owned()],
    };
    let labels = || vec![("team".to_owned(), "blue".to_owned())];
    let task = |action| Task::Runs { action, filter: filter.clone() };
    let backfill = |overlap| Task::Backfill {
        deployment: name("shop"),
        schedule: "nightly".parse().unwrap(),
        start: at(1),
        end: at(2),
        overlap,
    };
    let replay =
        |until| Task::Replay { deployment: name("shop"), subscription: "orders".parse().unwrap(), since: at(1), until };
    let deliveries = DeliveryFilter {
        deployment: Some(name("shop")),
        hook: Some("events".parse().unwrap()),
        outcomes: vec![DeliveryOutcome::Failed],
        key: Some("evt_1".to_owned()),
        object: Some("ch_1".to_owned()),
        since: Some(at(1)),
        until: Some(at(2)),
    };
    let mut tasks = vec![
        ("retry".to_owned(), task(Action::Retry)),
        ("cancel".to_owned(), task(Action::Cancel)),
        ("terminate".to_owned(), task(Action::Terminate)),
        ("all runs".to_owned(), Task::Runs { action: Action::Cancel, filter: RunFilter::default() }),
        (
            "pause".to_owned(),
            Task::Schedules { pause: Some("moving".to_owned()), deployment: Some(name("shop")), labels: labels() },
        ),
        ("resume".to_owned(), Task::Schedules { pause: None, deployment: None, labels: vec![] }),
        ("replay".to_owned(), replay(Some(at(2)))),
        ("replay to the end".to_owned(), replay(None)),
        ("resync".to_owned(), Task::Resync { deployment: Some(name("shop")), labels: labels() }),
        ("replay of deliveries".to_owned(), Task::Deliveries { filter: deliveries }),
    ];
    tasks.extend(Overlap::ALL.map(|overlap| (format!("backfill, {}", overlap.as_str()), backfill(overlap))));
    for (what, task) in tasks {
        rows.add(OPERATIONS, &format!("operation, {what}"), &Operation::new("op-1", task, at(3)));
    }
    for (what, state) in [("done", OperationState::Done), ("cancelled", OperationState::Cancelled)] {
        let operation = Operation {
            total: Some(100),
            matched: 10,
            done: 8,
            failed: 2,
            cursor: Some(vec![1, 2, 3]),
            state,
            ended_at: Some(at(4)),
            ..Operation::new("op-2", task(Action::Retry), at(3))
        };
        rows.add(OPERATIONS, &format!("operation, {what}"), &operation);
    }
}

fn topics(rows: &mut Rows) {
    let head =
        TopicRecord { first: 65_536, next: 65_540, published: 9, first_at: at(1), last_at: at(2), last_commit: 3 };
    rows.add(TOPICS, "topic", &head);
    rows.add(TOPIC_OWNERS, "owner", &name("shop"));
    let subscription = Subscription {
        deployment: name("shop"),
        name: "orders".parse().unwrap(),
        revision: Revision::new(2),
        topic: "orders.*".parse().unwrap(),
        since: 7,
        created_at: at(1),
        paused: Some(pause()),
        delivered: 1,
        filtered: 2,
        lost: 3,
        skipped: 4,
        last: Some(at(2)),
        last_run: Some(run(1)),
    };
    rows.add(SUBSCRIPTIONS, "subscription", &subscription);
    rows.add(CURSORS, "cursor", &65_540_u64);
    rows.add(REPLAYS, "replay", &(65_536_u64, 65_540_u64));
}

/// The records of earlier releases, which the next epoch converts.
fn old_ledger(rows: &mut Rows) {
    let leg = |account: &str, minor_units| LedgerLeg { account: account.to_owned(), minor_units };
    let entry = OldEntry {
        id: format!("{}-00001", run(1)),
        stream: name("shop"),
        run: run(1),
        external_id: "sale-1".to_owned(),
        kind: "sale".to_owned(),
        minor_units: 1_999,
        currency: "EUR".to_owned(),
        net_revenue: -1_999,
        occurred_at: at(1),
        posted_at: at(2),
        customer: Some("c-1".to_owned()),
        description: "a book".to_owned(),
        metadata: "{\"isbn\":1}".to_owned(),
        legs: vec![leg("receivable", 1_999), leg("revenue", -1_999)],
        fingerprint: [9; 16],
    };
    rows.add(ENTRIES, "ledger entry", &entry);
    rows.add(ACCOUNTS, "balance", &-170_141_183_460_469_i128);
}

/// An entry with every field set.
pub(super) fn whole_entry() -> LedgerEntry {
    let entry = crate::embedded::fixture::new_entry();
    LedgerEntry {
        sequence: 7,
        hash: [8; 32],
        posted_at: at(2),
        customer: Some("c-1".to_owned()),
        of: Some("order-1".to_owned()),
        pending: entry.legs.clone(),
        reservation: Some(format!("{}-00000", run(1))),
        expires_at: Some(at(3)),
        parts: vec![GrantPart::of_grant("grant-1", 4)],
        evidence: Evidence {
            component: Some(ComponentDigest::of(b"component")),
            delivery: Some("evt_1".to_owned()),
            responses: vec![[5; 32]],
            by_hand: Some(HandEntry { actor: "ann".to_owned(), reason: "typo".to_owned() }),
        },
        late: true,
        paper: true,
        ..entry.to_entry()
    }
}

fn ledger(rows: &mut Rows) {
    rows.add(LEDGER_ENTRIES, "entries", &vec![whole_entry()]);
    for call in EntryCall::ALL {
        rows.add(LEDGER_ENTRIES, call.as_str(), call);
    }
    let head = LedgerHead { sequence: 300, hash: [9; 32], posted_at: at(1) };
    rows.add(LEDGER_MARKS, "head", &HeadRecord { head, open_reservations: 2 });
    rows.add(LEDGER_MARKS, "unit", &2_u8);
    rows.add(LEDGER_ACCOUNTS, "balance", &AccountRecord { posted: -170_141_183_460_469, pending: 5 });
    rows.add(LEDGER_STREAMS, "total", &StreamRecord { net_revenue: -1_000, entries: 300, paper: true });
    let bucket = Bucket { posted: 1_000, pending: -2, net_revenue: -1_000, entries: 300, pending_entries: 4 };
    rows.add(LEDGER_BUCKETS, "bucket", &bucket);
    let reservation = ReservationRecord {
        sequence: 300,
        stream: "shop/acct-1".parse().unwrap(),
        currency: "EUR".to_owned(),
        minor_units: 1_999,
        expires_at: Some(at(1)),
        closed_by: 301,
        answered: true,
    };
    rows.add(LEDGER_RESERVATIONS, "reservation", &reservation);
    let finding = Finding {
        number: 7,
        kind: "over-refunded".to_owned(),
        stream: Some("shop/acct-1".parse().unwrap()),
        subject: "ch_1".to_owned(),
        currency: Some("EUR".to_owned()),
        minor_units: Some(-2),
        sequence: 300,
        paper: true,
        opened_at: at(1),
        closure: Some(FindingClosure { at: at(2), actor: "ann".to_owned(), reason: "goodwill".to_owned() }),
    };
    rows.add(LEDGER_FINDINGS, "finding", &finding);
    let (paper, invoice, currency) = (true, "in_1".to_owned(), "EUR".to_owned());
    rows.add(LEDGER_FINDINGS, "due clearing", &DueChange::Clearing { paper, invoice, currency });
    let (paper, stream, external_id) = (true, "shop".parse().unwrap(), "ch_1".to_owned());
    rows.add(LEDGER_FINDINGS, "due past", &DueChange::Past { paper, stream, external_id });
    rows.add(LEDGER_FINDING_SUMS, "answers", &-5_i128);
    rows.add(LEDGER_FINDING_SUMS, "conversion", &BTreeMap::from([("EUR".to_owned(), -5_i128)]));
    rows.add(LEDGER_FINDING_SUMS, "clearing", &ClearingRecord { sum: -5, since: at(1), sequence: 300 });
    rows.add(LEDGER_MARKS, "findings", &FindingMarks { last: 7, open: 2, unknown: 1, old_until: 300 });
    rows.add(LEDGER_OUTGOING, "outgoing", &1_999_i128);
    super::credit::credit(rows);
}

fn feed(rows: &mut Rows) {
    let (deployment, revision, reason) = (name("shop"), Revision::new(3), "6 of 10 attempts failed".to_owned());
    let events = [
        FeedEvent::Run {
            id: run(1),
            deployment: name("shop"),
            export: Export::Workflow,
            trigger: TriggerKind::Event,
            state: "failed".to_owned(),
            code: Some("card-declined".to_owned()),
            attempt: 2,
            fuel: Fuel::new(1_000),
            peak_memory: 65_536,
            took_millis: 250,
        },
        FeedEvent::Deployment { name: name("shop"), revision: Revision::new(2), change: "put".to_owned() },
        FeedEvent::Schedule {
            deployment: name("shop"),
            name: "nightly".parse().unwrap(),
            change: "paused".to_owned(),
            firings: 3,
            note: Some("moving".to_owned()),
        },
        FeedEvent::Subscription {
            deployment: name("shop"),
            name: "orders".parse().unwrap(),
            topic: Some("orders.paid".parse().unwrap()),
            change: "lost".to_owned(),
            events: 4,
            note: Some("too late".to_owned()),
        },
        FeedEvent::Posted {
            stream: name("shop"),
            run: run(1),
            currency: "EUR".to_owned(),
            entries: 2,
            net_revenue: -5,
        },
        FeedEvent::State {
            deployment: name("shop"),
            key: "orders/1".to_owned(),
            change: "set".to_owned(),
            bytes: 3,
            before: 1,
            after: 2,
        },
        FeedEvent::Finding {
            kind: "late".to_owned(),
            stream: Some("shop".parse().unwrap()),
            change: "opened".to_owned(),
            findings: 2,
            number: 7,
        },
        FeedEvent::ClockSetBack { back_millis: 60_000, schedules: 2, until: at(1) },
        FeedEvent::Delivery {
            id: delivery(1),
            deployment: name("shop"),
            hook: "events".parse().unwrap(),
            change: "dead".to_owned(),
            run: Some(run(1)),
        },
        FeedEvent::Secret { name: "api-key".to_owned(), version: 300, change: "set".to_owned() },
        FeedEvent::Breaker { deployment, revision, state: "open".to_owned(), reason, until: Some(at(60_000)) },
        super::health::event(),
        super::healing::event(),
    ];
    for (number, event) in (1..).zip(events) {
        rows.add(FEED, &format!("feed event {number}"), &(at(number), event));
    }
    let decision = BreakerDecision { mode: BreakerMode::Disabled, since: at(1), note: "a test".to_owned() };
    rows.add(BREAKERS, "breaker", &decision);
    rows.add(META, "scrub", &Scrub { at: at(1), records: 300, bytes: 70_000 });
    rows.add(META, "epoch", &Epoch::new(300));
    super::later_nouns(rows);
}

fn deliveries(rows: &mut Rows) {
    let whole = super::hook_delivery(1);
    rows.add(DELIVERIES, "delivery", &whole);
    let (transmission, event, object, headers) = (None, None, None, vec![]);
    let plain = HookDelivery { transmission, event, object, version: None, headers, signed_digest: None, ..whole };
    rows.add(DELIVERIES, "delivery with every default", &plain);
    let version = Some(ObjectVersion::Time(1_700_000_000_123_456_789));
    rows.add(DELIVERIES, "delivery with a time as version", &HookDelivery { version, ..plain });
    for outcome in DeliveryOutcome::ALL {
        let progress = DeliveryProgress {
            hook: "events".parse().unwrap(),
            outcome,
            first_run: Some(run(1)),
            last_run: Some(run(2)),
            runs: 2,
            duplicates: 3,
            last_duplicate_at: Some(at(4)),
            settled_at: Some(at(5)),
        };
        rows.add(DELIVERY_PROGRESS, &format!("progress of a delivery: {outcome}"), &progress);
    }
}

fn secrets(rows: &mut Rows) {
    let sealed = SealedValue { key: Bytes::from_static(b"key"), body: Bytes::from_static(b"body") };
    rows.add(SECRETS, "newest version", &300_u64);
    for (number, encoding) in
        [SecretEncoding::Text, SecretEncoding::Base64, SecretEncoding::Hex].into_iter().enumerate()
    {
        let version = SecretVersion {
            version: 300,
            encoding,
            sealed: sealed.clone(),
            created_at: at(1),
            ends_at: (number > 0).then(|| at(2)),
        };
        rows.add(SECRET_VERSIONS, &format!("{encoding:?}"), &version);
    }
    rows.add(MASTER_KEYS, "key", &MasterKeyRecord { id: [7; 8], canary: sealed, since: at(1) });
    let cursor = SealedPlace { table: SealedTable::Secrets, key: b"a".to_vec() };
    let rotation = KeyRotation {
        to: [7; 8],
        total: 300,
        visited: 2,
        wrapped: 1,
        damaged: 1,
        cursor: Some(cursor),
        started_at: at(1),
        ended_at: Some(at(2)),
    };
    rows.add(KEY_ROTATION, "whole", &rotation);
    rows.add(KEY_ROTATION, "plain", &KeyRotation { cursor: None, ended_at: None, ..rotation });
}

#[test]
fn every_record_keeps_its_bytes() {
    let mut rows = Rows::default();
    runs(&mut rows);
    deployments(&mut rows);
    schedules(&mut rows);
    operations(&mut rows);
    topics(&mut rows);
    old_ledger(&mut rows);
    ledger(&mut rows);
    feed(&mut rows);
    deliveries(&mut rows);
    secrets(&mut rows);
    golden("records.txt", &rows.0);
}
