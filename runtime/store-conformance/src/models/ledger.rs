//! Random entries and reservations, on the store and on a model that counts them its own way.
//!
//! After each step every currency sums to zero, posted and pending; balances, revenue and open
//! reservations are those of the model; and in the end every external id is there once, the chain
//! is unbroken, and the ledger's own check agrees.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tidemill_core::Timestamp;
use tidemill_core::ids::Owner;
use tidemill_store::Store;
use tidemill_store::records::{AppendedEntry, NewEntry, PageRequest, RunCommitResult};

use crate::Factory;
use crate::fixture::{claimed_run, deploy, later, name, owner, success};
use crate::ledger::{by_host, end_of, posting, reservation, stream};
use crate::sequences::{self, failed};

const CURRENCIES: [(&str, u8); 2] = [("EUR", 2), ("JPY", 0)];

#[derive(Debug, Clone)]
enum LedgerStep {
    /// One commit of a run.
    Commit(Vec<LedgerCall>),
    /// An entry of no run.
    Host { id: u8, cents: i64 },
    /// Time passes, and the timer may run.
    Time { millis: u64, timer: bool },
    /// The deployment is deleted and made again.
    Recreate,
}

#[derive(Debug, Clone)]
enum LedgerCall {
    Post {
        id: u8,
        cents: i64,
        yen: bool,
    },
    Reserve {
        id: u8,
        cents: i64,
        yen: bool,
        lives: Option<u64>,
    },
    /// Settles this share of a reservation, in per cent, or voids it.
    End {
        which: prop::sample::Index,
        settle: Option<i64>,
    },
}

fn call() -> impl Strategy<Value = LedgerCall> {
    let (id, cents) = (|| 0_u8..30, || 1_i64..1_000);
    prop_oneof![
        3 => (id(), cents(), any::<bool>()).prop_map(|(id, cents, yen)| LedgerCall::Post { id, cents, yen }),
        3 => (id(), cents(), any::<bool>(), prop::option::of(1_u64..400))
            .prop_map(|(id, cents, yen, lives)| LedgerCall::Reserve { id, cents, yen, lives }),
        4 => (any::<prop::sample::Index>(), prop::option::weighted(0.7, 1_i64..=100))
            .prop_map(|(which, settle)| LedgerCall::End { which, settle }),
    ]
}

fn step() -> impl Strategy<Value = LedgerStep> {
    prop_oneof![
        8 => prop::collection::vec(call(), 1..6).prop_map(LedgerStep::Commit),
        1 => (0_u8..30, 1_i64..1_000).prop_map(|(id, cents)| LedgerStep::Host { id, cents }),
        3 => (1_u64..200, any::<bool>()).prop_map(|(millis, timer)| LedgerStep::Time { millis, timer }),
        1 => Just(LedgerStep::Recreate),
    ]
}

/// A reservation of the model.
#[derive(Debug, Clone)]
struct ModelHold {
    entry: NewEntry,
    is_open: bool,
    /// Whether the ledger has the entry that returned it because its time was over.
    is_returned: bool,
}

#[derive(Debug, Clone, Default)]
struct LedgerModel {
    now: u64,
    /// Every external id that was posted.
    ids: Vec<String>,
    holds: Vec<ModelHold>,
    /// Posted by currency.
    posted: BTreeMap<String, i128>,
}

impl LedgerModel {
    fn time(&self) -> Timestamp {
        later(self.now)
    }

    fn is_over(&self, hold: &ModelHold) -> bool {
        hold.entry.expires_at.is_some_and(|end| end <= self.time())
    }

    /// Adds a call to the entries of a commit; returns whether the commit can still succeed.
    fn take(&mut self, entry: &NewEntry) -> bool {
        if self.ids.contains(&entry.external_id) {
            return false;
        }
        self.ids.push(entry.external_id.clone());
        if !entry.legs.is_empty() {
            *self.posted.entry(entry.currency.clone()).or_default() += i128::from(entry.minor_units);
        }
        true
    }

    /// What is pending by currency.
    fn pending(&self) -> BTreeMap<String, i128> {
        let mut pending: BTreeMap<String, i128> = BTreeMap::new();
        for hold in self.holds.iter().filter(|hold| hold.is_open && !self.is_over(hold)) {
            *pending.entry(hold.entry.currency.clone()).or_default() += i128::from(hold.entry.minor_units);
        }
        pending
    }
}

pub(crate) fn compare(cases: u32, empty: Factory<'_>) {
    sequences::compare("the ledger and its model differ", cases, empty, &prop::collection::vec(step(), 1..40), play);
}

async fn play(store: Arc<dyn Store>, steps: Vec<LedgerStep>) -> Result<(), TestCaseError> {
    deploy(&store, "a").await;
    let me = owner(&store).await;
    let mut model = LedgerModel::default();
    for step in steps {
        run(&store, &me, &mut model, step).await?;
        check(&store, &model).await?;
    }
    audit(&store, &model).await
}

async fn run(
    store: &Arc<dyn Store>,
    me: &Owner,
    model: &mut LedgerModel,
    step: LedgerStep,
) -> Result<(), TestCaseError> {
    match step {
        LedgerStep::Commit(calls) => commit(store, me, model, calls).await?,
        LedgerStep::Host { id, cents } => {
            let entry = by_host("a", &format!("h{id}"), cents);
            let known = model.ids.contains(&entry.external_id);
            match store.append_entries(vec![entry.clone()], model.time()).await {
                Ok(appended) => {
                    prop_assert_eq!(matches!(appended.as_slice(), [AppendedEntry::Duplicate(_)]), known);
                    if !known {
                        model.take(&entry);
                    }
                }
                Err(_) => prop_assert!(known),
            }
        }
        LedgerStep::Time { millis, timer } => {
            model.now += millis;
            if timer {
                expire(store, model).await?;
            }
        }
        LedgerStep::Recreate => {
            store.delete_deployment(&name("a"), model.time()).await.map_err(failed)?;
            deploy(store, "a").await;
        }
    }
    Ok(())
}

async fn expire(store: &Arc<dyn Store>, model: &mut LedgerModel) -> Result<(), TestCaseError> {
    let now = model.time();
    let mut expired = 0;
    loop {
        let tick = store.expire_reservations(now, 2).await.map_err(failed)?;
        expired += tick.done;
        if tick.next.is_none_or(|next| next > now) {
            break;
        }
    }
    let due: Vec<usize> =
        (0..model.holds.len()).filter(|at| model.holds[*at].is_open && model.is_over(&model.holds[*at])).collect();
    prop_assert_eq!(expired, due.len());
    for at in due {
        let hold = &mut model.holds[at];
        (hold.is_open, hold.is_returned) = (false, true);
        model.ids.push(format!("{}/expired", hold.entry.external_id));
    }
    Ok(())
}

async fn commit(
    store: &Arc<dyn Store>,
    me: &Owner,
    model: &mut LedgerModel,
    calls: Vec<LedgerCall>,
) -> Result<(), TestCaseError> {
    let run = claimed_run(store, me, "a").await;
    let mut commit = success(me, &run);
    commit.now = model.time();
    let mut after = model.clone();
    let mut expected = true;
    for call in calls {
        let currency = |entry: NewEntry, yen: bool| {
            let (currency, exponent) = CURRENCIES[usize::from(yen)];
            NewEntry { currency: currency.into(), exponent: Some(exponent), ..entry }
        };
        let entry = match call {
            LedgerCall::Post { id, cents, yen } => currency(posting(&run, &format!("p{id}"), cents), yen),
            LedgerCall::Reserve { id, cents, yen, lives } => {
                let end = lives.map(|lives| later(model.now + lives));
                let entry = currency(reservation(&run, &format!("r{id}"), cents, end), yen);
                if !after.ids.contains(&entry.external_id) {
                    after.holds.push(ModelHold { entry: entry.clone(), is_open: true, is_returned: false });
                }
                entry
            }
            LedgerCall::End { which, settle } => {
                if after.holds.is_empty() {
                    continue;
                }
                let at = which.index(after.holds.len());
                let hold = after.holds[at].clone();
                let cents = settle.map(|share| (hold.entry.minor_units * share / 100).max(1));
                // A reservation ends once, and not after its time.
                let fits = hold.is_open && !after.is_over(&hold);
                if !hold.is_open && commit.postings.iter().any(|made| made.reservation == Some(hold.entry.id.clone())) {
                    // The engine knows that its own transaction ended it.
                    continue;
                }
                expected &= fits;
                after.holds[at].is_open = false;
                end_of(&run, &hold.entry, cents, model.time())
            }
        };
        if commit.postings.iter().any(|made| made.external_id == entry.external_id) {
            // The engine answers a repeated id of its own transaction as a duplicate.
            continue;
        }
        expected &= after.take(&entry);
        commit.postings.push(entry);
    }
    let answer = store.commit_run(commit).await.map_err(failed)?;
    prop_assert_eq!(matches!(answer, RunCommitResult::Done(_)), expected, "{:?}", answer);
    if expected {
        *model = after;
    } else {
        // The run ends without its entries. A deployment whose runs have not ended is not deleted.
        let mut end = success(me, &run);
        end.now = model.time();
        let answer = store.commit_run(end).await.map_err(failed)?;
        prop_assert!(matches!(answer, RunCommitResult::Done(_)), "{:?}", answer);
    }
    Ok(())
}

/// Compares balances, revenue and open reservations.
async fn check(store: &Arc<dyn Store>, model: &LedgerModel) -> Result<(), TestCaseError> {
    let accounts = store.account_totals(Some(&stream("a")), model.time()).await.map_err(failed)?;
    let pending = model.pending();
    for (currency, _) in CURRENCIES {
        let of = accounts.iter().filter(|account| account.currency == currency);
        prop_assert_eq!(of.clone().map(|account| account.minor_units).sum::<i128>(), 0);
        prop_assert_eq!(of.clone().map(|account| account.pending).sum::<i128>(), 0);
        let receivable = of.clone().find(|account| account.account == "receivable");
        let found = receivable.map_or((0, 0), |account| (account.minor_units, account.pending));
        let counted = |sums: &BTreeMap<String, i128>| sums.get(currency).copied().unwrap_or_default();
        prop_assert_eq!(found, (counted(&model.posted), counted(&pending)));
    }
    for total in store.stream_totals().await.map_err(failed)? {
        prop_assert_eq!(total.net_revenue, model.posted.get(&total.currency).copied().unwrap_or_default());
    }
    let open = model.holds.iter().filter(|hold| hold.is_open).count();
    prop_assert_eq!(store.open_reservation_count().await.map_err(failed)?, open as u64);
    Ok(())
}

/// Compares the whole ledger at the end.
async fn audit(store: &Arc<dyn Store>, model: &LedgerModel) -> Result<(), TestCaseError> {
    let check = store.check_ledger().await.map_err(failed)?;
    prop_assert_eq!(&check.problems, &Vec::<String>::new());
    let mut found = Vec::new();
    let mut hash = [0; 32];
    for sequence in 1..=check.entries {
        let entry = store.ledger_entry_at(sequence).await.map_err(failed)?;
        let Some(entry) = entry else { return Err(failed(format!("entry {sequence} is missing"))) };
        prop_assert_eq!(entry.hash, entry.hash_after(&hash));
        hash = entry.hash;
        found.push(entry.external_id);
    }
    let mut expected = model.ids.clone();
    expected.sort();
    found.sort();
    prop_assert_eq!(found, expected);
    for hold in &model.holds {
        let stored = store.reservation(&hold.entry.id).await.map_err(failed)?;
        let Some(stored) = stored else { return Err(failed("a reservation is missing")) };
        prop_assert_eq!(stored.closed.is_none(), hold.is_open);
        let returned = stored.terms().state == tidemill_core::money::ReservationState::Expired;
        prop_assert_eq!(returned, hold.is_returned);
    }
    let open = store.open_reservations(PageRequest::first(500)).await.map_err(failed)?;
    prop_assert_eq!(open.items.len(), model.holds.iter().filter(|hold| hold.is_open).count());
    Ok(())
}
