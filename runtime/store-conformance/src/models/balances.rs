//! Random entries of one customer, on the store and on the rules of core in memory, which must
//! write the same parts and leave the same balance. In the end the ledger's own check agrees, and
//! the balance as of each entry is what it was then.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tidemill_core::Timestamp;
use tidemill_core::money::EntryKind;
use tidemill_core::money::balance::{
    AccountChange, AccountEdit, AccountEntry, AccountRows, Balance, BalanceEffect, GrantPart, GrantTerms,
};
use tidemill_store::Store;
use tidemill_store::records::{AsOf, BalanceFilter, NewEntry, OwnEntries, PageRequest};

use crate::Factory;
use crate::fixture::later;
use crate::ledger::balances::{account, append, credit, ended, held};
use crate::ledger::with_content;
use crate::sequences::{self, failed};

const KINDS: [EntryKind; 8] = [
    EntryKind::Prepayment,
    EntryKind::Promotion,
    EntryKind::Drawdown,
    EntryKind::Drawdown,
    EntryKind::Breakage,
    EntryKind::PrepaymentReversal,
    EntryKind::DrawdownReversal,
    EntryKind::BreakageReversal,
];

#[derive(Debug, Clone)]
enum BalanceStep {
    Post(Terms),
    Reserve(Terms),
    /// Settles this share of a reservation, in per cent, or voids it.
    End {
        which: prop::sample::Index,
        settle: Option<i64>,
    },
    /// Time passes, and the timers may run.
    Time {
        millis: u64,
        expire: bool,
        lapse: bool,
    },
}

#[derive(Debug, Clone)]
struct Terms {
    kind: usize,
    cents: i64,
    ago: u64,
    of: prop::sample::Index,
    lives: Option<u64>,
    late: u64,
    priority: u8,
}

fn terms() -> impl Strategy<Value = Terms> {
    let order = (prop::option::of(1_u64..40), 0_u64..9, 99_u8..102);
    (0..KINDS.len(), 1_i64..60, 0_u64..12, any::<prop::sample::Index>(), order).prop_map(
        |(kind, cents, ago, of, (lives, late, priority))| Terms { kind, cents, ago, of, lives, late, priority },
    )
}

fn step() -> impl Strategy<Value = BalanceStep> {
    prop_oneof![
        6 => terms().prop_map(BalanceStep::Post),
        3 => terms().prop_map(BalanceStep::Reserve),
        3 => (any::<prop::sample::Index>(), prop::option::weighted(0.7, 1_i64..=100))
            .prop_map(|(which, settle)| BalanceStep::End { which, settle }),
        3 => (1_u64..15, any::<bool>(), any::<bool>())
            .prop_map(|(millis, expire, lapse)| BalanceStep::Time { millis, expire, lapse }),
    ]
}

#[derive(Default)]
struct BalanceModel {
    now: u64,
    rows: AccountRows,
    ids: Vec<String>,
    holds: Vec<NewEntry>,
    /// The balance after each entry, with its sequence number.
    history: Vec<(u64, Balance)>,
}

impl BalanceModel {
    fn apply(&mut self, change: &AccountChange<'_>) -> Vec<GrantPart> {
        let mut edit = AccountEdit::new(&self.rows);
        let Ok(parts) = edit.apply(change, later(self.now));
        let changes = edit.into_changes();
        self.rows.extend(changes);
        parts
    }

    fn balance(&self) -> Balance {
        let Ok(balance) = AccountEdit::new(&self.rows).balance(later(self.now));
        balance
    }

    fn is_over(&self, hold: &NewEntry) -> bool {
        hold.expires_at.is_some_and(|end| end <= later(self.now))
    }
}

pub(crate) fn compare(cases: u32, empty: Factory<'_>) {
    let steps = prop::collection::vec(step(), 1..40);
    sequences::compare("accounts of customers and their model differ", cases, empty, &steps, play);
    let steps = prop::collection::vec(step(), 80..200);
    sequences::compare("long accounts of customers and their model differ", cases.div_ceil(16), empty, &steps, play);
}

async fn play(store: Arc<dyn Store>, steps: Vec<BalanceStep>) -> Result<(), TestCaseError> {
    let mut model = BalanceModel::default();
    for (number, step) in steps.into_iter().enumerate() {
        run(&store, &mut model, number, step).await?;
        let (balance, _) =
            store.balance(&account(), &mut OwnEntries::default(), later(model.now)).await.map_err(failed)?;
        prop_assert_eq!(balance, model.balance());
    }
    let check = store.check_ledger().await.map_err(failed)?;
    prop_assert_eq!(&check.problems, &Vec::<String>::new());
    let filter = BalanceFilter { stream: None, customer: Some("c".into()) };
    for (sequence, balance) in &model.history {
        let page = store.balances(&filter, PageRequest::first(1), Some(AsOf::Sequence(*sequence)), later(0)).await;
        prop_assert_eq!(&page.map_err(failed)?.items[0].balance, balance, "as of {}", sequence);
    }
    Ok(())
}

async fn run(
    store: &Arc<dyn Store>,
    model: &mut BalanceModel,
    number: usize,
    step: BalanceStep,
) -> Result<(), TestCaseError> {
    let now = later(model.now);
    match step {
        BalanceStep::Post(terms) => post(store, model, number, &terms, false).await,
        BalanceStep::Reserve(terms) => post(store, model, number, &terms, true).await,
        BalanceStep::End { which, settle } => {
            let open: Vec<_> = model.holds.iter().filter(|hold| !model.is_over(hold)).cloned().collect();
            if open.is_empty() {
                return Ok(());
            }
            let reserved = which.get(&open);
            model.holds.retain(|hold| hold.id != reserved.id);
            let cents = settle.map(|share| (reserved.minor_units * share / 100).max(1));
            let stored = append(store, ended(reserved, cents, now), now).await;
            let kind = EntryKind::parse(&reserved.kind).expect("a kind");
            let entry = entry_of(kind, reserved, stored.sequence, reserved.occurred_at);
            let parts = match cents {
                Some(minor_units) => model.apply(&AccountChange::Settle(AccountEntry { minor_units, ..entry })),
                None => model.apply(&AccountChange::Release(&reserved.external_id)),
            };
            prop_assert_eq!(&stored.parts, &parts);
            model.history.push((stored.sequence, model.balance()));
            Ok(())
        }
        BalanceStep::Time { millis, expire, lapse } => {
            model.now += millis;
            if expire {
                store.expire_reservations(later(model.now), 500).await.map_err(failed)?;
                let mut edit = AccountEdit::new(&model.rows);
                let Ok(()) = edit.release_due(later(model.now));
                let changes = edit.into_changes();
                model.rows.extend(changes);
            }
            if lapse { lapse_all(store, model).await } else { Ok(()) }
        }
    }
}

async fn lapse_all(store: &Arc<dyn Store>, model: &mut BalanceModel) -> Result<(), TestCaseError> {
    let now = later(model.now);
    let lapsed = store.lapse_grants(now, 500).await.map_err(failed)?;
    let grants: Vec<_> = model.rows.grants().filter(|grant| grant.lapses(now)).cloned().collect();
    prop_assert_eq!(lapsed.done, grants.len());
    for grant in grants {
        let entry = AccountEntry {
            id: "lapse",
            sequence: 0,
            effect: BalanceEffect::Lapse,
            minor_units: grant.left,
            occurred_at: now,
            of: Some(&grant.id),
            terms: None,
            late_usage_millis: 0,
        };
        model.apply(&AccountChange::Post(entry));
    }
    Ok(())
}

async fn post(
    store: &Arc<dyn Store>,
    model: &mut BalanceModel,
    number: usize,
    terms: &Terms,
    reserves: bool,
) -> Result<(), TestCaseError> {
    let (now, kind) = (later(model.now), KINDS[terms.kind]);
    let at = later(model.now.saturating_sub(terms.ago));
    let of = (!model.ids.is_empty()).then(|| terms.of.get(&model.ids).clone());
    let end = terms.lives.map(|lives| format!(",\"expires_at\":{}", at.plus_millis(lives).as_millis()));
    let metadata = format!("{{\"grant\":{{\"priority\":{}{}}}}}", terms.priority, end.unwrap_or_default());
    let entry = credit(&format!("e{number}"), kind, terms.cents, at);
    let entry = with_content(NewEntry { of, metadata, late_usage_millis: terms.late, ..entry });
    let expires_at = terms.lives.map(|lives| later(model.now + lives));
    let entry = if reserves { held(entry, expires_at) } else { entry };
    let stored = append(store, entry.clone(), now).await;
    let given = entry_of(kind, &entry, stored.sequence, at);
    let change = if reserves { AccountChange::Reserve(given, entry.expires_at) } else { AccountChange::Post(given) };
    let parts = model.apply(&change);
    prop_assert_eq!(&stored.parts, &parts);
    model.ids.push(entry.external_id.clone());
    if reserves {
        model.holds.push(entry);
    }
    model.history.push((stored.sequence, model.balance()));
    Ok(())
}

fn entry_of(kind: EntryKind, entry: &NewEntry, sequence: u64, occurred_at: Timestamp) -> AccountEntry<'_> {
    AccountEntry {
        id: &entry.external_id,
        sequence,
        effect: BalanceEffect::of_kind(kind).expect("an effect"),
        minor_units: entry.minor_units,
        occurred_at,
        of: entry.of.as_deref(),
        terms: GrantTerms::read(&entry.metadata, occurred_at).ok(),
        late_usage_millis: entry.late_usage_millis,
    }
}
