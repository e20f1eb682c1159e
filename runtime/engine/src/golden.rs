//! Golden bytes of the state that the engine stores next to a journal.

use std::fmt::Write as _;

use bytes::Bytes;
use tidemill_artifacts::golden::{check, hex};
use tidemill_core::journal::Position;
use tidemill_core::money::{EntryCall, EntryContent, EntryKind};
use tidemill_core::run::{Export, Seed};
use tidemill_core::{ComponentDigest, EventId, Revision, RunId, Timestamp};
use tidemill_store::records::{
    BalanceQuestion, Evidence, ExternalId, FloorAccount, LedgerLeg, NewEntry, NewEvent, NewSignal, ScanPage,
    ScanRequest, Version, VersionedValue,
};

use crate::guest::metrics::{Metric, MetricKind};
use crate::replay::state::{CancelNotice, JournalMark, OpenTransaction, ReplaySnapshot, RollbackMarks};
use crate::transaction::Transaction;
use crate::transaction::effects::StartRun;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn run(number: u128) -> RunId {
    RunId::new(at(0), number)
}

pub(crate) fn entry(external_id: &str) -> NewEntry {
    let leg = |account: &str, minor_units| LedgerLeg { account: account.to_owned(), minor_units };
    let content = EntryContent {
        kind: EntryKind::Sale,
        minor_units: 1_999,
        currency: "EUR",
        occurred_at: at(1),
        of: None,
        call: EntryCall::Post,
        customer: None,
    };
    NewEntry {
        id: format!("{}-00001", run(1)),
        stream: "shop".parse().unwrap(),
        run: Some(run(1)),
        external_id: external_id.to_owned(),
        call: EntryCall::Post,
        kind: "sale".to_owned(),
        minor_units: 1_999,
        currency: "EUR".to_owned(),
        exponent: None,
        net_revenue: 1_999,
        occurred_at: at(1),
        customer: Some("c-7".to_owned()),
        description: "a book".to_owned(),
        metadata: "{\"isbn\":1}".to_owned(),
        of: None,
        legs: vec![leg("receivable", 1_999), leg("revenue", -1_999)],
        pending: Vec::new(),
        reservation: None,
        expires_at: None,
        evidence: Evidence::default(),
        paper: false,
        late_usage_millis: 0,
        customer_floor: None,
        content: content.hash(),
    }
}

/// A reservation and its settlement, with what the transaction has read.
fn reservations() -> Transaction {
    let mut transaction = Transaction::default();
    transaction.note_answer([7; 32]);
    let reserved = entry("job");
    let (legs, pending) = (reserved.legs.clone(), reserved.legs.clone());
    let evidence = Evidence {
        component: Some(ComponentDigest::of(b"component")),
        delivery: Some("delivery".to_owned()),
        responses: transaction.answers().to_vec(),
        by_hand: None,
    };
    transaction.add_entry(NewEntry {
        id: "reservation".to_owned(),
        call: EntryCall::Reserve,
        exponent: Some(2),
        legs: Vec::new(),
        pending: pending.clone(),
        expires_at: Some(at(9)),
        of: Some("order".to_owned()),
        evidence,
        ..reserved
    });
    transaction.note_answer([8; 32]);
    let question = BalanceQuestion {
        stream: "shop".parse().unwrap(),
        account: FloorAccount::Customer("c-7".to_owned()),
        currency: "EUR".to_owned(),
        kind: "drawdown".to_owned(),
        external_id: "job".to_owned(),
        of: Some("order".to_owned()),
        minor_units: 1_999,
        occurred_at: at(1),
        partial: true,
        floor: -5,
    };
    let bank = BalanceQuestion { account: FloorAccount::Stream("bank".to_owned()), ..question.clone() };
    let budget = FloorAccount::Budget { name: "cap".to_owned(), customer: "c-7".to_owned() };
    let capped = BalanceQuestion { account: budget, ..question.clone() };
    transaction.note_decision(question, Some(9));
    transaction.note_decision(bank, None);
    transaction.note_decision(capped, None);
    transaction.add_entry(NewEntry {
        call: EntryCall::Settle,
        legs,
        pending,
        reservation: Some("reservation".to_owned()),
        ..entry("job/settled")
    });
    transaction
}

fn started() -> StartRun {
    StartRun {
        id: run(2),
        deployment: "child".parse().unwrap(),
        revision: Revision::new(3),
        component: ComponentDigest::of(b"component"),
        export: Export::Workflow,
        input: Bytes::from_static(b"{\"n\":1}"),
        key: "parent-1".to_owned(),
        labels: vec![("team".to_owned(), "blue".to_owned())],
        priority: 7,
        at: at(3),
        not_before: at(4),
        detached: true,
        seed: Seed([5; 32]),
    }
}

fn metric(kind: MetricKind, name: &str, value: f64) -> Metric {
    Metric { kind, name: name.to_owned(), value, labels: vec![("shop".to_owned(), "a".to_owned())] }
}

/// One effect of each kind that a retry keeps, one later effect, and an open step with a write.
fn effects() -> Transaction {
    let mut transaction = Transaction::default();
    transaction.note_read("orders/1", &VersionedValue { value: None, version: Version(3) }).unwrap();
    let request = ScanRequest { prefix: "orders/".to_owned(), after: Some("orders/1".to_owned()), limit: 1 };
    let entries = vec![("orders/2".to_owned(), Bytes::from_static(b"two"), Version(4))];
    transaction.overlay(request, ScanPage { entries, more: true });
    let known = ExternalId { posting: None, sequence: 0, minor_units: 0, content: <_>::default(), version: Version(5) };
    transaction.note_external_id("sale-1", &known).unwrap();
    transaction.write("orders/1".to_owned(), Some(Bytes::from_static(b"one"))).unwrap();
    transaction.write("orders/3".to_owned(), None).unwrap();
    transaction.add_entry(entry("sale-1"));
    transaction.start(started());
    let payload = Bytes::from_static(b"true");
    transaction.signal(NewSignal { to: run(3), name: "paid".to_owned(), payload, key: Some("signal-1".to_owned()) });
    let payload = Bytes::from_static(b"null");
    transaction.publish(NewEvent { id: EventId::new(at(5), 8), topic: "orders.paid".parse().unwrap(), payload });
    transaction.take("go", 11);
    transaction.cancel(run(4));
    transaction.observe(run(5));
    transaction.sample(metric(MetricKind::Count, "orders", 2.0));
    transaction.sample(metric(MetricKind::Gauge, "depth", -1.5));
    transaction.sample(metric(MetricKind::Observe, "seconds", 0.25));
    transaction.entry();
    transaction.savepoint();
    transaction.write("since".to_owned(), Some(Bytes::from_static(b"kept"))).unwrap();
    transaction.open();
    transaction.write("inside".to_owned(), Some(Bytes::from_static(b"step"))).unwrap();
    transaction.add_entry(entry("sale-2"));
    transaction.note_claim();
    transaction.keep_steps();
    transaction
}

/// Replay snapshots with the names of their lines in the golden files.
fn snapshots() -> Vec<(&'static str, ReplaySnapshot)> {
    let marks = RollbackMarks {
        kept: JournalMark { at: Position::new(9), depth: 1 },
        first: JournalMark { at: Position::new(4), depth: 0 },
        first_kept: JournalMark { at: Position::new(3), depth: 0 },
    };
    let counts = ReplaySnapshot {
        at: Position::new(12),
        fuel: 123_456,
        next_line: Some(7),
        log_bytes: 300,
        http_calls: 2,
        http_bytes: 4_096,
        notice: Some(CancelNotice { entry: Position::new(10), fuel: 100_000, at: at(6) }),
        open: None,
    };
    let open = |transaction: Transaction| ReplaySnapshot {
        open: Some(OpenTransaction { stretch: transaction, marks }),
        ..counts.clone()
    };
    let whole = effects();
    // After a commit in the middle of a step, the step holds the versions that it has read.
    let mut committed = whole.clone();
    committed.committed();
    // A transaction that begins with effects stores them twice: current, and as they were at its
    // start.
    let mut begun = whole.clone();
    begun.begin_here();
    vec![
        ("counts", counts.clone()),
        ("no-lines", ReplaySnapshot { next_line: None, notice: None, ..counts.clone() }),
        ("effects", open(whole)),
        ("after-commit", open(committed)),
        ("begun-again", open(begun)),
    ]
}

#[test]
fn replay_snapshots_keep_their_bytes() {
    let with_entries = ReplaySnapshot {
        open: Some(OpenTransaction {
            stretch: reservations(),
            marks: RollbackMarks::at(JournalMark { at: Position::new(2), depth: 0 }),
        }),
        ..ReplaySnapshot::default()
    };
    let snapshots = snapshots().into_iter().chain([("reservations", with_entries)]);
    let mut text = String::new();
    for (name, snapshot) in snapshots {
        let bytes = snapshot.write(0).unwrap().unwrap();
        assert_eq!(ReplaySnapshot::read(&bytes).unwrap(), snapshot, "{name}");
        writeln!(text, "{name}: {}", hex(&bytes)).unwrap();
    }
    check(env!("CARGO_MANIFEST_DIR"), "replay-state.txt", &text);
}

#[test]
fn snapshots_of_earlier_releases_are_read() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/replay-state-1.txt")).unwrap();
    for ((name, snapshot), line) in snapshots().into_iter().zip(text.lines()) {
        let digits = line.strip_prefix(&format!("{name}: ")).unwrap();
        let bytes: Vec<u8> =
            (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect();
        assert_eq!(ReplaySnapshot::read(&bytes).unwrap(), snapshot, "{name}");
    }
}
