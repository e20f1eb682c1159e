//! `balance`: what a customer's account has, after the entries of the transaction.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidemill_core::journal::Kind;
use tidemill_core::money::CUSTOMER_BYTES;
use tidemill_core::wire::json::shown;
use tidemill_core::{Code, Failure, Timestamp};
use tidemill_store::records::{CustomerAccount, FloorAccount};
use tokio::sync::Mutex;

use super::{allowed, stream_of};
use crate::component::bindings::wit::ledger::AccountBalance;
use crate::guest::{GuestState, read};
use crate::host::abi::{HostResult, answer};
use crate::replay::state::hash;

/// A balance, as it is recorded.
#[derive(Serialize, Deserialize)]
struct RecordedBalance {
    available: i64,
    held: i64,
    floor: Option<i64>,
    next_expiry: Option<Timestamp>,
}

impl RecordedBalance {
    fn into_balance(self) -> AccountBalance {
        let Self { available, held, floor, next_expiry } = self;
        AccountBalance { available, held, floor, next_expiry: next_expiry.map(Timestamp::as_millis) }
    }
}

/// Returns the balance of a customer in a currency.
pub(super) async fn balance(
    guest: &mut GuestState,
    customer: String,
    currency: String,
) -> wasmtime::Result<HostResult<AccountBalance>> {
    if let Err(failure) = guest.check_cancelled().and_then(|()| guest.not_in_health_check("ledger.balance")) {
        return answer(Err(failure));
    }
    let request = hash(&[customer.as_bytes(), currency.as_bytes()]);
    if let Some(balance) = guest.replay::<Result<RecordedBalance, Failure>>(Kind::Balance, request)? {
        return answer(balance.map(RecordedBalance::into_balance));
    }
    let balance = match allowed(guest) {
        Ok(()) => balance_now(guest, customer, currency).await?,
        Err(failure) => Err(failure),
    };
    guest.record(Kind::Balance, request, &balance, None)?;
    answer(balance.map(RecordedBalance::into_balance))
}

async fn balance_now(
    guest: &mut GuestState,
    customer: String,
    currency: String,
) -> wasmtime::Result<Result<RecordedBalance, Failure>> {
    if customer.is_empty() || customer.len() > CUSTOMER_BYTES {
        return Ok(Err(Code::BadArgument.failure(format!("a customer has 1 to {CUSTOMER_BYTES} bytes"))));
    }
    let Some(unit) = guest.services.currencies.get(&currency) else {
        let message =
            format!("`{}` is neither a currency of ISO 4217 nor a unit that the operator declared", shown(&currency));
        return Ok(Err(Code::UnknownCurrency.failure(message)));
    };
    let default_floor = match guest.run.ledger.floors.of_customer(&unit) {
        Ok(floor) => floor,
        Err(why) => {
            let message = format!("the floor under `[ledger.floor]` of the manifest cannot be used: {why}");
            return Ok(Err(Code::BadEntry.failure(message)));
        }
    };
    let key = (currency.clone(), FloorAccount::Customer(customer.clone()));
    let account = CustomerAccount { stream: stream_of(guest), currency, customer };
    let (store, now) = (Arc::clone(&guest.services.store), guest.log.clock.now());
    let own = Mutex::new(guest.transaction.take_own_entries(&key));
    let balance = read(|| async { store.balance(&account, &mut *own.lock().await, now).await }).await;
    guest.transaction.give_back_own_entries(key, own.into_inner());
    let (balance, floor) = balance?;
    let fits =
        |amount: i128| i64::try_from(amount).map_err(|_| Code::AmountOverflow.failure("the balance exceeds 64 bits"));
    Ok(fits(balance.available).and_then(|available| {
        Ok(RecordedBalance {
            available,
            held: fits(balance.held)?,
            floor: Some(floor.unwrap_or(default_floor)),
            next_expiry: balance.next_expiry,
        })
    }))
}
