//! Claims about accounts of customers, and about floors.

use std::sync::Arc;

use tidemill_core::Timestamp;
use tidemill_core::money::balance::{GrantPart, PartSource};
use tidemill_core::money::{EntryCall, EntryKind, net_revenue};
use tidemill_store::Store;
use tidemill_store::records::{
    AppendedEntry, AsOf, BalanceCheck, BalanceDecision, BalanceFilter, BalanceQuestion, CustomerAccount,
    CustomerBalance, CustomerFloor, FloorAccount, LedgerEntry, NewEntry, OwnEntries, PageRequest, ReadCheck,
    RunCommitResult,
};

use super::{by_host, legs, stream, with_content};
use crate::fixture::{NOON, claimed_run, deploy, later, owner, success};

/// Returns an entry of no run about the customer `c`.
pub(crate) fn credit(id: &str, kind: EntryKind, cents: i64, at: Timestamp) -> NewEntry {
    let net_revenue = net_revenue(kind.legs(cents).expect("an amount"));
    let made = by_host("a", id, cents);
    with_content(NewEntry {
        kind: kind.as_str().into(),
        legs: legs(kind, cents),
        net_revenue,
        occurred_at: at,
        customer: Some("c".into()),
        ..made
    })
}

/// Returns a reservation of no run.
pub(crate) fn held(entry: NewEntry, expires_at: Option<Timestamp>) -> NewEntry {
    let (id, pending) = (format!("{}-held", entry.external_id), entry.legs.clone());
    with_content(NewEntry { id, call: EntryCall::Reserve, net_revenue: 0, pending, legs: vec![], expires_at, ..entry })
}

/// Returns the entry of no run that settles a reservation; `None` voids it.
pub(crate) fn ended(reserved: &NewEntry, settle: Option<i64>, at: Timestamp) -> NewEntry {
    let (call, suffix) = if settle.is_some() { (EntryCall::Settle, "settled") } else { (EntryCall::Void, "voided") };
    let kind = EntryKind::parse(&reserved.kind).expect("a kind");
    let posted = settle.and_then(|cents| kind.legs(cents));
    let mut pending = reserved.pending.clone();
    pending.iter_mut().for_each(|leg| leg.minor_units = -leg.minor_units);
    with_content(NewEntry {
        id: String::new(),
        external_id: format!("{}/{suffix}", reserved.external_id),
        call,
        minor_units: settle.unwrap_or(reserved.minor_units),
        net_revenue: posted.map_or(0, net_revenue),
        occurred_at: at,
        legs: settle.map(|cents| legs(kind, cents)).unwrap_or_default(),
        pending,
        reservation: Some(reserved.id.clone()),
        expires_at: None,
        ..reserved.clone()
    })
}

/// Appends an entry that is not known, and returns it as it is stored.
pub(crate) async fn append(store: &Arc<dyn Store>, entry: NewEntry, now: Timestamp) -> LedgerEntry {
    let appended = store.append_entries(vec![entry], now).await.expect("appended");
    let [AppendedEntry::New(entry)] = appended.as_slice() else { panic!("{appended:?}") };
    (**entry).clone()
}

pub(crate) fn account() -> CustomerAccount {
    CustomerAccount { stream: stream("a"), currency: "EUR".into(), customer: "c".into() }
}

async fn available(store: &Arc<dyn Store>, now: Timestamp) -> i128 {
    store.balance(&account(), &mut OwnEntries::default(), now).await.expect("a balance").0.available
}

fn asked(entry: &NewEntry, partial: bool) -> BalanceQuestion {
    BalanceQuestion {
        stream: entry.stream.clone(),
        account: FloorAccount::Customer("c".into()),
        currency: entry.currency.clone(),
        kind: entry.kind.clone(),
        external_id: entry.external_id.clone(),
        of: entry.of.clone(),
        minor_units: entry.minor_units,
        occurred_at: entry.occurred_at,
        partial,
        floor: 0,
    }
}

fn part(grant: &str, cents: i64) -> GrantPart {
    GrantPart::of_grant(grant, cents)
}

async fn checked(store: &Arc<dyn Store>) {
    assert_eq!(store.check_ledger().await.expect("a check").problems, Vec::<String>::new());
}

pub(crate) async fn an_account_of_a_customer_moves_as_its_rules_say(store: Arc<dyn Store>) {
    let terms = |entry: NewEntry, text: &str| NewEntry { metadata: text.to_owned(), ..entry };
    let expires = format!("{{\"grant\":{{\"expires_at\":{}}}}}", later(10).as_millis());
    let p = terms(credit("P", EntryKind::Promotion, 500, later(1)), &expires);
    append(&store, p, later(1)).await;
    append(&store, credit("A", EntryKind::Prepayment, 1_000, later(1)), later(1)).await;
    let b = terms(credit("B", EntryKind::Prepayment, 300, later(1)), r#"{"grant":{"priority":50}}"#);
    append(&store, b, later(1)).await;
    let drawn = append(&store, credit("d1", EntryKind::Drawdown, 600, later(5)), later(5)).await;
    assert_eq!(drawn.parts, [part("B", 300), part("P", 300)]);
    assert_eq!((available(&store, later(9)).await, available(&store, later(10)).await), (1_200, 1_000));
    let lapsed = store.lapse_grants(later(10), 9).await.expect("a tick");
    assert_eq!((lapsed.done, lapsed.next), (1, None));
    let rest = store.ledger_entry_of(&stream("a"), "P/expired").await.expect("a read").expect("an entry");
    assert_eq!((rest.kind.as_str(), rest.minor_units, rest.occurred_at), ("promotion-reversal", 200, later(10)));
    assert_eq!((rest.parts.as_slice(), rest.of.as_deref()), ([part("P", 200)].as_slice(), Some("P")));
    let hold = held(credit("r1", EntryKind::Drawdown, 400, later(11)), None);
    assert_eq!(append(&store, hold.clone(), later(11)).await.parts, [part("A", 400)]);
    let d2 = credit("d2", EntryKind::Drawdown, 700, later(11));
    let short = BalanceDecision::Short { available: 600, floor: 0, needed: 700 };
    assert_eq!(store.decide(&asked(&d2, false), &mut OwnEntries::default(), later(11)).await, Ok(short));
    assert_eq!(
        store.decide(&asked(&d2, true), &mut OwnEntries::default(), later(11)).await,
        Ok(BalanceDecision::Covered(600))
    );
    append(&store, credit("d2", EntryKind::Drawdown, 600, later(11)), later(11)).await;
    assert_eq!(append(&store, ended(&hold, Some(250), later(12)), later(12)).await.parts, [part("A", 250)]);
    assert_eq!(available(&store, later(12)).await, 150);
    let posted = append(&store, credit("d3", EntryKind::Drawdown, 200, later(13)), later(13)).await;
    assert_eq!(posted.parts, [part("A", 150), GrantPart::debt(50)]);
    assert_eq!(available(&store, later(13)).await, -50);
    let paid = append(&store, credit("C", EntryKind::Prepayment, 100, later(14)), later(14)).await;
    assert_eq!(paid.parts, [GrantPart { source: PartSource::DebtOf("d3".into()), minor_units: 50 }]);
    assert_eq!(available(&store, later(14)).await, 50);
    let back = NewEntry { of: Some("d3".into()), ..credit("x", EntryKind::DrawdownReversal, 60, later(15)) };
    assert_eq!(append(&store, with_content(back), later(15)).await.parts, [part("C", 50), part("A", 10)]);
    let totals = store.account_totals(Some(&stream("a")), later(15)).await.expect("totals");
    let deferred = totals.iter().find(|total| total.account == "deferred").expect("deferred");
    assert_eq!((deferred.minor_units, available(&store, later(15)).await), (-110, 110));
    checked(&store).await;
}

pub(crate) async fn an_expired_hold_is_returned_before_the_next_entry(store: Arc<dyn Store>) {
    append(&store, credit("A", EntryKind::Prepayment, 100, NOON), NOON).await;
    for id in ["h1", "h2"] {
        append(&store, held(credit(id, EntryKind::Drawdown, 40, NOON), Some(later(5))), NOON).await;
    }
    assert_eq!((available(&store, later(4)).await, available(&store, later(5)).await), (20, 100));
    let drawn = append(&store, credit("d", EntryKind::Drawdown, 90, later(6)), later(6)).await;
    assert_eq!((drawn.parts.as_slice(), drawn.sequence), ([part("A", 90)].as_slice(), 6));
    for id in ["h1/expired", "h2/expired"] {
        let back = store.ledger_entry_of(&stream("a"), id).await.expect("a read").expect("an entry");
        assert_eq!((back.parts.as_slice(), back.occurred_at), ([part("A", 40)].as_slice(), later(5)));
    }
    assert_eq!(store.expire_reservations(later(9), 9).await.expect("a tick").done, 0);
    checked(&store).await;
}

pub(crate) async fn a_decision_conflicts_only_if_it_would_be_another(store: Arc<dyn Store>) {
    deploy(&store, "a").await;
    let me = owner(&store).await;
    append(&store, credit("A", EntryKind::Prepayment, 100, NOON), NOON).await;
    let draw = async |id: &str, cents, covered: Option<i64>, partial| {
        let run = claimed_run(&store, &me, "a").await;
        let entry = credit(id, EntryKind::Drawdown, cents, NOON);
        let question = asked(&entry, partial);
        let mut commit = success(&me, &run);
        (commit.reads, commit.now) =
            (vec![ReadCheck::Balance(Box::new(BalanceCheck { after: 0, question, covered }))], NOON);
        if let Some(cents) = covered.filter(|cents| *cents > 0) {
            let entry = credit(id, EntryKind::Drawdown, cents, NOON);
            let id = format!("{}-{id}", run.id);
            commit.postings = vec![with_content(NewEntry { id, run: Some(run.id), call: EntryCall::Draw, ..entry })];
        }
        matches!(store.commit_run(commit).await.expect("no error"), RunCommitResult::Done(_))
    };
    // All three were decided when 100 were available.
    assert!(draw("1", 60, Some(60), false).await);
    assert!(draw("2", 40, Some(40), false).await);
    assert!(!draw("3", 1, Some(1), false).await, "the account would end below its floor");
    assert!(draw("4", 1, None, false).await, "a refusal that still holds");
    assert!(draw("5", 5, Some(0), true).await, "nothing is what a partial draw gets");
    append(&store, credit("B", EntryKind::Prepayment, 3, NOON), NOON).await;
    assert!(!draw("6", 1, None, false).await, "a refusal that no longer holds");
    assert!(!draw("7", 5, Some(2), true).await, "a partial draw that gets more");
    assert!(draw("8", 5, Some(3), true).await);
    assert_eq!(available(&store, NOON).await, 0);
    checked(&store).await;
}

pub(crate) async fn a_decision_sees_the_entries_of_its_transaction(store: Arc<dyn Store>) {
    append(&store, credit("A", EntryKind::Prepayment, 100, NOON), NOON).await;
    let own = [
        credit("d", EntryKind::Drawdown, 70, NOON),
        held(credit("h", EntryKind::Drawdown, 20, NOON), None),
        credit("B", EntryKind::Prepayment, 5, NOON),
    ];
    let question = asked(&credit("n", EntryKind::Drawdown, 50, NOON), false);
    for (after, short) in [(1, 30), (2, 10), (3, 15)] {
        let answer = store.decide(&question, &mut own[..after].iter().cloned().collect(), NOON).await;
        assert_eq!(answer, Ok(BalanceDecision::Short { available: short, floor: 0, needed: 50 }));
        let check = |covered| BalanceCheck { after, question: question.clone(), covered };
        assert_eq!(store.decisions_hold(&[check(None)], &own, NOON).await, Ok(true));
        assert_eq!(store.decisions_hold(&[check(None), check(Some(50))], &own, NOON).await, Ok(false));
    }
    let (balance, floor) = store.balance(&account(), &mut own.into_iter().collect(), NOON).await.expect("a balance");
    assert_eq!((balance.available, balance.held, floor), (15, 20, None));
}

pub(crate) async fn questions_in_a_row_have_the_answers_of_single_ones(store: Arc<dyn Store>) {
    append(&store, credit("A", EntryKind::Prepayment, 500, NOON), NOON).await;
    append(&store, credit("B", EntryKind::Prepayment, 300, NOON), NOON).await;
    let later_grant = credit("G", EntryKind::Prepayment, 70, NOON);
    let reserved = held(later_grant.clone(), None);
    let mut entries = vec![reserved.clone(), held(credit("h", EntryKind::Drawdown, 20, NOON), Some(later(9)))];
    entries.extend((0..20).map(|n| credit(&format!("d{n}"), EntryKind::Drawdown, 30, NOON)));
    entries.push(ended(&reserved, Some(70), later(3)));
    entries.extend((20..30).map(|n| credit(&format!("d{n}"), EntryKind::Drawdown, 30, later(4))));
    let mut own = OwnEntries::default();
    for (count, entry) in entries.iter().enumerate() {
        own.push(Arc::new(entry.clone()));
        let now = later(count as u64);
        if count % 7 == 6 {
            // Another commit moves the account.
            append(&store, credit(&format!("o{count}"), EntryKind::Drawdown, 5, now), now).await;
        }
        let question = asked(&credit("n", EntryKind::Drawdown, 900, now), count % 2 == 0);
        let single = || entries[..=count].iter().cloned().collect::<OwnEntries>();
        let answer = store.decide(&question, &mut own, now).await;
        assert_eq!(answer, store.decide(&question, &mut single(), now).await, "after {count} entries");
        let balance = store.balance(&account(), &mut own, now).await;
        assert_eq!(balance, store.balance(&account(), &mut single(), now).await, "after {count} entries");
    }
}

pub(crate) async fn a_floor_is_the_customer_s_own_or_the_deployment_s(store: Arc<dyn Store>) {
    let question = |floor| BalanceQuestion { floor, ..asked(&credit("d", EntryKind::Drawdown, 50, NOON), false) };
    let decide =
        async |floor| store.decide(&question(floor), &mut OwnEntries::default(), NOON).await.expect("a decision");
    let short = |floor| BalanceDecision::Short { available: 0, floor, needed: 50 };
    assert_eq!((decide(0).await, decide(-49).await), (short(0), short(-49)));
    assert_eq!(decide(-50).await, BalanceDecision::Covered(50));
    let floor = CustomerFloor { minor_units: -60, set_at: NOON };
    store.set_customer_floor(account(), Some(floor.clone()), NOON).await.expect("a floor");
    assert_eq!(store.customer_floor(&account()).await, Ok(Some(floor)));
    assert_eq!(decide(0).await, BalanceDecision::Covered(50));
    store.set_customer_floor(account(), None, NOON).await.expect("no floor");
    assert_eq!(decide(0).await, short(0));
}

pub(crate) async fn an_account_of_the_stream_has_what_is_posted_less_what_is_reserved(store: Arc<dyn Store>) {
    let plain = |id: &str, kind, cents| NewEntry { customer: None, ..credit(id, kind, cents, NOON) };
    append(&store, plain("s", EntryKind::Sale, 100), NOON).await;
    append(&store, held(plain("in", EntryKind::Sale, 500), None), NOON).await;
    let out = held(plain("out", EntryKind::Refund, 30), None);
    append(&store, out.clone(), NOON).await;
    append(&store, held(plain("late", EntryKind::Fee, 20), Some(later(5))), NOON).await;
    let question = BalanceQuestion {
        account: FloorAccount::Stream("receivable".into()),
        ..asked(&plain("p", EntryKind::Payout, 1_000), false)
    };
    let left = async |own: &[NewEntry], now| match store
        .decide(&question, &mut own.iter().cloned().collect(), now)
        .await
        .expect("a decision")
    {
        BalanceDecision::Short { available, .. } => available,
        other => panic!("1000 are not there: {other:?}"),
    };
    assert_eq!((left(&[], NOON).await, left(&[], later(5)).await), (50, 70));
    let own = [plain("t", EntryKind::Sale, 7), held(plain("u", EntryKind::Fee, 3), None), ended(&out, Some(10), NOON)];
    assert_eq!((left(&own[..2], NOON).await, left(&own, NOON).await), (54, 74));
    append(&store, ended(&out, Some(10), NOON), NOON).await;
    assert_eq!(left(&[], NOON).await, 70);
    checked(&store).await;
}

pub(crate) async fn a_rest_lapses_when_late_usage_is_over_and_nothing_is_held(store: Arc<dyn Store>) {
    let metadata = format!("{{\"grant\":{{\"expires_at\":{}}}}}", later(10).as_millis());
    let grant = |id: &str| NewEntry {
        metadata: metadata.clone(),
        late_usage_millis: 5,
        ..credit(id, EntryKind::Prepayment, 100, NOON)
    };
    append(&store, grant("A"), NOON).await;
    append(&store, grant("B"), NOON).await;
    append(&store, held(credit("h", EntryKind::Drawdown, 30, NOON), Some(later(20))), NOON).await;
    let late = append(&store, credit("late", EntryKind::Drawdown, 10, later(9)), later(14)).await;
    assert_eq!(late.parts, [part("A", 10)]);
    let tick = async |at| store.lapse_grants(later(at), 9).await.expect("a tick");
    assert_eq!((tick(14).await.done, tick(14).await.next), (0, Some(later(15))));
    let first = tick(15).await;
    assert_eq!((first.done, first.next), (1, None), "a part of A is held");
    assert_eq!(store.expire_reservations(later(20), 9).await.expect("a tick").done, 1);
    assert_eq!(tick(20).await.done, 1);
    let rest = async |id: &str| {
        let rest = store.ledger_entry_of(&stream("a"), id).await.expect("a read").expect("an entry");
        (rest.kind.clone(), rest.minor_units, rest.net_revenue)
    };
    assert_eq!(rest("B/expired").await, ("breakage".into(), 100, 100));
    assert_eq!(rest("A/expired").await, ("breakage".into(), 90, 90));
    // What returns later lapses again, under another id.
    let back = NewEntry { of: Some("late".into()), ..credit("x", EntryKind::DrawdownReversal, 10, later(21)) };
    append(&store, with_content(back), later(21)).await;
    assert_eq!((available(&store, later(21)).await, tick(21).await.done), (0, 1));
    assert_eq!(rest("A/expired#2").await.1, 10);
    checked(&store).await;
}

pub(crate) async fn balances_are_listed_as_they_are_and_as_they_were(store: Arc<dyn Store>) {
    let of = |customer: &str, entry: NewEntry| with_content(NewEntry { customer: Some(customer.into()), ..entry });
    for (number, customer) in ["c", "d\0x", "c2"].into_iter().enumerate() {
        append(&store, of(customer, credit(&number.to_string(), EntryKind::Prepayment, 100, NOON)), NOON).await;
    }
    let dollars = NewEntry { currency: "USD".into(), ..credit("usd", EntryKind::Prepayment, 7, NOON) };
    append(&store, with_content(dollars), NOON).await;
    append(&store, credit("d", EntryKind::Drawdown, 30, later(1)), later(1)).await;
    let list = async |customer: Option<&str>, as_of, limit| {
        let filter = BalanceFilter { stream: Some(stream("a")), customer: customer.map(str::to_owned) };
        let page = store.balances(&filter, PageRequest::first(limit), as_of, later(2)).await.expect("a page");
        let shown = |item: CustomerBalance| (item.account.customer, item.account.currency, item.balance.available);
        (page.items.into_iter().map(shown).collect::<Vec<_>>(), page.next.is_some())
    };
    let shown = |customer: &str, currency: &str, cents| (customer.to_owned(), currency.to_owned(), cents);
    let (c, d) = (shown("c", "EUR", 70), shown("d\0x", "EUR", 100));
    let (c2, usd) = (shown("c2", "EUR", 100), shown("c", "USD", 7));
    assert_eq!(list(None, None, 9).await, (vec![c.clone(), c2.clone(), d, usd.clone()], false));
    assert_eq!(list(None, None, 2).await, (vec![c.clone(), c2], true));
    assert_eq!(list(Some("c"), None, 9).await, (vec![c.clone(), usd], false));
    assert_eq!(list(Some("c"), None, 1).await, (vec![c], true));
    assert_eq!(list(Some("unknown"), None, 9).await, (vec![], false));
    assert_eq!(list(Some("c"), Some(AsOf::Sequence(4)), 1).await.0, [shown("c", "EUR", 100)]);
    assert_eq!(list(Some("c"), Some(AsOf::Time(NOON)), 1).await.0, [shown("c", "EUR", 100)]);
    assert_eq!(list(Some("c"), Some(AsOf::Time(later(1))), 1).await.0, [shown("c", "EUR", 70)]);
}
