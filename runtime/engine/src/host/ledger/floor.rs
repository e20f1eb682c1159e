//! Floors and budgets: what a `reserve` or `draw` may take. `post` is never refused.
//!
//! The answer is noted in the transaction. Its commit decides again, so that runs which take from
//! one account at the same time do not conflict while there is enough.

use std::sync::Arc;

use serde_json::json;
use tidemill_core::budget::{BudgetCounter, BudgetShortage};
use tidemill_core::money::balance::BalanceEffect;
use tidemill_core::money::{Account, Currency, EntryCall, InvalidDecimal, Posting as CheckedEntry};
use tidemill_core::{Code, Failure, Timestamp};
use tidemill_store::records::{BalanceDecision, BalanceQuestion, FloorAccount};
use tokio::sync::Mutex;

use super::stream_of;
use crate::component::bindings::wit::ledger::Entry;
use crate::guest::{GuestState, read};

/// Returns the amount that an entry may take: all of it, or, of a partial draw, what is above the
/// floor and within the budgets.
pub(super) async fn take(
    guest: &mut GuestState,
    call: EntryCall,
    partial: bool,
    entry: &Entry,
    checked: &CheckedEntry,
) -> wasmtime::Result<Result<i64, Failure>> {
    let mut minor_units = checked.amount.minor_units;
    if !matches!(call, EntryCall::Reserve | EntryCall::Draw) {
        return Ok(Ok(minor_units));
    }
    let currency = &checked.amount.currency;
    let mut accounts = match accounts(guest, entry, checked) {
        Ok(accounts) => accounts,
        Err(why) => {
            let message = format!("the floor under `[ledger.floor]` of the manifest cannot be used: {why}");
            return Ok(Err(Code::BadEntry.failure(message)));
        }
    };
    accounts.extend(budgets(guest, entry, checked).map(|budget| (budget, 0)));
    for (account, floor) in accounts {
        let key = (currency.code().to_owned(), account.clone());
        let question = BalanceQuestion {
            stream: stream_of(guest),
            account,
            currency: currency.code().to_owned(),
            kind: checked.kind.as_str().to_owned(),
            external_id: entry.external_id.clone(),
            of: checked.links.of.clone(),
            minor_units,
            occurred_at: Timestamp::from_millis(entry.occurred_at),
            partial,
            floor,
        };
        let (store, now) = (Arc::clone(&guest.services.store), guest.log.clock.now());
        let own = Mutex::new(guest.transaction.take_own_entries(&key));
        let decision = read(|| async { store.decide(&question, &mut *own.lock().await, now).await }).await;
        guest.transaction.give_back_own_entries(key, own.into_inner());
        let (covered, refusal) = match decision? {
            BalanceDecision::Covered(covered) => (Some(covered), None),
            BalanceDecision::Short { available, floor, needed } => {
                (None, Some(short(currency, &entry.external_id, (available, floor, needed))))
            }
            BalanceDecision::OverBudget { limit, used, held, needed } => {
                let (counted, external_id) = (BudgetCounter { used, held }, &entry.external_id);
                let budget = if let FloorAccount::Budget { name, .. } = &question.account { name } else { "" };
                let shortage = BudgetShortage { external_id, needed, currency, budget, limit, counted };
                (None, Some(shortage.failure()))
            }
        };
        guest.transaction.note_decision(question, covered);
        if let Some(refusal) = refusal {
            return Ok(Err(refusal));
        }
        minor_units = covered.unwrap_or(minor_units);
    }
    Ok(Ok(minor_units))
}

/// Returns the floor of the customer whose account a posted entry takes from, in minor units;
/// `None` if it takes from none. What has happened is not refused: the store reports an account
/// that it leaves below the floor.
pub(super) fn of_post(guest: &GuestState, call: EntryCall, entry: &Entry, checked: &CheckedEntry) -> Option<i64> {
    let takes = BalanceEffect::of_kind(checked.kind).is_some_and(BalanceEffect::takes);
    if call != EntryCall::Post || !takes || entry.customer.as_ref().is_none_or(String::is_empty) {
        return None;
    }
    // The manifest was checked when it was deployed.
    guest.run.ledger.floors.of_customer(&checked.amount.currency).ok()
}

/// Returns the accounts that an entry takes from and that have a floor, each with the floor that
/// the manifest gives.
fn accounts(
    guest: &GuestState,
    entry: &Entry,
    checked: &CheckedEntry,
) -> Result<Vec<(FloorAccount, i64)>, InvalidDecimal> {
    let (floors, currency) = (&guest.run.ledger.floors, &checked.amount.currency);
    let mut accounts = Vec::new();
    let customer = entry.customer.as_ref().filter(|customer| !customer.is_empty());
    if let Some(customer) = customer
        && BalanceEffect::of_kind(checked.kind).is_some_and(BalanceEffect::takes)
    {
        accounts.push((FloorAccount::Customer(customer.clone()), floors.of_customer(currency)?));
    }
    let [from, _] = &checked.legs;
    if matches!(from.account, Account::Receivable | Account::Bank)
        && let Some(floor) = floors.of_account(from.account, currency)?
    {
        accounts.push((FloorAccount::Stream(from.account.as_str().to_owned()), floor));
    }
    Ok(accounts)
}

/// Returns the budgets that count an entry of this kind and currency.
fn budgets<'a>(
    guest: &'a GuestState,
    entry: &'a Entry,
    checked: &'a CheckedEntry,
) -> impl Iterator<Item = FloorAccount> + 'a {
    let limits = BudgetCounter::limits(checked.kind);
    let all = guest.run.budgets.iter().flat_map(|budgets| budgets.iter()).filter(move |_| limits);
    let own = all.filter(|budget| budget.unit.is_currency(checked.amount.currency.code()));
    own.map(|budget| FloorAccount::Budget {
        name: budget.name.as_str().to_owned(),
        customer: entry.customer.clone().unwrap_or_default(),
    })
}

fn short(currency: &Currency, external_id: &str, (available, floor, needed): (i128, i64, i64)) -> Failure {
    let shown: String = external_id.chars().take(100).collect();
    let show = |minor_units: i128| currency.show(minor_units);
    let message = format!(
        "`{shown}` needs {}, but {} is available, and the floor is {}",
        show(needed.into()),
        show(available),
        show(floor.into())
    );
    // Texts, because a number in JSON may lose digits beyond 2^53.
    let details = json!({
        "available": available.to_string(),
        "floor": floor.to_string(),
        "needed": needed.to_string(),
        "currency": currency.code(),
    });
    Code::InsufficientBalance.failure(message).with_details(details.to_string())
}
