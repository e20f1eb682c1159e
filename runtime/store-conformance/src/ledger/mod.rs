//! Claims about the ledger.

pub(crate) mod balances;
pub(crate) mod budgets;
pub(crate) mod entries;
pub(crate) mod evidence;
pub(crate) mod findings;
pub(crate) mod proof;
pub(crate) mod reports;
pub(crate) mod reservations;

use tidemill_core::money::{EntryCall, EntryContent, EntryKind, LedgerStream};
use tidemill_core::run::Run;
use tidemill_core::{RunId, Timestamp};
use tidemill_store::records::{Evidence, LedgerLeg, NewEntry};

use crate::fixture::later;

/// Returns the stream of that name.
pub(crate) fn stream(text: &str) -> LedgerStream {
    text.parse().expect("a stream")
}

/// Returns a sale of a run.
pub(crate) fn posting(run: &Run, external_id: &str, cents: i64) -> NewEntry {
    let stream = run.deployment.clone().into();
    let id = format!("{}-{external_id}", run.id);
    new_entry(stream, Some(run.id), (id, external_id), cents)
}

/// Returns a sale of no run.
pub(crate) fn by_host(of: &str, external_id: &str, cents: i64) -> NewEntry {
    new_entry(stream(of), None, (String::new(), external_id), cents)
}

fn new_entry(stream: LedgerStream, run: Option<RunId>, (id, external_id): (String, &str), cents: i64) -> NewEntry {
    let kind = EntryKind::Sale;
    let occurred_at = later(u64::try_from(cents).unwrap_or_default());
    let entry = NewEntry {
        id,
        stream,
        run,
        external_id: external_id.into(),
        call: EntryCall::Post,
        kind: kind.as_str().into(),
        minor_units: cents,
        currency: "EUR".into(),
        exponent: Some(2),
        net_revenue: cents,
        occurred_at,
        customer: None,
        description: String::new(),
        metadata: "{}".into(),
        of: None,
        legs: legs(kind, cents),
        pending: vec![],
        reservation: None,
        expires_at: None,
        evidence: Evidence::default(),
        paper: false,
        late_usage_millis: 0,
        customer_floor: None,
        content: <_>::default(),
    };
    with_content(entry)
}

pub(crate) fn legs(kind: EntryKind, cents: i64) -> Vec<LedgerLeg> {
    let legs = kind.legs(cents).expect("an amount");
    legs.iter().map(|leg| LedgerLeg { account: leg.account.as_str().into(), minor_units: leg.minor_units }).collect()
}

/// Returns the entry with the hash of its content.
pub(crate) fn with_content(entry: NewEntry) -> NewEntry {
    let content = EntryContent {
        kind: EntryKind::parse(&entry.kind).expect("a kind"),
        minor_units: entry.minor_units,
        currency: &entry.currency,
        occurred_at: entry.occurred_at,
        of: entry.of.as_deref(),
        call: entry.call,
        customer: entry.customer.as_deref(),
    };
    NewEntry { content: content.hash(), ..entry }
}

/// Returns a reservation of a run.
pub(crate) fn reservation(run: &Run, external_id: &str, cents: i64, expires_at: Option<Timestamp>) -> NewEntry {
    let made = posting(run, external_id, cents);
    let (pending, legs) = (made.legs.clone(), vec![]);
    with_content(NewEntry { call: EntryCall::Reserve, net_revenue: 0, pending, legs, expires_at, ..made })
}

/// Returns the entry by which `run` settles a reservation; `None` voids it.
pub(crate) fn end_of(run: &Run, reserved: &NewEntry, settle: Option<i64>, at: Timestamp) -> NewEntry {
    let back = |leg: &LedgerLeg| LedgerLeg { account: leg.account.clone(), minor_units: -leg.minor_units };
    let (call, suffix) = if settle.is_some() { (EntryCall::Settle, "settled") } else { (EntryCall::Void, "voided") };
    let cents = settle.unwrap_or(reserved.minor_units);
    with_content(NewEntry {
        id: format!("{}-{}-{suffix}", run.id, reserved.external_id),
        run: Some(run.id),
        external_id: format!("{}/{suffix}", reserved.external_id),
        call,
        minor_units: cents,
        net_revenue: settle.unwrap_or_default(),
        occurred_at: at,
        of: Some(reserved.external_id.clone()),
        legs: settle.map(|cents| legs(EntryKind::Sale, cents)).unwrap_or_default(),
        pending: reserved.pending.iter().map(back).collect(),
        reservation: Some(reserved.id.clone()),
        expires_at: None,
        ..reserved.clone()
    })
}
