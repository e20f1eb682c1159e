//! Random entries of two customers under a budget of each customer and one of the deployment, on
//! the store and on a model that sums all entries again for each question. In the end the ledger's
//! own check agrees.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tidemill_core::Timestamp;
use tidemill_core::budget::{BudgetCounter, BudgetScope};
use tidemill_core::money::EntryKind;
use tidemill_store::Store;
use tidemill_store::records::{BalanceDecision, FloorAccount, NewBudget, NewEntry, OwnEntries};

use crate::Factory;
use crate::fixture::NOON;
use crate::ledger::balances::{append, credit, ended, held};
use crate::ledger::budgets::{DAY, asked, budget, define, lines, of_customer};
use crate::sequences::{self, failed};

const KINDS: [EntryKind; 6] = [
    EntryKind::Usage,
    EntryKind::Usage,
    EntryKind::Drawdown,
    EntryKind::UsageReversal,
    EntryKind::DrawdownReversal,
    EntryKind::Sale,
];
const CUSTOMERS: [&str; 2] = ["c", "d"];
/// The limit of each customer, and that of the deployment, in cents.
const LIMITS: [i64; 2] = [100, 150];

#[derive(Debug, Clone)]
enum BudgetStep {
    /// Posts an amount, or reserves it; `obeys` is whether it takes only what the budgets allow.
    Take { terms: EntryTerms, lives: Option<u64>, reserves: bool, obeys: bool },
    /// Settles this share of a reservation, in per cent, or voids it.
    End { which: prop::sample::Index, settle: Option<i64> },
    /// Hours pass, and the timer may run.
    Time { hours: u64, expire: bool },
}

#[derive(Debug, Clone)]
struct EntryTerms {
    kind: usize,
    customer: usize,
    cents: i64,
    hours_ago: u64,
}

fn step() -> impl Strategy<Value = BudgetStep> {
    let terms = (0..KINDS.len(), 0..CUSTOMERS.len(), 1_i64..70, 0_u64..30)
        .prop_map(|(kind, customer, cents, hours_ago)| EntryTerms { kind, customer, cents, hours_ago });
    prop_oneof![
        6 => (terms, prop::option::of(1_u64..30), any::<bool>(), any::<bool>())
            .prop_map(|(terms, lives, reserves, obeys)| BudgetStep::Take { terms, lives, reserves, obeys }),
        3 => (any::<prop::sample::Index>(), prop::option::weighted(0.7, 1_i64..=100))
            .prop_map(|(which, settle)| BudgetStep::End { which, settle }),
        2 => (1_u64..30, any::<bool>()).prop_map(|(hours, expire)| BudgetStep::Time { hours, expire }),
    ]
}

/// What an entry took: its kind, whose it is and when it happened.
#[derive(Clone)]
struct TakenAmount {
    entry: NewEntry,
    /// What is posted of it.
    posted: i64,
    /// What is held of it until its end.
    held: i64,
}

#[derive(Default)]
struct BudgetModel {
    hours: u64,
    taken: Vec<TakenAmount>,
}

impl BudgetModel {
    fn now(&self) -> Timestamp {
        NOON.plus_millis(40 * DAY + self.hours * 3_600_000)
    }

    fn is_over(&self, taken: &TakenAmount) -> bool {
        taken.entry.expires_at.is_some_and(|end| end <= self.now())
    }

    /// What counts on the day of `at`: of a customer, or of all. `expired` is whether reservations
    /// whose time is over still count.
    fn counter(&self, customer: Option<&str>, at: Timestamp, expired: bool) -> BudgetCounter {
        let day = |at: Timestamp| at.as_millis() / DAY;
        let mut sum = BudgetCounter::default();
        for taken in &self.taken {
            let here = day(taken.entry.occurred_at) == day(at);
            if !here || customer.is_some_and(|customer| taken.entry.customer.as_deref() != Some(customer)) {
                continue;
            }
            let sign = match taken.entry.kind.as_str() {
                "usage" | "drawdown" => 1,
                "usage-reversal" | "drawdown-reversal" => -1,
                _ => continue,
            };
            sum.used += i128::from(sign * taken.posted);
            if sign > 0 && (expired || !self.is_over(taken)) {
                sum.held += i128::from(taken.held);
            }
        }
        sum
    }

    /// How much an entry may take.
    fn allowed(&self, entry: &NewEntry, budget: usize) -> Option<i64> {
        if !matches!(entry.kind.as_str(), "usage" | "drawdown") {
            return Some(entry.minor_units);
        }
        let customer = entry.customer.as_deref().filter(|_| budget == 0);
        let counter = self.counter(customer, entry.occurred_at, false);
        (counter.used + counter.held + i128::from(entry.minor_units) <= LIMITS[budget].into())
            .then_some(entry.minor_units)
    }
}

pub(crate) fn compare(cases: u32, empty: Factory<'_>) {
    let steps = prop::collection::vec(step(), 1..40);
    sequences::compare("budgets and their model differ", cases, empty, &steps, play);
}

async fn play(store: Arc<dyn Store>, steps: Vec<BudgetStep>) -> Result<(), TestCaseError> {
    let each = NewBudget { limit: LIMITS[0], ..budget(BudgetScope::Customer) };
    let whole =
        NewBudget { name: "whole".parse().expect("a name"), limit: LIMITS[1], ..budget(BudgetScope::Deployment) };
    define(&store, 1, vec![each, whole], NOON).await;
    let mut model = BudgetModel::default();
    for (number, step) in steps.into_iter().enumerate() {
        run(&store, &mut model, number, step).await?;
        for ago in [0, DAY] {
            let at = Timestamp::from_millis(model.now().as_millis() - ago);
            for line in lines(&store, None, at).await {
                let Some(counter) = line.counter else { continue };
                prop_assert_eq!(counter, model.counter(line.customer.as_deref(), at, true));
            }
        }
    }
    let check = store.check_ledger().await.map_err(failed)?;
    prop_assert_eq!(&check.problems, &Vec::<String>::new());
    Ok(())
}

async fn run(
    store: &Arc<dyn Store>,
    model: &mut BudgetModel,
    number: usize,
    step: BudgetStep,
) -> Result<(), TestCaseError> {
    let now = model.now();
    match step {
        BudgetStep::Take { terms, lives, reserves, obeys } => {
            let at = Timestamp::from_millis(now.as_millis() - terms.hours_ago * 3_600_000);
            let entry = credit(&format!("e{number}"), KINDS[terms.kind], terms.cents, at);
            let entry = of_customer(entry, CUSTOMERS[terms.customer]);
            let mut allowed = true;
            for (place, name) in ["cap", "whole"].into_iter().enumerate() {
                let mut question = asked(&entry, false);
                if let FloorAccount::Budget { name: asked, .. } = &mut question.account {
                    name.clone_into(asked);
                }
                let covered = match store.decide(&question, &mut OwnEntries::default(), now).await.map_err(failed)? {
                    BalanceDecision::Covered(covered) => Some(covered),
                    BalanceDecision::Short { .. } | BalanceDecision::OverBudget { .. } => None,
                };
                prop_assert_eq!(covered, model.allowed(&entry, place), "{}", name);
                allowed &= covered.is_some();
            }
            if obeys && !allowed {
                return Ok(());
            }
            let expires_at = lives.map(|hours| now.plus_millis(hours * 3_600_000));
            let entry = if reserves { held(entry, expires_at) } else { entry };
            append(store, entry.clone(), now).await;
            let cents = entry.minor_units;
            let (posted, held) = if reserves { (0, cents) } else { (cents, 0) };
            model.taken.push(TakenAmount { entry, posted, held });
        }
        BudgetStep::End { which, settle } => {
            let open: Vec<usize> = (0..model.taken.len())
                .filter(|place| model.taken[*place].held > 0 && !model.is_over(&model.taken[*place]))
                .collect();
            if open.is_empty() {
                return Ok(());
            }
            let place = *which.get(&open);
            let reserved = model.taken[place].entry.clone();
            let cents = settle.map(|share| (reserved.minor_units * share / 100).max(1));
            append(store, ended(&reserved, cents, now), now).await;
            (model.taken[place].posted, model.taken[place].held) = (cents.unwrap_or_default(), 0);
        }
        BudgetStep::Time { hours, expire } => {
            model.hours += hours;
            if !expire {
                return Ok(());
            }
        }
    }
    // An entry returns what its customer's credit holds although the time is over.
    expire_all(store, model).await
}

async fn expire_all(store: &Arc<dyn Store>, model: &mut BudgetModel) -> Result<(), TestCaseError> {
    store.expire_reservations(model.now(), 500).await.map_err(failed)?;
    for place in 0..model.taken.len() {
        if model.is_over(&model.taken[place]) {
            model.taken[place].held = 0;
        }
    }
    Ok(())
}
