//! After each commit, the findings are those of a naive recount over all entries.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tidemill_core::Timestamp;
use tidemill_core::money::report::is_conversion_unpaired;
use tidemill_core::money::{Account, EntryCall, EntryContent, EntryKind, LedgerStream};

use crate::embedded::store::EmbeddedStore;
use crate::records::{
    AppendedEntry, Evidence, FindingClosure, FindingFilter, LedgerEntry, LedgerLeg, NewEntry, PageRequest,
};
use crate::traits::{FindingStore as _, LedgerStore as _, ReportStore as _};

const DAY: u64 = 24 * 60 * 60 * 1_000;
const KINDS: [EntryKind; 14] = [
    EntryKind::Sale,
    EntryKind::SaleReversal,
    EntryKind::Refund,
    EntryKind::RefundReversal,
    EntryKind::Dispute,
    EntryKind::DisputeReversal,
    EntryKind::Fee,
    EntryKind::Payout,
    EntryKind::PayoutReversal,
    EntryKind::Received,
    EntryKind::Collected,
    EntryKind::ConversionOut,
    EntryKind::ConversionIn,
    EntryKind::Prepayment,
];

/// What a test appends.
#[derive(Debug, Clone)]
struct Draft {
    kind: EntryKind,
    minor_units: i64,
    dollars: bool,
    of: Option<u8>,
    link: Option<u8>,
    /// Whether it reserves its amount, and what ends that: settles a part, or voids it.
    reserves: Option<Option<bool>>,
    ahead_millis: u64,
}

fn drafts() -> impl Strategy<Value = Vec<(u8, Draft)>> {
    let draft = (
        prop::sample::select(KINDS.to_vec()),
        1i64..6,
        prop::bool::weighted(0.2),
        prop::option::weighted(0.7, 0u8..12),
        prop::option::weighted(0.7, 0u8..3),
        prop::option::weighted(0.15, prop::option::weighted(0.7, any::<bool>())),
        prop_oneof![4 => Just(0), 1 => 0..2 * DAY],
    );
    let draft = draft.prop_map(|(kind, minor_units, dollars, of, link, reserves, ahead_millis)| Draft {
        kind,
        minor_units,
        dollars,
        of,
        link,
        reserves,
        ahead_millis,
    });
    // Each external id once, in any order.
    prop::collection::btree_map(0u8..12, draft, 1..12)
        .prop_flat_map(|ids| Just(ids.into_iter().collect::<Vec<_>>()).prop_shuffle())
}

fn stream() -> LedgerStream {
    "shop".parse().unwrap()
}

fn entry(id: u8, draft: &Draft, now: Timestamp) -> NewEntry {
    let Draft { kind, minor_units, dollars, of, link, reserves, ahead_millis } = draft.clone();
    let legs = kind.legs(minor_units).unwrap().map(LedgerLeg::from).to_vec();
    let (legs, pending) = if reserves.is_some() { (Vec::new(), legs) } else { (legs, Vec::new()) };
    let link = link.map(|link| format!(r#""conversion":"c{link}","invoice":"i{link}""#)).unwrap_or_default();
    let call = if reserves.is_some() { EntryCall::Reserve } else { EntryCall::Post };
    NewEntry {
        id: String::new(),
        stream: stream(),
        run: None,
        external_id: format!("x{id}"),
        call,
        kind: kind.as_str().to_owned(),
        minor_units,
        currency: if dollars { "USD" } else { "EUR" }.to_owned(),
        exponent: Some(2),
        net_revenue: 0,
        occurred_at: now.plus_millis(ahead_millis),
        customer: None,
        description: String::new(),
        metadata: format!("{{{link}}}"),
        of: of.filter(|of| *of != id).map(|of| format!("x{of}")),
        legs,
        pending,
        reservation: None,
        expires_at: None,
        evidence: Evidence::default(),
        paper: false,
        late_usage_millis: 0,
        customer_floor: None,
        content: <_>::default(),
    }
}

/// The entry that settles a part of a reservation, or voids it.
fn end(reserved: &LedgerEntry, settles: bool) -> NewEntry {
    let kind = EntryKind::parse(&reserved.kind).unwrap();
    let (call, suffix, minor_units) = match settles {
        true => (EntryCall::Settle, "settled", reserved.minor_units / 2 + 1),
        false => (EntryCall::Void, "voided", reserved.minor_units),
    };
    let legs = if settles { kind.legs(minor_units).unwrap().map(LedgerLeg::from).to_vec() } else { Vec::new() };
    let back = |leg: &LedgerLeg| LedgerLeg { minor_units: -leg.minor_units, ..leg.clone() };
    NewEntry {
        id: String::new(),
        stream: reserved.stream.clone(),
        run: None,
        external_id: format!("{}/{suffix}", reserved.external_id),
        call,
        kind: reserved.kind.clone(),
        minor_units,
        currency: reserved.currency.clone(),
        exponent: None,
        net_revenue: 0,
        occurred_at: reserved.posted_at,
        customer: None,
        description: String::new(),
        metadata: reserved.metadata.clone(),
        of: reserved.of.clone(),
        legs,
        pending: reserved.pending.iter().map(back).collect(),
        reservation: Some(reserved.id.clone()),
        expires_at: None,
        evidence: Evidence::default(),
        paper: false,
        late_usage_millis: 0,
        customer_floor: None,
        content: <_>::default(),
    }
}

type Found = BTreeSet<(&'static str, String, Option<String>, Option<i128>)>;

/// What an external id posts: that of a reservation posts what its settlement does.
fn posted(entries: &[LedgerEntry], entry: &LedgerEntry) -> i128 {
    if entry.call != EntryCall::Reserve {
        return entry.posted_units().into();
    }
    let end = entries.iter().find(|end| end.reservation.as_deref() == Some(&entry.id));
    end.map_or_else(|| entry.minor_units.into(), |end| end.posted_units().into())
}

/// The entries that answer an external id or its settlement, with what they post. A settlement
/// counts for its reservation.
fn answers<'e>(entries: &'e [LedgerEntry], of: &str) -> Vec<(&'e LedgerEntry, i128)> {
    let names = |entry: &&LedgerEntry| {
        entry.of.as_deref().is_some_and(|name| name.strip_suffix("/settled").unwrap_or(name) == of)
    };
    entries.iter().filter(names).map(|entry| (entry, i128::from(entry.posted_units()))).collect()
}

fn own_id(entry: &LedgerEntry) -> &str {
    entry.external_id.strip_suffix("/settled").unwrap_or(&entry.external_id)
}

fn reversed(entries: &[LedgerEntry], id: &str, kind: EntryKind, currency: &str) -> i128 {
    let of_kind = |entry: &LedgerEntry| kind.reversal().is_some_and(|reversal| reversal.as_str() == entry.kind);
    let all = answers(entries, id).into_iter();
    all.filter(|(entry, _)| of_kind(entry) && entry.currency == currency).map(|(_, posted)| posted).sum()
}

/// Recounts the findings from all entries. Slow and plain.
fn recount(entries: &[LedgerEntry], now: Timestamp) -> Found {
    let mut found = Found::new();
    let exists = |id: &str| entries.iter().any(|entry| entry.external_id == id);
    for entry in entries {
        if let Some(of) = &entry.of
            && entry.reservation.is_none()
            && !exists(of)
        {
            found.insert(("of-unknown", of.clone(), None, None));
        }
        if entry.occurred_at.millis_since(entry.posted_at) > 300_000 && entry.occurred_at > now {
            found.insert(("future-dated", entry.external_id.clone(), None, None));
        }
        let is_open = entry.call == EntryCall::Reserve
            && !entries.iter().any(|end| end.reservation.as_deref() == Some(&entry.id));
        if is_open && now.millis_since(entry.posted_at) >= 30 * DAY {
            let currency = Some(entry.currency.clone());
            found.insert(("reservation-old", entry.external_id.clone(), currency, Some(entry.minor_units.into())));
        }
        if entry.reservation.is_some() {
            continue;
        }
        let (kind, id, currency) = (EntryKind::parse(&entry.kind).unwrap(), &entry.external_id, &entry.currency);
        let (amount, reversals) = (posted(entries, entry), reversed(entries, id, kind, currency));
        if kind.reversal().is_some() && reversals > amount {
            found.insert(("over-reversed", id.clone(), Some(currency.clone()), Some(reversals - amount)));
        }
        let returns = answers(entries, id).into_iter().filter(|(answer, _)| {
            ["refund", "dispute"].contains(&answer.kind.as_str()) && answer.currency == *currency
        });
        let returned: i128 = returns
            .map(|(answer, posted)| {
                let kind = EntryKind::parse(&answer.kind).unwrap();
                (posted - if posted > 0 { reversed(entries, own_id(answer), kind, currency) } else { 0 }).max(0)
            })
            .sum();
        let excess = returned - (amount - reversals).max(0);
        if kind.accounts().0.is_revenue() && excess > 0 {
            found.insert(("over-refunded", id.clone(), Some(currency.clone()), Some(excess)));
        }
    }
    recount_balances(entries, now, &mut found);
    found
}

fn recount_balances(entries: &[LedgerEntry], now: Timestamp, found: &mut Found) {
    let sum = |account: Account, entry: &LedgerEntry| -> i128 {
        let legs = entry.legs.iter().filter(|leg| leg.account == account.as_str());
        legs.map(|leg| i128::from(leg.minor_units)).sum()
    };
    let member = |entry: &LedgerEntry, name: &str| {
        let metadata: serde_json::Value = serde_json::from_str(&entry.metadata).unwrap();
        metadata.get(name).map(|text| text.as_str().unwrap().to_owned())
    };
    let mut receivable: BTreeMap<String, i128> = BTreeMap::new();
    let mut conversions: BTreeMap<String, BTreeMap<String, i128>> = BTreeMap::new();
    // The sum, and when it was last zero before.
    let mut invoices: BTreeMap<(String, String), (i128, Timestamp)> = BTreeMap::new();
    for entry in entries {
        *receivable.entry(entry.currency.clone()).or_default() += sum(Account::Receivable, entry);
        if entry.kind.starts_with("conversion") && !entry.legs.is_empty() {
            let own = || entry.of.clone().unwrap_or_else(|| entry.external_id.clone());
            let id = member(entry, "conversion").unwrap_or_else(own);
            *conversions.entry(id).or_default().entry(entry.currency.clone()).or_default() +=
                sum(Account::Conversion, entry);
        }
        if ["received", "collected"].contains(&entry.kind.as_str()) && !entry.legs.is_empty() {
            let key = (member(entry, "invoice").unwrap_or_default(), entry.currency.clone());
            let invoice = invoices.entry(key).or_default();
            if invoice.0 == 0 {
                invoice.1 = entry.posted_at;
            }
            invoice.0 += sum(Account::Clearing, entry);
        }
    }
    for (currency, balance) in receivable {
        if balance < 0 {
            found.insert(("negative-receivable", String::new(), Some(currency), None));
        }
    }
    for (id, sums) in conversions {
        if is_conversion_unpaired(sums.into_values()) {
            found.insert(("conversion-unpaired", id, None, None));
        }
    }
    for ((invoice, currency), (balance, since)) in invoices {
        if balance != 0 && now.millis_since(since) >= DAY {
            found.insert(("clearing-open", invoice, Some(currency), Some(balance)));
        }
    }
}

/// Checks that the open findings are those of a recount.
async fn check(store: &EmbeddedStore, now: Timestamp) -> Result<(), TestCaseError> {
    while store.update_due_findings(now, 2).await.unwrap().0.next.is_some_and(|next| next <= now) {}
    let entries = store.entries_in(1..u64::MAX, 10_000).await.unwrap();
    let page = store.findings(FindingFilter::default(), PageRequest::first(1_000)).await.unwrap();
    prop_assert_eq!(store.open_finding_count().await.unwrap(), page.items.len() as u64);
    let expected = recount(&entries, now);
    let found: Found = page
        .items
        .into_iter()
        .map(|finding| {
            let kind = expected.iter().map(|known| known.0).find(|kind| *kind == finding.kind).unwrap_or("unexpected");
            (kind, finding.subject, finding.currency, finding.minor_units)
        })
        .collect();
    prop_assert_eq!(found, expected, "{:#?}", entries);
    Ok(())
}

async fn append(store: &EmbeddedStore, entries: Vec<NewEntry>, now: Timestamp) -> Vec<LedgerEntry> {
    let appended = store.append_entries(entries, now).await.unwrap();
    let entry = |appended| match appended {
        AppendedEntry::New(entry) | AppendedEntry::Duplicate(entry) => *entry,
    };
    appended.into_iter().map(entry).collect()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn findings_equal_a_recount_after_each_commit_and_at_any_time(
        drafts in drafts(), cuts in prop::collection::vec(any::<bool>(), 12), waits in prop::collection::vec(prop_oneof![3 => 0..DAY, 1 => 0..40 * DAY], 26),
    ) {
        run(async {
            let folder = tempfile::tempdir().unwrap();
            let (store, _) = EmbeddedStore::open(EmbeddedStore::config(folder.path())).unwrap();
            let (mut now, mut waits) = (Timestamp::from_millis(1_000 * DAY), waits.into_iter());
            let (mut batch, mut ends) = (Vec::new(), Vec::new());
            let last = drafts.len() - 1;
            for (place, (id, draft)) in drafts.iter().enumerate() {
                batch.push((entry(*id, draft, now), draft.reserves.flatten()));
                if !(cuts[place] || place == last) {
                    continue;
                }
                let (new, reserves): (Vec<_>, Vec<_>) = std::mem::take(&mut batch).into_iter().unzip();
                let appended = append(&store, new, now).await;
                ends.extend(appended.into_iter().zip(reserves).filter_map(|(entry, settles)| Some((entry, settles?))));
                check(&store, now).await?;
                now = now.plus_millis(waits.next().unwrap());
                check(&store, now).await?;
            }
            for (reserved, settles) in ends {
                append(&store, vec![end(&reserved, settles)], now).await;
                check(&store, now).await?;
                now = now.plus_millis(waits.next().unwrap());
            }
            check(&store, now.plus_millis(60 * DAY)).await?;
            let checked = store.check_ledger().await.unwrap();
            prop_assert_eq!(checked.problems, Vec::<String>::new());
            Ok(())
        })?;
    }
}

fn sale(id: &str, kind: EntryKind, minor_units: i64, of: Option<&str>) -> NewEntry {
    let draft = Draft { kind, minor_units, dollars: false, of: None, link: None, reserves: None, ahead_millis: 0 };
    let entry = entry(0, &draft, Timestamp::from_millis(DAY));
    let content = EntryContent {
        kind,
        minor_units,
        currency: "EUR",
        occurred_at: entry.occurred_at,
        of,
        call: EntryCall::Post,
        customer: None,
    };
    NewEntry { external_id: id.to_owned(), of: of.map(str::to_owned), content: content.hash(), ..entry }
}

#[test]
fn a_person_closes_a_finding_which_opens_again_with_another_amount() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = EmbeddedStore::open(EmbeddedStore::config(folder.path())).unwrap();
        let at = |day: u64| Timestamp::from_millis(day * DAY);
        append(&store, vec![sale("ch", EntryKind::Sale, 10, None)], at(1)).await;
        append(&store, vec![sale("re", EntryKind::Refund, 15, Some("ch"))], at(2)).await;
        let list = async |closed| {
            let filter = FindingFilter { closed, ..FindingFilter::default() };
            store.findings(filter, PageRequest::first(10)).await.unwrap().items
        };
        let [_, over] = &list(false).await[..] else { panic!("two findings") };
        assert_eq!((over.number, over.kind.as_str(), over.minor_units), (1, "over-refunded", Some(5)));
        let closure = FindingClosure { at: at(3), actor: "ann".into(), reason: "goodwill".into() };
        let closed = store.close_finding(1, closure.clone()).await.unwrap();
        assert_eq!(closed.closure, Some(closure.clone()));
        let again = FindingClosure { reason: "other".into(), ..closure };
        assert_eq!(store.close_finding(1, again.clone()).await.unwrap(), closed);
        assert_eq!(list(true).await, [closed]);
        assert_eq!(store.open_finding_count().await, Ok(1));
        assert!(store.close_finding(9, again).await.is_err());

        append(&store, vec![sale("re-2", EntryKind::Refund, 1, Some("ch"))], at(4)).await;
        let [_, over] = &list(false).await[..] else { panic!("it is open again") };
        assert_eq!((over.number, over.minor_units, &over.closure), (1, Some(6), &None));
        append(&store, vec![sale("rr", EntryKind::RefundReversal, 15, Some("re"))], at(5)).await;
        assert!(list(false).await.iter().all(|finding| finding.kind != "over-refunded"), "{:?}", list(false).await);
        assert_eq!(list(true).await, []);
    });
}

#[test]
fn an_id_that_comes_again_with_other_content_is_a_finding_until_its_entry_is_corrected() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = EmbeddedStore::open(EmbeddedStore::config(folder.path())).unwrap();
        let now = Timestamp::from_millis(DAY);
        append(&store, vec![sale("ch", EntryKind::Sale, 10, None)], now).await;
        for _ in 0..2 {
            store.note_id_conflict(&stream(), "ch", now).await.unwrap();
        }
        store.note_id_conflict(&stream(), "other", now).await.unwrap();
        let page = store.findings(FindingFilter::default(), PageRequest::first(10)).await.unwrap();
        let [conflict] = &page.items[..] else { panic!("{page:?}") };
        assert_eq!((conflict.kind.as_str(), conflict.subject.as_str(), conflict.sequence), ("id-conflict", "ch", 1));
        let reversal = sale("entry-1/corrected", EntryKind::SaleReversal, 10, Some("ch"));
        append(&store, vec![NewEntry { call: EntryCall::Correct, ..reversal }], now).await;
        assert_eq!(store.open_finding_count().await, Ok(0));
    });
}
